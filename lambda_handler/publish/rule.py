"""Release rules: what they see, what they answer, and the verdict on a release. Before it, nothing is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ..errors import ImageError
from ..oci import Digest
from .content import Content
from .ports import SourcePorts

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """
    The release that a rule checks.

    Attributes:
        content: The image.
        tags: The tags that will point to it.
        found: Where these tags point now. Tags that do not exist are omitted.
        ports: What a rule may read.
        is_undo: Whether the release undoes another one, for example in a rollback.
        undone: In an undo, the image of the release that is undone; None if it is not known.
        taken: In an undo, the tags that the undone release took over, each with its image before.
        returning: In an undo, the tags that are where the undone release put them, and those that it removed.
        left: The tags that stay where they are; known when violations are asked.
        facts: What rules have read; see ``once``.
    """

    content: Content
    tags: tuple[str, ...]
    found: Mapping[str, Digest]
    ports: SourcePorts
    is_undo: bool = False
    undone: Digest | None = None
    taken: Mapping[str, Digest] = field(default_factory=dict)
    returning: Collection[str] = ()
    left: Collection[str] = ()
    facts: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: object, read: Callable[[], T]) -> T:
        """Return what *read* returned the first time, also for a changed copy of the release."""
        if key not in self.facts:
            self.facts[key] = read()
        found: T = self.facts[key]
        return found

    @property
    def digest(self) -> Digest:
        """The digest of the image."""
        return self.content.root.digest


class Rule(ABC):
    """
    A rule with its values. A subclass must define ``violations``.

    A rule may read from the ports of the release. An error of such a read
    stops the release: a rule never passes because something could not be read.
    """

    __slots__ = ()

    @abstractmethod
    def violations(self, release: Release) -> Iterator[str]:
        """Yield a message for each violation: what, what is allowed, what to do."""

    def warnings(self, release: Release) -> Iterator[str]:
        """Yield what people should know about a release that the rule allows."""
        del release
        yield from ()

    def notes(self, release: Release) -> Iterator[str]:
        """Yield facts about a release that the rule has read, for ``plan`` and the log."""
        del release
        yield from ()

    def stays(self, release: Release) -> Mapping[str, str]:
        """Return the tags that the release must leave where they are, each with the reason."""
        del release
        return {}

    def may_leave(self, tag: str) -> bool:
        """Whether ``stays`` can return this tag; without reading anything."""
        del tag
        return False

    def reads(self, release: Release) -> bool:
        """Whether the rule reads from the ports. Then it is not asked about an undo, which no read may delay."""
        del release
        return False

    @property
    def applies_to_undo(self) -> bool:
        """Whether the rule can stop an undo. Only a rule that says which image is declared does."""
        return False

    @property
    def pinned(self) -> Digest | None:
        """The only digest that the rule allows; None if it allows several."""
        return None

    def protects(self, tag: str) -> bool:
        """Whether the rule protects this tag: it is put before others and never removed."""
        del tag
        return False


@dataclass(frozen=True, slots=True)
class WarnOnly(Rule):
    """A rule whose violations are warnings."""

    rule: Rule

    def violations(self, release: Release) -> Iterator[str]:
        """Yield nothing."""
        del release
        yield from ()

    def warnings(self, release: Release) -> Iterator[str]:
        """Yield the violations of the rule, or why it cannot read what it needs."""
        try:
            yield from self.rule.violations(release)
            yield from self.rule.warnings(release)
        except ImageError as error:
            yield f"a rule cannot be checked: {error.explain()}"

    def notes(self, release: Release) -> Iterator[str]:
        """Yield what the rule yields."""
        # The warnings have the error.
        with suppress(ImageError):
            yield from self.rule.notes(release)

    def stays(self, release: Release) -> Mapping[str, str]:
        """Return what the rule returns; nothing if it cannot read what it needs, which the warnings say."""
        try:
            return self.rule.stays(release)
        except ImageError:
            return {}

    def may_leave(self, tag: str) -> bool:
        """Return what the rule returns."""
        return self.rule.may_leave(tag)

    def reads(self, release: Release) -> bool:
        """Return what the rule returns."""
        return self.rule.reads(release)

    def protects(self, tag: str) -> bool:
        """Return what the rule returns."""
        return self.rule.protects(tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What all rules together say about a release.

    Attributes:
        violations: Why nothing may be written; empty if the release may proceed.
        warnings: What people should know, in the same words as violations.
        notes: Facts that the rules have read.
        stays: The tags that stay where they are, each with the reason.
    """

    violations: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stays: Mapping[str, str] = field(default_factory=dict)


def judge(rules: Iterable[Rule], release: Release) -> Verdict:
    """
    Ask all *rules* about a release.

    Raises:
        ImageError: A rule could not read what it needs.
    """
    rules = tuple(rules)
    asked = [rule for rule in rules if rule.applies_to_undo or not release.is_undo]
    # An undo must leave a tag, too, if the release that it undoes has left it.
    stays = {tag: why for rule in rules for tag, why in rule.stays(release).items()}
    release = replace(release, left=stays.keys())
    return Verdict(
        violations=tuple(message for rule in asked for message in rule.violations(release)),
        warnings=tuple(message for rule in asked for message in rule.warnings(release)),
        notes=tuple(message for rule in asked for message in rule.notes(release)),
        stays=stays,
    )


def is_protected(tag: str, rules: Iterable[Rule]) -> bool:
    """Whether one of *rules* protects this tag; see ``Rule.protects``."""
    return any(rule.protects(tag) for rule in rules)
