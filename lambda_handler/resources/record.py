"""
The record of one resource: a short JSON document.

An undo and a removal need to know where tags pointed before, and what mutable
sources were resolved to. CloudFormation's requests contain neither.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ImageError, InvalidPropertiesError
from ..oci import MANIFEST_MAX_BYTES, Digest, Manifest

RECORD_MAX_BYTES = 4096
"""The size limit of a standard Systems Manager parameter."""

DEPLOYED_MAX = 8
"""How many digests to keep: of the current declaration, of the one to roll back to, and of failed ones in between."""

UNDONE = "undone"
"""Stands for the key of a declaration after an update was undone to it."""

VERSION = 1

_ADDED_LATER: Mapping[str, Any] = {
    "undoes_to": 16 * "-",
    "failed": 16 * "-",
    "failed_from": 16 * "-",
    "failed_sent": 1e9 + 0.001,
    "undone_by": 36 * "-",
    "regained": 1e9 + 0.001,
}
"""The fields that a failure or an undo adds to a record, in full length: ``text`` keeps room for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    The record of a resource.

    Attributes:
        stack: The ARN of the stack. It distinguishes stacks of the same name.
        request: The id of the request that wrote the record.
        sent: When that request was sent, in seconds since the epoch.
        undoes_to: The key of the declaration that an undo of the request returns
            to; empty if the request created the resource, or was rolled back.
        is_new: No deployment with the resource has succeeded before.
        tags: The declared tags; None, which stands for all tags of the image, if
            they did not fit.
        left: The tags of this declaration and the previous one that rules left where they were.
        found: The tags that the resource took over, each with its previous
            image; None if they are not known.
        put: The images that the tags in *found* were put to, since the last
            successful deployment.
        existed: Which manifests of the image existed before; None if not known.
        lists: The children of the image, if a removal deletes them too. A
            repeated removal needs them after the index is gone.
        deployed: The digests that a mutable source was resolved to, by
            declaration key, the latest last.
        failed: The key of the declaration whose update failed.
        failed_from: The key of the declaration before that update, to which its undo returns.
        failed_sent: When that update was sent, in seconds since the epoch.
        undone_by: The id of the request that last undid an update of the resource.
        previous: The path segment of the previous declaration's record, which a
            rollback may need.
        drops: The tags that updates have removed since the last success, if the
            rules of the previous declaration might not let an undo return them.
        regained: When an undo gave dropped tags back to the resource, in
            seconds since the epoch.
        follows_first: The record that version 0.1 wrote still exists.
        manifest: The manifest of the image while its last tag is being removed, encoded by ``with_manifest``.
        left_over: The resource was deleted, and its *tags* stay until the index
            that lists their image is deleted.
    """

    stack: str = ""
    request: str = ""
    sent: float = 0.0
    undoes_to: str = ""
    is_new: bool = False
    tags: tuple[str, ...] | None = ()
    left: tuple[str, ...] = ()
    found: Mapping[str, Digest] | None = field(default_factory=dict)
    put: frozenset[Digest] = frozenset()
    existed: frozenset[Digest] | None = frozenset()
    lists: tuple[Digest, ...] = ()
    deployed: Mapping[str, Digest] = field(default_factory=dict)
    failed: str = ""
    failed_from: str = ""
    failed_sent: float = 0.0
    undone_by: str = ""
    previous: str = ""
    drops: tuple[str, ...] = ()
    regained: float = 0.0
    follows_first: bool = False
    manifest: str = ""
    left_over: bool = False

    @classmethod
    def parse(cls, text: str) -> Record:
        """
        Parse a record.

        Raises:
            ValueError: The text is not a record, or is one of a later version.
        """
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                message = f"the record has version {data['version']!r}"
                raise ValueError(message)
            return cls(
                stack=str(data["stack"]),
                request=str(data["request"]),
                sent=float(data["sent"]),
                undoes_to=str(data.get("undoesTo", "")),
                is_new=_boolean(data.get("isNew", False)),
                tags=_tags(data["tags"]),
                left=_strings(data.get("left", [])),
                found=_found(data.get("found", {})),
                put=_digests(data.get("put", [])) or frozenset(),
                existed=_digests(data.get("existed", [])),
                lists=tuple(map(Digest.parse, _strings(data.get("lists", [])))),
                deployed=_digest_by_key(data.get("deployed", {})),
                failed=str(data.get("failed", "")),
                failed_from=str(data.get("failedFrom", "")),
                failed_sent=float(data.get("failedSent", 0.0)),
                undone_by=str(data.get("undoneBy", "")),
                previous=str(data.get("previous", "")),
                drops=_strings(data.get("drops", [])),
                regained=float(data.get("regained", 0.0)),
                follows_first=_boolean(data.get("followsFirst", False)),
                manifest=str(data.get("manifest", "")),
                left_over=_boolean(data.get("leftOver", False)),
            )
        except (TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            message = f"not a record ({type(error).__name__})"
            raise ValueError(message) from error

    @classmethod
    def parse_first_version(cls, text: str) -> Record:
        """
        Parse a record that version 0.1 wrote.

        Raises:
            ValueError: The text is not such a record.
        """
        try:
            data = json.loads(text)
            before = data["before"]
            return cls(
                request=str(data.get("madeBy", "")),
                tags=_tags(data["tags"]) if data["resource"] else (),
                found=None if before is None else _digest_by_key(before["tags"]),
                existed=None if before is None else _digests(before["images"]),
                deployed=_digest_by_key(data["digests"]),
                left_over=not data["resource"],
            )
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            message = f"not a record ({type(error).__name__})"
            raise ValueError(message) from error

    def text(self) -> str:
        """
        Encode the record as JSON of at most ``RECORD_MAX_BYTES``, with room for what its undo adds.

        If it is too long, leave out *manifest*, then *lists*, *tags*, *existed*, *left* and *drops*.
        Without *lists*, *tags* and *existed*, the record only prevents more removals.

        Raises:
            InvalidPropertiesError: The tags in *found* do not fit.
        """
        short = replace(self, manifest="")
        brief = replace(short, lists=())
        bare = replace(brief, tags=None, existed=None)
        for each in (self, short, brief, replace(brief, tags=None), bare, replace(bare, left=(), drops=())):
            text = _json(each)
            if max(len(text), len(_json(replace(each, **_ADDED_LATER)))) <= RECORD_MAX_BYTES:
                return text
        problem = (
            f"ImageTags: takes over {len(self.found or ())} tags that point to other images, more than the "
            f"{RECORD_MAX_BYTES} bytes of a record hold, so a rollback could not give them back; "
            "declare some of them in another PublicImage, or take them over in several deployments"
        )
        raise InvalidPropertiesError([problem])

    def with_deployed(self, key: str, digest: Digest) -> Record:
        """Return the record with the digest that a declaration was resolved to, as the latest one."""
        earlier = [(each, known) for each, known in self.deployed.items() if each != key]
        return replace(self, deployed=dict([*earlier, (key, digest)][-DEPLOYED_MAX:]))

    def with_manifest(self, manifest: Manifest) -> Record:
        """Return the record with a manifest, which is put back if the removal of its last tag is cut off."""
        data = f"{manifest.media_type.value}\n".encode() + manifest.content
        return replace(self, manifest=base64.b64encode(zlib.compress(data, 9)).decode())

    def held_manifest(self, digest: Digest) -> Manifest | None:
        """Return the manifest in the record; None if there is none, or if it is not the one with this digest."""
        try:
            data = zlib.decompressobj().decompress(base64.b64decode(self.manifest), MANIFEST_MAX_BYTES)
            media_type, _, content = data.partition(b"\n")
            return Manifest.parse(content, media_type.decode(), expected=digest)
        except (ValueError, zlib.error, ImageError):
            return None

    @property
    def latest(self) -> Digest | None:
        """The digest that a mutable source was last resolved to."""
        return list(self.deployed.values())[-1] if self.deployed else None

    @property
    def may_have_existed(self) -> bool:
        """Whether a manifest of the image existed before, or may have, because the record is too short for the list."""
        return bool(self.existed) or (self.existed is None and self.tags is None)

    @property
    def owned_since(self) -> float:
        """Since when the resource owns its tags, in seconds since the epoch."""
        return max(self.sent, self.regained)

    def data(self) -> dict[str, object]:
        """Return the record as a JSON object."""
        optional = {
            "undoesTo": self.undoes_to,
            "isNew": self.is_new,
            "left": self.left,
            "found": None if self.found is None else _by_digest(self.found),
            "put": sorted(map(str, self.put)),
            "existed": None if self.existed is None else sorted(map(str, self.existed)),
            "lists": [str(digest) for digest in self.lists],
            "deployed": {key: str(digest) for key, digest in self.deployed.items()},
            "failed": self.failed,
            "failedFrom": self.failed_from,
            "failedSent": round(self.failed_sent, 3),
            "undoneBy": self.undone_by,
            "previous": self.previous,
            "drops": self.drops,
            "regained": round(self.regained, 3),
            "followsFirst": self.follows_first,
            "manifest": self.manifest,
            "leftOver": self.left_over,
        }
        return {
            "version": VERSION,
            "stack": self.stack,
            "request": self.request,
            "sent": round(self.sent, 3),
            "tags": self.tags,
            **{name: value for name, value in optional.items() if value or value is None},
        }


def _json(record: Record) -> str:
    return json.dumps(record.data(), separators=(",", ":"))


def _tags(data: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - JSON
    return None if data is None else _strings(data)


def _strings(data: Any) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(data, list) or not all(isinstance(each, str) for each in data):
        raise TypeError
    return tuple(data)


def _boolean(data: Any) -> bool:  # noqa: ANN401
    if not isinstance(data, bool):
        raise TypeError
    return data


def _digests(data: Any) -> frozenset[Digest] | None:  # noqa: ANN401
    return None if data is None else frozenset(Digest.parse(str(digest)) for digest in data)


def _digest_by_key(data: Any) -> dict[str, Digest]:  # noqa: ANN401
    return {str(key): Digest.parse(str(digest)) for key, digest in data.items()}


def _found(data: Any) -> dict[str, Digest] | None:  # noqa: ANN401
    if data is None:
        return None
    return {tag: Digest.parse(digest) for digest, tags in data.items() for tag in _strings(tags)}


def _by_digest(found: Mapping[str, Digest]) -> dict[str, list[str]]:
    """Group tags by image. Most tags of a release point to the same image, so its long digest appears once."""
    images: dict[str, list[str]] = {}
    for tag, digest in found.items():
        images.setdefault(str(digest), []).append(tag)
    return images
