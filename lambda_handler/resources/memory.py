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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ..errors import InvalidDigestError, InvalidPropertiesError
from ..oci import Digest
from ..publish.ports import ParameterStore
from ..spec import Property

TEXT_MAX_BYTES = 4096
"""What a standard parameter takes."""

_NOT_DECLARED = frozenset({"ServiceToken", "ServiceTimeout", Property.STATE_PARAMETER_NAME.value})
_KEY_HEX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    What is remembered.

    Attributes:
        resource: The physical id that it is about; empty: of none any more.
        tags: What was declared last.
        digests: What each declaration was resolved to, by its key; the latest last.
    """

    resource: str = ""
    tags: tuple[str, ...] = ()
    digests: Mapping[str, Digest] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> State:
        """Read a state; what is not understood counts as nothing, since it only ever forbids."""
        with suppress(ValueError, TypeError, KeyError, AttributeError, InvalidDigestError, RecursionError):
            data = json.loads(text)
            return cls(
                resource=str(data["resource"]),
                tags=tuple(map(str, data["tags"])),
                digests={str(key): Digest.parse(str(digest)) for key, digest in data["digests"].items()},
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
            data = {"resource": self.resource, "tags": self.tags, "digests": dict(digests[first:])}
            text = json.dumps(data, separators=(",", ":"))
            if len(text) <= TEXT_MAX_BYTES:
                return text
        problem = (
            f"ImageTags: has {len(self.tags)} tags, more than the {TEXT_MAX_BYTES} bytes of a parameter hold; "
            "declare some of them in another PublicImage"
        )
        raise InvalidPropertiesError([problem])

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

    def remember(self, resource: str, properties: Mapping[str, object], tags: tuple[str, ...], digest: Digest) -> None:
        """
        Store what a declaration was resolved to, and lay claim to its tags.

        Raises:
            InvalidPropertiesError: It has too many tags.
            RemoteError: It was not stored.
        """
        if not self.name:
            return
        text = self.parameters.read(self.name) or ""
        digests = {key: known for key, known in State.parse(text).digests.items() if key != _key(properties)}
        state = State(resource=resource, tags=tags, digests={**digests, _key(properties): digest})
        if state.text() != text:
            self.parameters.write(self.name, state.text())

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
            self.parameters.write(self.name, replace(state, resource="", tags=()).text())

    def forget(self, resource: str) -> None:
        """Forget *resource*, unless another has taken its place under the same name."""
        if self.name and self._state().resource in {resource, ""}:
            self.parameters.delete(self.name)

    def _state(self) -> State:
        return State.parse(self.parameters.read(self.name) or "")


def _key(properties: Mapping[str, object]) -> str:
    declared = {name: value for name, value in properties.items() if name not in _NOT_DECLARED}
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:_KEY_HEX]
