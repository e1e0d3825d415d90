"""Removes what a run created, and proves it; and removes what a killed run left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from .budget import for_cleanup
from .endpoint import Endpoint
from .errors import FAILURES, BudgetError, LiveCheckError, Problems
from .guard import is_expired, parameter_prefixes, run_of_parameter, run_of_repository, run_of_stack
from .parameters import EXPIRE
from .session import Session
from .stacks import PROBE


def clean_up(session: Session) -> None:
    """
    Delete what is left of a run, and prove that nothing is.

    Raises:
        LiveCheckError: Something is left.
    """
    problems = Problems()
    session.transport.budget = for_cleanup()
    with problems.collected():
        session.stacks.clean_up()
    # A stack that does not end must not use up what the rest needs.
    session.transport.budget = for_cleanup()
    remove(session)
    with problems.collected():
        session.private.prove()
    with problems.collected():
        _prove(session)
    problems.raise_all()


def _prove(session: Session) -> None:
    if not (session.has_created or session.repositories):
        return
    left = [name for name in list_repositories(session) if name.startswith(session.guard.prefix)]
    if left:
        message = f"these repositories were not deleted: {', '.join(left)}; run again with --sweep"
        raise LiveCheckError(message)


def list_repositories(session: Session) -> Iterator[str]:
    """List the names of all repositories of the account."""
    token: dict[str, str] = {}
    while True:
        page = session.api("DescribeRepositories", maxResults=1000, **token)
        yield from (repository["repositoryName"] for repository in page["repositories"])
        if not page.get("nextToken"):
            return
        token = {"nextToken": page["nextToken"]}


def remove(session: Session) -> None:
    """Delete the repositories of a case. What cannot be deleted now is tried again at the end."""
    for names, delete in (
        (session.repositories, session.remove),
        (session.private.names, session.private.remove),
    ):
        for name in list(names):
            try:
                delete(name)
            except BudgetError:
                return
            except FAILURES:
                continue


def sweep(
    endpoint: Endpoint, tell: Callable[[str], None] = lambda _: None, now: datetime | None = None
) -> tuple[list[str], list[str]]:
    """
    Delete the repositories of runs that were killed, once they have expired.

    Returns:
        The names of those that were deleted, and of those that have not expired.

    Raises:
        LiveCheckError: A repository could not be deleted.
    """
    session, problems = Session.begin(endpoint, for_cleanup()), Problems()
    deleted, kept = [], []
    for name in [name for name in list_repositories(session) if run_of_repository(name)]:
        # The guard allows one run at a time.
        session.guard.run = run_of_repository(name)
        with problems.collected():
            if not _is_expired(session, name, now or datetime.now(UTC)):
                kept.append(name)
                continue
            tell(f"{endpoint.name}: deleting {name}")
            session.repositories.append(name)
            session.remove(name)
            deleted.append(name)
    problems.raise_all()
    return deleted, kept


def _is_expired(session: Session, name: str, now: datetime) -> bool:
    arn = f"arn:aws:ecr-public::{session.endpoint.account}:repository/{name}"
    return is_expired(session.api("ListTagsForResource", resourceArn=arn)["tags"], now)


def sweep_stacks(
    endpoint: Endpoint, tell: Callable[[str], None] = lambda _: None, now: datetime | None = None
) -> list[str]:
    """
    Delete the stacks of runs that were killed, once they have expired, and return their names.

    Raises:
        LiveCheckError: A stack could not be deleted.
    """
    session, problems = Session.begin(endpoint, for_cleanup()), Problems()
    own = {str(stack["StackName"]): stack for stack in _stacks(session) if run_of_stack(str(stack["StackName"]))}
    expired = [name for name in own if is_expired(own[name].get("Tags", ()), now or datetime.now(UTC))]
    left = Counter(map(run_of_stack, own))
    # The function is needed until the custom resources are gone.
    expired.sort(key=lambda name: name.endswith(f"-{PROBE}"))
    for name in expired:
        session.guard.run = run = run_of_stack(name)
        if name.endswith(f"-{PROBE}") and left[run] > 1:
            problems.messages.append(f"stack {name} stays, because other stacks of its run need it")
            continue
        with problems.collected():
            tell(f"{endpoint.name}: deleting stack {name}")
            session.stacks.delete(name)
            left[run] -= 1
            session.parameters.clean_up()
    problems.raise_all()
    return expired


def sweep_private(
    endpoint: Endpoint, tell: Callable[[str], None] = lambda _: None, now: datetime | None = None
) -> list[str]:
    """
    Delete the private repositories of runs that were killed, once they have expired, and return their names.

    Raises:
        LiveCheckError: They could not be listed, or one could not be deleted.
    """
    session, problems = Session.begin(endpoint, for_cleanup()), Problems()
    deleted = []
    for name in [name for name in session.private.find() if run_of_repository(name)]:
        session.guard.run = run_of_repository(name)
        with problems.collected():
            if is_expired(session.private.tags(name), now or datetime.now(UTC)):
                tell(f"{endpoint.name}: deleting the private repository {name}")
                session.private.remove(name)
                deleted.append(name)
    problems.raise_all()
    return deleted


def sweep_parameters(
    endpoint: Endpoint, tell: Callable[[str], None] = lambda _: None, now: datetime | None = None
) -> list[str]:
    """
    Delete the parameters of runs that were killed and have no stack any more, and return their names.

    Raises:
        LiveCheckError: They could not be listed or deleted.
    """
    session = Session.begin(endpoint, for_cleanup())
    latest = (now or datetime.now(UTC)) - EXPIRE
    found = list(session.parameters.find(parameter_prefixes(endpoint.account)))
    expired = {run_of_parameter(name) for name, changed in found if changed < latest} - {""}
    for run in sorted(expired):
        session.guard.run = run
        tell(f"{endpoint.name}: deleting the parameters of run {run}")
        session.parameters.clean_up()
    return [name for name, _ in found if run_of_parameter(name) in expired]


def _stacks(session: Session) -> Iterator[dict[str, Any]]:
    """
    List all stacks of the account in the Region.

    Raises:
        LiveCheckError: They cannot be listed.
    """
    token: dict[str, str] = {}
    while True:
        page = session.transport.other("cloudformation", "DescribeStacks", **token)
        if page.code:
            message = f"the stacks cannot be listed: {page.code}: {page.message}"
            raise LiveCheckError(message)
        yield from page.data["Stacks"]
        if not page.data.get("NextToken"):
            return
        token = {"NextToken": page.data["NextToken"]}
