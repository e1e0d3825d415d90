"""
Find the former owners of the tags that a deployment takes over.

These are the tags that exist and that the resource did not declare before.
Usually another declaration of the same app had them. Otherwise, the records of
other stacks show their owners, if they can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from .._assets.lambda_handler.errors import AccessError, ImageError
from .._assets.lambda_handler.oci import Digest
from .._assets.lambda_handler.registry.logins import ECR_PUBLIC_REGION
from .._assets.lambda_handler.resources.record import Record
from .._assets.lambda_handler.resources.record_names import MOVING, UNDO
from .._assets.lambda_handler.resources.turn import Turn
from .._assets.lambda_handler.spec import Property
from .app.declared import DeclaredImage
from .change import Change, tags_of
from .effect import Former, Takeover
from .turns import Turns

REGION = 3
"""The index of the Region in an ARN that is split at colons."""

_Place = tuple[str, str]
"""The address of a repository, and a tag in it."""


@dataclass
class Takeovers:
    """
    The tags that one deployment takes over.

    Attributes:
        gone: The images that are deployed but no longer declared.
    """

    changes: Sequence[Change]
    gone: Sequence[DeclaredImage]
    turns: Turns

    def with_takeovers(self) -> list[Change]:
        """Return the changes with the tags that they take over."""
        return [
            change.with_effect(taken_over=tuple(self._takeovers(change, change.turn)))
            if change.turn is not None and change.plan is not None and change.taken
            else change
            for change in self.changes
        ]

    def _takeovers(self, change: Change, turn: Turn) -> Iterator[Takeover]:
        tags: dict[tuple[Former, str], list[str]] = {}
        for tag, digest in change.taken.items():
            owner = self._in_app(change, tag) or self._elsewhere(change.image, turn, tag, digest)
            tags.setdefault(owner, []).append(tag)
        for (former, path), owned in tags.items():
            yield Takeover(tags=tuple(owned), former=former, owner=path)

    def _in_app(self, change: Change, tag: str) -> tuple[Former, str] | None:
        """Return the declaration of the app that has a tag now."""
        place = change.effect.repository, tag
        if place in self._removed:
            return Former.REMOVED, self._removed[place]
        if place in self._dropped:
            return Former.DROPPED, self._dropped[place]
        others = [each.image.path for each in self._declared.get(place, ()) if each is not change]
        return (Former.DECLARED, others[0]) if others else None

    @cached_property
    def _removed(self) -> Mapping[_Place, str]:
        return {(address, tag): image.path for image in self.gone for address, tag in self._places(image)}

    @cached_property
    def _dropped(self) -> Mapping[_Place, str]:
        return {
            place: change.deployed.path
            for change in self.changes
            if change.deployed is not None and change.turn is not None
            for place in self._places(change.deployed)
            if place not in ((change.effect.repository, tag) for tag in tags_of(change.image))
        }

    @cached_property
    def _declared(self) -> Mapping[_Place, Sequence[Change]]:
        found: dict[_Place, list[Change]] = {}
        for change in self.changes:
            for tag in tags_of(change.image):
                found.setdefault((change.effect.repository, tag), []).append(change)
        return found

    def _places(self, image: DeclaredImage) -> Iterator[_Place]:
        # If the repository is not known, its tags cannot be compared.
        with suppress(ImageError):
            address = str(self.turns.repository(image).repository)
            yield from ((address, tag) for tag in tags_of(image))

    def _elsewhere(self, image: DeclaredImage, turn: Turn, tag: str, digest: Digest) -> tuple[Former, str]:
        """Return the resource of another stack that has a tag according to its record."""
        try:
            for owner, record, is_of_image in self._records(image, turn, digest):
                is_all = is_of_image and record.tags is None
                if owner not in self._own and not record.left_over and (is_all or tag in (record.tags or ())):
                    return Former.STACK, owner
        except AccessError:
            return Former.UNKNOWN, ""
        return Former.NONE, ""

    def _records(self, image: DeclaredImage, turn: Turn, digest: Digest) -> Iterator[tuple[str, Record, bool]]:
        """
        Yield the records that may show the owner of a tag: owner, record, and whether it is a record of this image.

        Raises:
            AccessError: They cannot be read.
        """
        records, region = turn.records, turn.event.stack_id.split(":")[REGION]
        known = self.turns.known(image, ECR_PUBLIC_REGION)
        for segment in (digest.hex, MOVING, UNDO):
            for owner, record in _parsed(known.list(records.path(segment)), Record.parse):
                yield owner, record, segment == digest.hex
        if path := records.first_name.rpartition("/")[0]:
            texts = self.turns.known(image, region).list(path)
            for owner, record in _parsed(texts, Record.parse_first_version):
                yield owner, record, False

    @cached_property
    def _own(self) -> frozenset[str]:
        """The owner names of the app's own resources, including those of version 0.1."""
        deployed = [change.deployed for change in self.changes if change.deployed]
        images = [*(change.image for change in self.changes), *deployed, *self.gone]
        names = [str(image.properties.get(Property.STATE_PARAMETER_NAME, "")) for image in images]
        return frozenset({*map(self.turns.owner, images), *(name.rpartition("/")[2] for name in names)})


def _parsed(texts: Mapping[str, str], parse: Callable[[str], Record]) -> Iterator[tuple[str, Record]]:
    """Parse *texts*, and yield each valid record with the name of its owner."""
    for name, text in texts.items():
        with suppress(ValueError):
            yield name.rpartition("/")[2], parse(text)
