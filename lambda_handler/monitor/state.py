"""What was already told, so that a difference gives one message, and another when it is over. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..oci import Digest

TOLD_MAX = 149
"""How many images the state lists, so that it fits into 4096 bytes. The rest are one entry."""

_REST = "rest"
_UNREADABLE = "!"
_HEX = 10
_RUN_HEX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One image compared with the registry.

    Attributes:
        owner: ``<Region>.<stack>.<logical id>``.
        is_stack: Whether it is about a whole stack, which could be read or could not.
        tags: The tags that differ, each with the image that it points to; None if it does not exist.
        differences: A sentence for each difference.
        problem: Why the comparison, or a part of it, was not possible.
        is_repaired: Whether the tags were put back.
    """

    owner: str
    is_stack: bool = False
    repository: str = ""
    tags: Mapping[str, Digest | None] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    problem: str = ""
    is_repaired: bool = False

    @property
    def differs(self) -> bool:
        """Whether the image still differs."""
        return bool(self.differences) and not self.is_repaired

    @property
    def is_unreadable(self) -> bool:
        """Whether it is not known if the image differs."""
        return bool(self.problem) and not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What was not told before, by kind."""

    differing: Sequence[Finding] = ()
    repaired: Sequence[Finding] = ()
    over: Sequence[Finding] = ()
    unreadable: Sequence[Finding] = ()
    readable: Sequence[Finding] = ()


@dataclass(frozen=True, slots=True)
class State:
    """
    What was told, as short hashes: for each image that of its differences, with ``!`` if it could not be read.

    Shape:
        ``{"version": 1, "run": "0b7e9c1d", "told": {"9f2c1a7b03": "5d41402abc", "77de68daec": "!"}}``

    Attributes:
        run: The run that has written it.
    """

    told: Mapping[str, str] = field(default_factory=dict)
    run: str = field(default="", compare=False)

    @classmethod
    def decode(cls, text: str) -> State:
        """Decode a state. One that cannot be read is empty: differences are told again."""
        try:
            data = json.loads(text)
            told = {str(key): str(value) for key, value in data["told"].items()} if data["version"] == 1 else {}
            return cls(told, str(data.get("run", "")))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls()

    def encode(self) -> str:
        """Encode the state, in less than 4096 bytes."""
        return json.dumps({"version": 1, "run": self.run, "told": self.stored}, separators=(",", ":"))

    @property
    def stored(self) -> Mapping[str, str]:
        """What is stored of it: the images beyond the limit are one entry."""
        keys = sorted(self.told)
        told = {key: self.told[key] for key in keys[:TOLD_MAX]}
        if rest := [f"{key}{self.told[key]}" for key in keys[TOLD_MAX:]]:
            told[_REST] = _hash(rest)
        return told

    def of_run(self, request: str) -> State:
        """Return this state as one that a run writes, by the id of its request."""
        return State(self.told, _hash([request])[:_RUN_HEX])

    def after(self, findings: Iterable[Finding], *, is_complete: bool) -> State:
        """
        Return the state after *findings* were told.

        Args:
            is_complete: Whether every image was looked at. Otherwise, what was
                told about others is still told.
        """
        told = {} if is_complete else {key: value for key, value in self.told.items() if key != _REST}
        for finding in findings:
            key = _hash([finding.owner])
            value = self._value(finding, self.told.get(key, ""))
            told.pop(key, None)
            told |= {key: value} if value else {}
        return State(told)

    def without_message(self, findings: Iterable[Finding]) -> State:
        """Return the state if *findings* could not be told: the next run tells that what was put back is over."""
        repaired = {_hash([each.owner]): _hash(each.differences) for each in findings if each.is_repaired}
        return State({**self.told, **repaired})

    def news(self, after: State, findings: Sequence[Finding]) -> News:
        """Return what is new in *findings*, which lead from this state to *after*."""

        def known(finding: Finding) -> tuple[str, str]:
            key = _hash([finding.owner])
            return self.told.get(key, ""), after.told.get(key, "")

        # Of images beyond the limit, only a common hash is known.
        is_rest_told = after.stored.get(_REST) == self.told.get(_REST)
        old = sorted(after.told)[TOLD_MAX:] if is_rest_told else ()
        fresh = [(each, *known(each)) for each in findings if _hash([each.owner]) not in old]
        return News(
            differing=[each for each, before, now in fresh if each.differs and _bare(now) != _bare(before)],
            repaired=[each for each in findings if each.is_repaired],
            over=[each for each, before, now in fresh if _bare(before) and not now and not each.is_repaired],
            unreadable=[each for each, before, now in fresh if _is_unreadable(now) and not _is_unreadable(before)],
            readable=[each for each, before, now in fresh if _is_unreadable(before) and not _is_unreadable(now)],
        )

    def _value(self, finding: Finding, before: str) -> str:
        if finding.is_unreadable:
            # What was told before is neither over nor new as soon as the image can be read again.
            return _bare(before) + _UNREADABLE
        return _hash(finding.differences) if finding.differs else ""


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:_HEX]


def _bare(value: str) -> str:
    return value.removesuffix(_UNREADABLE)


def _is_unreadable(value: str) -> bool:
    return value.endswith(_UNREADABLE)
