"""Render a violation for people: both requests side by side, and the state before and after."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from .explore import LAGGING, Tally, Violation
from .run import Call
from .world import World, names

_WIDTH = 62

_SHORT = (
    (re.compile(r"/cdk-ecrpublic/state/[^/]+/[^/]+/"), ""),
    (re.compile(r'"version":1,"stack":"[^"]*",'), ""),
    (re.compile(r'"sent":[0-9.]+,'), ""),
)
"""Parts of a record that are long and the same in all records."""


def render(violation: Violation, world: World) -> str:
    """
    Return a report.

    Args:
        world: The world before the requests.
    """
    run = violation.run
    ending = ", then ".join(violation.finding.ending) or "none"
    sides = {
        invocation.name: f"{invocation.request.kind} of {'.'.join(invocation.request.resource)}"
        for invocation in run.invocations
    }
    lines = [
        f"violation {violation.id}",
        *(f"  {problem}" for problem in violation.finding.problems),
        f"  ending: {ending}",
        f"before: {_state(world)}",
        f"  {'A: ' + sides.get('A', ''):{_WIDTH}}  {'B: ' + sides.get('B', '')}",
        *_table(run.trace),
        f"after:  {_state(run.world)}",
    ]
    return "\n".join(lines)


def _table(trace: list[Call]) -> Iterator[str]:
    number = 0
    for call in trace:
        text = _line(call)
        if call.caller == "person":
            yield f"   a person: {text}"
            continue
        left, right = (text, "") if call.caller == "A" else ("", text)
        yield f"{number:3} {left:{_WIDTH}}  {right}".rstrip()
        number += 1


def _line(call: Call) -> str:
    shown = " ".join(_shown(call.parameters))
    lag = " (stale read)" if call.view.lag_seconds and call.operation in LAGGING else ""
    fault = f" [{call.fault}]" if call.fault else ""
    return f"{call.operation} {shown} -> {call.outcome}{lag}{fault}"


def _shown(parameters: Mapping[str, object]) -> Iterator[str]:
    for name, value in parameters.items():
        if name in {"imageManifest", "imageManifestMediaType", "registryId", "repositoryName", "Type", "Overwrite"}:
            continue
        if name == "Value":
            yield _with_names(str(value))[:90]
        elif name == "imageIds" and isinstance(value, list):
            yield ",".join(":".join(_with_names(part) for part in each.values()) for each in value)
        elif name in {"StackName", "repositoryNames", "layerDigests"}:
            continue
        else:
            yield _with_names(str(value))


def _with_names(text: str) -> str:
    for digest, name in names().items():
        text = text.replace(digest, name).replace(digest.removeprefix("sha256:"), name)
    for pattern, short in _SHORT:
        text = pattern.sub(short, text)
    return text


def _state(world: World) -> str:
    tags = ", ".join(f"{tag}={name}" for tag, name in sorted(world.tags().items()))
    records = ", ".join(f"{name}: {_with_names(text)}" for (_, name), text in sorted(world.parameters.items()))
    return f"{tags or 'no tags'}; images {' '.join(sorted(world.images()))}; parameters {records or 'none'}"


def summary(tally: Tally, violations: int) -> str:
    return (
        f"interleavings: {tally.runs:,} schedules of {tally.pairs:,} pairs "
        f"({tally.same:,} equivalent ones skipped), {tally.ends:,} endings, {violations:,} violations"
    )


def log_of(lines: Sequence[str]) -> list[str]:
    """Return the messages in the handler's log."""
    return [f"  {_with_names(str(json.loads(line).get('message')))}" for line in lines]
