"""Runs the cases on AWS and on a sandbox that resembles the account, and compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cdk_ecrpublic.sandbox import Sandbox, SandboxProcess, Settings

from . import endpoint as endpoints
from .budget import Budget, for_limits, for_slow, for_stacks, usual
from .case import Case, Group
from .compare import compare
from .endpoint import Endpoint
from .errors import LiveCheckError
from .recording import Recording
from .report import Report
from .run import run_cases
from .session import Session
from .trace import Trace

Tell = Callable[[str], None]


def check(
    cases: Sequence[Case], other: Endpoint, tell: Tell, *, settings: Settings | None = None
) -> tuple[Report, Trace]:
    """
    Run the cases on *other*, then on a sandbox, and compare.

    Args:
        settings: How the sandbox behaves.

    Raises:
        LiveCheckError: Something was left behind.
    """
    theirs, session = run_cases(cases, other, budget_of(cases), tell)
    ours = on_sandboxes(cases, settings, tell)
    date = datetime.now(UTC).date().isoformat()
    report = Report(left="sandbox", right=other.name, date=date, cases=cases, differences=compare(ours, theirs))
    return report, session.transport.trace


def on_sandboxes(cases: Sequence[Case], settings: Settings | None, tell: Tell) -> list[Recording]:
    """
    Run the cases on a sandbox that starts at once, or on one with the rest of AWS if they need it.

    What no sandbox can answer is not run; its recording says why.
    """
    found = [Recording(case=case.name, stopped=case.not_comparable) for case in cases if case.not_comparable]
    small = [case for case in cases if not (case.not_comparable or case.needs_other_services)]
    wide = [case for case in cases if case.needs_other_services and not case.not_comparable]
    with Sandbox(settings=settings) as running:
        found += run_cases(small, endpoints.sandbox(running), budget_of(small), tell)[0]
    if wide:
        with SandboxProcess() as process:
            found += run_cases(wide, endpoints.sandbox(process), budget_of(wide), tell)[0]
    order = [case.name for case in cases]
    return sorted(found, key=lambda recording: order.index(recording.case))


def budget_of(cases: Sequence[Case]) -> Budget:
    """Return the budget for the groups of the cases."""
    groups = {case.group for case in cases}
    if Group.SLOW in groups:
        return for_slow()
    if Group.STACK in groups:
        return for_stacks()
    return for_limits() if Group.LIMITS in groups else usual()


def settings_like(endpoint: Endpoint, *, may_create_registry: bool) -> Settings:
    """
    Return settings for a sandbox whose registry has a custom alias if that of the account has one.

    Raises:
        LiveCheckError: The account has no public registry, and none may be created.
    """
    aliases = Session.begin(endpoint, usual()).aliases()
    if not aliases and not may_create_registry:
        message = (
            "the account has no public registry yet; its first repository creates one, and the alias of the registry "
            "stays when the repository is deleted; allow it with --create-registry"
        )
        raise LiveCheckError(message)
    custom = any(not alias.get("defaultRegistryAlias") for alias in aliases)
    return Settings(alias="custom" if custom else "")
