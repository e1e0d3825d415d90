"""What a case is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from inspect import cleandoc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .target import Target


class Group(StrEnum):
    """When a case runs."""

    REGISTRY = "registry"
    LIMITS = "limits"
    SLOW = "slow"
    STACK = "stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    A question to the service.

    Attributes:
        name: Its name in reports and in the names of repositories.
        ask: Sends the requests.
        fidelity: The rows of the fidelity page that rest on it: their first cells.
        settings: The settings of the sandbox that it decides.
        handler: The places in the function that rest on it: dotted names below ``lambda_handler``.
        group: When it runs.
        needs_other_services: Whether it needs more of AWS than ECR Public.
        not_comparable: Why the sandbox cannot answer it, so that only the answer of AWS is
            recorded; empty if it can.
    """

    name: str
    ask: Callable[[Target], None]
    fidelity: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    handler: tuple[str, ...] = ()
    group: Group = Group.REGISTRY
    needs_other_services: bool = False
    not_comparable: str = ""

    @property
    def question(self) -> str:
        """The question, from the docstring of the function."""
        return " ".join(cleandoc(self.ask.__doc__ or "").split())


def case(
    *,
    fidelity: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    handler: tuple[str, ...] = (),
    group: Group = Group.REGISTRY,
    needs_other_services: bool = False,
    not_comparable: str = "",
) -> Callable[[Callable[[Target], None]], Case]:
    """Make a case of a function. Its name and its docstring are those of the case."""

    def make(ask: Callable[[Target], None]) -> Case:
        name = ask.__name__.replace("_", "-")
        return Case(
            name=name,
            ask=ask,
            fidelity=fidelity,
            settings=settings,
            handler=handler,
            group=group,
            needs_other_services=needs_other_services or group is Group.STACK,
            not_comparable=not_comparable,
        )

    return make
