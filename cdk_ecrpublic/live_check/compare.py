"""Compares two recordings of one case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest

from .recording import Recording, Step


class Verdict(StrEnum):
    """The result of a comparison; later ones are worse."""

    SAME = "same"
    TEXT = "text differs"
    BEHAVIOR = "behaves differently"
    INCOMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    The comparison of one case.

    Attributes:
        case: The name of the case.
        steps: The steps that differ, each with its verdict; None on the side that lacks it.
        left: The recording of the sandbox.
        right: The recording of AWS.
    """

    case: str
    left: Recording
    right: Recording
    steps: tuple[tuple[Verdict, Step | None, Step | None], ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a step; *not comparable* if a side did not finish."""
        if self.left.stopped or self.right.stopped:
            return Verdict.INCOMPARABLE
        return max((verdict for verdict, _, _ in self.steps), key=list(Verdict).index, default=Verdict.SAME)


def compare(left: Sequence[Recording], right: Sequence[Recording]) -> list[Difference]:
    """Compare the recordings of two endpoints, case by case. A case without a counterpart is not comparable."""
    others: Mapping[str, Recording] = {recording.case: recording for recording in right}
    return [compare_case(each, others.get(each.case, _missing(each.case))) for each in left]


def compare_case(left: Recording, right: Recording) -> Difference:
    """Compare two recordings of one case, step by step."""
    return Difference(case=left.case, left=left, right=right, steps=tuple(_different(left.steps, right.steps)))


def _different(left: Sequence[Step], right: Sequence[Step]) -> Iterator[tuple[Verdict, Step | None, Step | None]]:
    for one, other in zip_longest(left, right):
        verdict = judge(one, other)
        if verdict is not Verdict.SAME:
            yield verdict, one, other


def judge(one: Step | None, other: Step | None) -> Verdict:
    """Compare two steps."""
    if one == other:
        return Verdict.SAME
    if one is None or other is None or replace(one, text="") != replace(other, text=""):
        return Verdict.BEHAVIOR
    return Verdict.TEXT


def _missing(case: str) -> Recording:
    return Recording(case=case, stopped="the case was not run")
