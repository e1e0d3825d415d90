"""Removes what a run created, and proves it; and removes what a killed run left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import urllib3
from botocore.exceptions import BotoCoreError

from .budget import for_cleanup
from .endpoint import Endpoint
from .errors import BudgetError, LiveCheckError
from .guard import PREFIX, is_expired, parameter_prefixes, run_of_parameter
from .parameters import EXPIRE
from .session import Session
from .stacks import PROBE


def clean_up(session: Session) -> None:
    """
    Delete what is left of a run, and prove that nothing is.

    Raises:
        LiveCheckError: Something is left.
    """
    session.transport.budget = for_cleanup()
    try:
        session.stacks.clean_up()
    finally:
        remove(session)
    session.private.prove()
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
            except (LiveCheckError, OSError, urllib3.exceptions.HTTPError, BotoCoreError):
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
    session = Session.begin(endpoint, for_cleanup())
    deleted, kept = [], []
    for name in [name for name in list_repositories(session) if name.startswith(f"{PREFIX}/")]:
        # The guard allows one run at a time.
        session.guard.run = name.split("/")[1]
        if not _is_expired(session, name, now or datetime.now(UTC)):
            kept.append(name)
            continue
        tell(f"{endpoint.name}: deleting {name}")
        session.repositories.append(name)
        session.remove(name)
        deleted.append(name)
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
    session = Session.begin(endpoint, for_cleanup())
    found = [stack for stack in _stacks(session) if is_expired(stack.get("Tags", ()), now or datetime.now(UTC))]
    names = [str(stack["StackName"]) for stack in found if str(stack["StackName"]).startswith(f"{PREFIX}-")]
    # The function is needed until the custom resources are gone.
    names.sort(key=lambda name: name.endswith(f"-{PROBE}"))
    for name in names:
        session.guard.run = name.removeprefix(f"{PREFIX}-").split("-")[0]
        tell(f"{endpoint.name}: deleting stack {name}")
        session.stacks.delete(name)
        session.parameters.clean_up()
    return names


def sweep_private(
    endpoint: Endpoint, tell: Callable[[str], None] = lambda _: None, now: datetime | None = None
) -> list[str]:
    """
    Delete the private repositories of runs that were killed, once they have expired, and return their names.

    Raises:
        LiveCheckError: They could not be listed, or one could not be deleted.
    """
    session = Session.begin(endpoint, for_cleanup())
    deleted = []
    for name in [name for name in session.private.find() if name.startswith(f"{PREFIX}/")]:
        session.guard.run = name.split("/")[1]
        if is_expired(session.private.tags(name), now or datetime.now(UTC)):
            tell(f"{endpoint.name}: deleting the private repository {name}")
            session.private.remove(name)
            deleted.append(name)
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
    """List all stacks of the account in the Region."""
    token: dict[str, str] = {}
    while True:
        page = session.transport.other("cloudformation", "DescribeStacks", **token)
        if page.code:
            return
        yield from page.data["Stacks"]
        if not page.data.get("NextToken"):
            return
        token = {"NextToken": page.data["NextToken"]}
