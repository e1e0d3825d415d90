"""
What a declaration remembers from one event to the next, in a parameter of its own.

CloudFormation's requests carry what was declared, not what it was resolved to.
A rollback to a source that is a tag must restore what the tag pointed to when
it was deployed, and a tag may be removed only while it points to what was put.

Declarations of one repository keep their parameters below one path, so that
each can see what the others lay claim to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InvalidDigestError, InvalidPropertiesError
from ..oci import Digest
from ..publish.ports import ParameterStore
from ..spec import Property

TEXT_MAX_BYTES = 4096
"""What a standard parameter takes."""

BEFORE_MAX_BYTES = 2048
"""As much of it as may tell what was there before."""

_NOT_DECLARED = frozenset({"ServiceToken", "ServiceTimeout", Property.STATE_PARAMETER_NAME.value})
_KEY_HEX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """
    What was there before anything was put, so that a rollback does not take it for ours.

    Attributes:
        tags: The tags that existed, each with its image.
        images: The image, or those of its children that existed without it. None: not known.
    """

    tags: Mapping[str, Digest] = field(default_factory=dict)
    images: frozenset[Digest] | None = frozenset()

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Before:
        """Read what ``data`` returned."""
        tags, images = data["tags"], data["images"]
        return cls(
            tags={str(tag): Digest.parse(str(digest)) for tag, digest in tags.items()},
            images=None if images is None else frozenset(Digest.parse(str(digest)) for digest in images),
        )

    def data(self) -> dict[str, object]:
        """Return it for JSON."""
        images = None if self.images is None else sorted(map(str, self.images))
        return {"tags": {tag: str(digest) for tag, digest in self.tags.items()}, "images": images}


NOTHING = Before()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    What is remembered.

    Attributes:
        resource: The physical id that it is about; empty: of none any more.
        made_by: The request that made the resource: what remains of an earlier life has another.
        tags: What was declared last.
        digests: What each declaration was resolved to, by its key; the latest last.
        before: What was there when it was declared first; None: not known.
    """

    resource: str = ""
    made_by: str = ""
    tags: tuple[str, ...] = ()
    digests: Mapping[str, Digest] = field(default_factory=dict)
    before: Before | None = NOTHING

    @classmethod
    def parse(cls, text: str) -> State:
        """Read a state; what is not understood counts as nothing, since it only ever forbids."""
        with suppress(ValueError, TypeError, KeyError, AttributeError, InvalidDigestError, RecursionError):
            data = json.loads(text)
            return cls(
                resource=str(data["resource"]),
                made_by=str(data.get("madeBy", "")),
                tags=tuple(map(str, data["tags"])),
                digests={str(key): Digest.parse(str(digest)) for key, digest in data["digests"].items()},
                before=Before.parse(data["before"]) if data["before"] is not None else None,
            )
        return cls()

    def text(self) -> str:
        """
        Write it, without its oldest digests where it would be too long.

        Raises:
            InvalidPropertiesError: Even so it is too long.
        """
        digests = [(key, str(digest)) for key, digest in self.digests.items()]
        for first in range(len(digests)):
            data = {
                "resource": self.resource,
                "madeBy": self.made_by,
                "tags": self.tags,
                "digests": dict(digests[first:]),
                "before": self.before and self.before.data(),
            }
            text = _json(data)
            if len(text) <= TEXT_MAX_BYTES:
                return text
        problem = (
            f"ImageTags: has {len(self.tags)} tags, more than the {TEXT_MAX_BYTES} bytes of a parameter hold; "
            "declare some of them in another PublicImage"
        )
        raise InvalidPropertiesError([problem])

    @property
    def fits(self) -> bool:
        """Whether there is room for it, and for some digests beside what was there before."""
        if self.before is not None and len(_json(self.before.data())) > BEFORE_MAX_BYTES:
            return False
        with suppress(InvalidPropertiesError):
            return bool(self.text())
        return False

    @property
    def latest(self) -> Digest | None:
        """What the last declaration was resolved to."""
        return list(self.digests.values())[-1] if self.digests else None


@dataclass(frozen=True, slots=True)
class Claims:
    """Tags and images that other declarations of the repository have; each tag with its image."""

    tags: Mapping[str, Digest | None] = field(default_factory=dict)
    digests: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class Claim:
    """
    Tags that were claimed a moment ago, when nobody had looked yet what is there.

    Attributes:
        known: What was remembered of the resource until then.
        state: What is remembered since.
    """

    memory: Memory
    known: State
    state: State

    @property
    def is_open(self) -> bool:
        """Whether it matters what was there before, and nobody has looked yet."""
        return self.state.before is None and self.known.before is not None

    def settle(self, tags: Mapping[str, Digest], images: Iterable[Digest]) -> None:
        """
        Remember of what was claimed anew what was there before.

        Args:
            tags: The tags that exist, each with its image.
            images: The image if it exists, or else those of its children that do.
        """
        known = self.known.before or NOTHING
        then = {tag: digest for tag, digest in known.tags.items() if tag in self.known.tags}
        new = {tag: tags[tag] for tag in self.state.tags if tag in tags and tag not in self.known.tags}
        # What an update brings is never deleted, so it matters of the first image only.
        seen = known.images if self.known.resource else frozenset(images)
        for before in (Before(tags={**then, **new}, images=seen), Before(tags={**then, **new}, images=None)):
            state = replace(self.state, before=before)
            if state.fits:
                self.memory.write(state)
                return


@dataclass(frozen=True, slots=True)
class Memory:
    """
    The memory of one declaration.

    Attributes:
        name: Of the parameter; empty: nothing is remembered.
    """

    parameters: ParameterStore
    name: str

    def digest_of(self, properties: Mapping[str, object]) -> Digest | None:
        """Return what a declaration was resolved to when it was deployed; None: not known."""
        return self._state().digests.get(_key(properties)) if self.name else None

    @property
    def before(self) -> Before | None:
        """What was there when it was declared first; None: not known."""
        return self._state().before if self.name else NOTHING

    def claim(
        self,
        resource: str,
        properties: Mapping[str, object],
        tags: tuple[str, ...],
        digest: Digest,
        *,
        may_remove: bool,
        made_by: str | None,
    ) -> Claim:
        """
        Store what a declaration was resolved to, and lay claim to its tags.

        Args:
            may_remove: What was there before matters; until the claim is
                settled it is not known.
            made_by: The id of the request, where it makes the resource. What is
                remembered counts only if the same request wrote it: a parameter
                of an earlier life says nothing of what is there by now.

        Raises:
            InvalidPropertiesError: It has too many tags.
            RemoteError: It was not stored.
        """
        if not self.name:
            return Claim(self, State(), State())
        text = self.parameters.read(self.name) or ""
        earlier = State.parse(text)
        is_mine = earlier.resource == resource and made_by in {None, earlier.made_by}
        known = earlier if is_mine else State()
        is_new = not known.resource or not set(tags) <= set(known.tags)
        digests = {key: known for key, known in earlier.digests.items() if key != _key(properties)}
        state = State(
            resource=resource,
            made_by=known.made_by if made_by is None else made_by,
            tags=tags,
            digests={**digests, _key(properties): digest},
            before=None if may_remove and is_new else known.before,
        )
        if state.text() != text:
            self.write(state)
        return Claim(self, known, state)

    def others(self) -> Claims:
        """Return what the other declarations below the same path have."""
        if not self.name:
            return Claims()
        path = self.name.rpartition("/")[0]
        texts = [text for name, text in self.parameters.list(path).items() if name != self.name]
        states = [state for state in map(State.parse, texts) if state.resource]
        return Claims(
            tags={tag: state.latest for state in states for tag in state.tags},
            digests=frozenset(state.latest for state in states if state.latest is not None),
        )

    def release(self) -> None:
        """Give up the claims, and keep the digests: a rollback may need them."""
        state = self._state()
        if self.name and state.resource:
            self.write(replace(state, resource="", tags=()))

    def forget(self, resource: str) -> None:
        """Forget *resource*, unless another has taken its place under the same name."""
        if self.name and self._state().resource in {resource, ""}:
            self.parameters.delete(self.name)

    def write(self, state: State) -> None:
        """
        Store *state*.

        Raises:
            InvalidPropertiesError: It is too long.
            RemoteError: It was not stored.
        """
        self.parameters.write(self.name, state.text())

    def _state(self) -> State:
        return State.parse(self.parameters.read(self.name) or "")


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))


def _key(properties: Mapping[str, object]) -> str:
    declared = {name: value for name, value in properties.items() if name not in _NOT_DECLARED}
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:_KEY_HEX]
