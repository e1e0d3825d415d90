"""Hundreds of concurrent images within the quotas of the services: failures and time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rich.console import Console

from .results import Bound, Row, Sample, Section
from .scale_fleet import fleet
from .scale_invocations import LATENCY_SECONDS
from .scale_lives import Outcome, Run, live
from .scale_quotas import PUBLISHED, Quotas
from .scale_stacks import COPY_SECONDS, DESTROY, FORWARD, KEEP, RETAG_SECONDS, UNTAG, Phase

MAX_RATIO = 1.2
SHOWN_REASONS = 4

CAUTIOUS = replace(PUBLISHED, batch_delete_image=10, describe_images=10)
CAUTION = "DescribeImages and BatchDeleteImage at 10/s"

ONE, LAST = (Phase.DEPLOYMENT,), (Phase.UPDATE,)

RUNS = (
    Run(kind=KEEP, images=200, tags=5),
    Run(kind=KEEP, images=450, tags=2),
    Run(kind=KEEP, images=1000, tags=1),
    Run(kind=KEEP, images=200, tags=5, quotas=CAUTIOUS, under=CAUTION),
    Run(kind=KEEP, images=200, tags=1, phases=ONE, copies=True),
    Run(kind=DESTROY, images=200, tags=5),
    Run(kind=DESTROY, images=450, tags=1),
    Run(kind=DESTROY, images=450, tags=2),
    Run(kind=DESTROY, images=200, tags=5, quotas=CAUTIOUS, under=CAUTION),
    Run(kind=UNTAG, images=200, tags=2, phases=LAST, drops_tag=True),
    Run(kind=KEEP, images=200, tags=4, versions=True),
    Run(kind=FORWARD, images=200, tags=4, versions=True),
)

QUICK_RUNS = (
    Run(kind=KEEP, images=20, tags=5),
    Run(kind=KEEP, images=20, tags=1, phases=ONE, copies=True),
    Run(kind=DESTROY, images=20, tags=2),
    Run(kind=UNTAG, images=20, tags=2, phases=LAST, drops_tag=True),
    Run(kind=FORWARD, images=20, tags=4, versions=True),
)

NOTE = f"""\
All images of a run are in one repository. In each phase, all get their request at the same moment: a Create
(*deployment*), an Update to another image (*update*), the reverse Update (*rollback*), or a Delete (*destroy*).
*KEEP* images leave everything in the registry and have no record. The update of *UNTAG* images drops a tag.
*DESTROY* images are deleted with the stack, and drop tags, too. The last two have a record each.
*Versions* have the tag of their version, which is new in each release, and moving tags. With *ForwardOnly*, these may
only move to a higher version: the same requests, except that a rollback reads whether the update took tags over.

The services refuse requests beyond their quotas, which are token buckets with the tokens of one second. {{quotas}}
The quotas of ECR Public and of reads from Systems Manager are published. Those of its writes are known from answers of
AWS support. DescribeImages and BatchDeleteImage have no known quota, so they are not limited, unless a run says so.

*Quota's limit* is the minimum time of the work: one PutImage for each tag, one write or deletion of a parameter for
each image with a record, one BatchDeleteImage for each deleted image, and two upload requests for each copy.
The bound is {MAX_RATIO} times that and no failure, for KEEP images.
A failure is a response FAILED, one after ServiceTimeout ({RETAG_SECONDS} s, for copies
{COPY_SECONDS} s), a missing one, or a success although a tag does not point to the declared image.
Failed images are repeated without quotas before the next phase.

The handler, boto3, urllib3 and the sockets are real; hundreds of functions are threads of one process, each with its
own `Clients`, created before.
The time is virtual: it stands still while a function computes, because two cores cannot replace hundreds of Lambda
environments.
Waits and quotas take their nominal time, and every request takes {LATENCY_SECONDS * 1000:.0f} ms. So the result does
not depend on this machine, and one round is enough.
CloudFormation's own pace is not simulated: it sends fewer requests at once, or later.
"""


def sections(console: Console, *, quick: bool = False, only: str = "") -> Iterator[Section]:
    """
    Measure all runs.

    Args:
        only: Only runs whose names contain this string.
    """
    section = Section(
        title="Scale",
        note=NOTE.format(quotas=_quotas(PUBLISHED)),
        units=("seconds", "failures", "quotaSeconds", "ratio", "kept", "requests", "throttled", "operations"),
        ours="",
    )
    for run in QUICK_RUNS if quick else RUNS:
        if only in run.name:
            outcomes = _measured(run, console)
            samples = {str(phase): [_sample(run, phase, outcomes[phase])] for phase in run.phases}
            section.rows.append(Row(run.name, samples))
            section.bounds.extend(_bounds(run, outcomes))
            section.remarks.extend(_reasons(run, outcomes))
    yield section


def _measured(run: Run, console: Console) -> Mapping[Phase, Outcome]:
    """Run all phases, with new services and functions."""
    with fleet() as started:
        return live(run, started, console)


def _sample(run: Run, phase: Phase, outcome: Outcome) -> Sample:
    limit = run.quotas.seconds(run.work(phase))
    asked, throttled = outcome.counts.asked, outcome.counts.throttled
    failures = outcome.failures.total()
    return {
        "seconds": outcome.seconds,
        "failures": failures,
        **({"quotaSeconds": limit, "ratio": outcome.seconds / limit} if limit else {}),
        **({"kept": _is_kept(outcome, limit)} if _is_bound(run) else {}),
        "requests": asked.total(),
        "throttled": throttled.total(),
        **dict(asked.most_common()),
        **{f"throttled: {operation}": count for operation, count in throttled.most_common()},
        **{f"failed: {reason}": count for reason, count in outcome.failures.most_common()},
    }


def _is_bound(run: Run) -> bool:
    """Whether there is a promised limit, which is the case for KEEP images with the known quotas."""
    return run.kind is KEEP and run.quotas is PUBLISHED


def _is_kept(outcome: Outcome, limit: float) -> bool:
    return not outcome.failures and (not limit or outcome.seconds <= MAX_RATIO * limit)


def _bounds(run: Run, outcomes: Mapping[Phase, Outcome]) -> Iterator[Bound]:
    for phase, outcome in outcomes.items() if _is_bound(run) else ():
        yield Bound(f"{run.name}, {phase}: failures", outcome.failures.total(), 0)
        if limit := run.quotas.seconds(run.work(phase)):
            yield Bound(f"{run.name}, {phase}: time, to the quota's limit", outcome.seconds / limit, MAX_RATIO)


def _reasons(run: Run, outcomes: Mapping[Phase, Outcome]) -> Iterator[str]:
    """Yield the reasons of failures, as a list."""
    for phase, outcome in outcomes.items():
        if outcome.failures:
            shown = outcome.failures.most_common(SHOWN_REASONS)
            rest = outcome.failures.total() - sum(count for _, count in shown)
            reasons = [f"{count} times `{reason}`" for reason, count in shown] + ([f"{rest} others"] if rest else [])
            yield f"- {run.name}, {phase}: {'; '.join(reasons)}"


def _quotas(quotas: Quotas) -> str:
    def a_second(number: float | None) -> str:
        return "any number" if number is None else f"{number:g}"

    uploads = f"{a_second(quotas.initiate_layer_upload)} and {a_second(quotas.complete_layer_upload)}"
    return (
        f"In a second: {a_second(quotas.put_image)} PutImage, {uploads} InitiateLayerUpload and CompleteLayerUpload; "
        f"of Systems Manager {a_second(quotas.put_parameter)} PutParameter, "
        f"{a_second(quotas.delete_parameter)} DeleteParameter, and {a_second(quotas.read_parameters)} GetParameter, "
        "GetParameters and GetParametersByPath together."
    )
