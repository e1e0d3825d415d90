"""
The record of one resource: a short JSON document.

CloudFormation's requests carry what was declared, not what was there before
and not what a tag stood for; an undo and a removal need both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InvalidPropertiesError
from ..oci import Digest
from ..spec import Property

RECORD_MAX_BYTES = 4096
"""The size limit of a standard Systems Manager parameter."""

DEPLOYED_MAX = 8
"""The declaration of a deployment, the one that it can be rolled back to, and some that failed in between."""

VERSION = 1

_NOT_DECLARED = frozenset({"ServiceToken", "ServiceTimeout", Property.STATE_PARAMETER_NAME.value})
_KEY_HEX = 16


def key_of(properties: Mapping[str, object]) -> str:
    """Return a hash of the properties of a declaration, without those that have nothing to do with the image."""
    declared = {name: value for name, value in properties.items() if name not in _NOT_DECLARED}
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:_KEY_HEX]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    The record of a resource.

    Attributes:
        stack: The ARN of its stack, which tells stacks of the same name apart.
        request: The id of the request that wrote the record.
        sent: When that request was sent, in seconds since the epoch.
        undoes_to: The key of the declaration that an undo of the request returns to;
            empty where it created the resource.
        tags: What is declared; None where that did not fit: all of the image's.
        found: The tags that existed and were not the resource's own, each with
            its image, before the request wrote anything; None: not known.
        put: The images that *found* was taken over for, by this request and by
            those before it since a deployment has succeeded.
        existed: Which manifests of the image existed before; None if not known.
        lists: The children of the image, if they are to be deleted with it: time
            may run out in between.
        deployed: What declarations were resolved to, by their keys, the latest
            last; only where the source may move.
        failed: The key of the declaration whose update failed.
        failed_sent: When that update was sent, in seconds since the epoch.
        previous: Segment of the record of the declaration before, which a
            rollback may need.
        regained: When an undo gave dropped tags back to the resource, in
            seconds since the epoch.
        follows_first: The record that version 0.1 wrote still exists.
        left_over: The resource has ended, and these tags wait for the index
            that lists their image.
    """

    stack: str = ""
    request: str = ""
    sent: float = 0.0
    undoes_to: str = ""
    tags: tuple[str, ...] | None = ()
    found: Mapping[str, Digest] | None = field(default_factory=dict)
    put: frozenset[Digest] = frozenset()
    existed: frozenset[Digest] | None = frozenset()
    lists: tuple[Digest, ...] = ()
    deployed: Mapping[str, Digest] = field(default_factory=dict)
    failed: str = ""
    failed_sent: float = 0.0
    previous: str = ""
    regained: float = 0.0
    follows_first: bool = False
    left_over: bool = False

    @classmethod
    def parse(cls, text: str) -> Record:
        """
        Read a record.

        Raises:
            ValueError: It is not one, or of a later version.
        """
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                message = f"the record is of version {data['version']!r}"
                raise ValueError(message)
            return cls(
                stack=str(data["stack"]),
                request=str(data["request"]),
                sent=float(data["sent"]),
                undoes_to=str(data.get("undoesTo", "")),
                tags=_tags(data["tags"]),
                found=_found(data.get("found", {})),
                put=_digests(data.get("put", [])) or frozenset(),
                existed=_digests(data.get("existed", [])),
                lists=tuple(map(Digest.parse, _strings(data.get("lists", [])))),
                deployed=_digest_by_key(data.get("deployed", {})),
                failed=str(data.get("failed", "")),
                failed_sent=float(data.get("failedSent", 0.0)),
                previous=str(data.get("previous", "")),
                regained=float(data.get("regained", 0.0)),
                follows_first=_boolean(data.get("followsFirst", False)),
                left_over=_boolean(data.get("leftOver", False)),
            )
        except (TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            message = f"not a record ({type(error).__name__})"
            raise ValueError(message) from error

    @classmethod
    def parse_first_version(cls, text: str) -> Record:
        """
        Read what version 0.1 wrote.

        Raises:
            ValueError: That is not it.
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
        Write it, as far as it has to be exact.

        Where it would be too long, what the image lists is left out, which is
        read from the image while that is there; then all of the image's tags
        count as declared, and all of its manifests as those that existed:
        both only forbid.

        Raises:
            InvalidPropertiesError: There are more tags to give back than it holds.
        """
        brief = replace(self, lists=())
        for each in (self, brief, replace(brief, tags=None), replace(brief, tags=None, existed=None)):
            text = json.dumps(each.data(), separators=(",", ":"))
            if len(text) <= RECORD_MAX_BYTES:
                return text
        problem = (
            f"ImageTags: takes over {len(self.found or ())} tags that point to other images, more than the "
            f"{RECORD_MAX_BYTES} bytes of a record hold, so a rollback could not give them back; "
            "declare some of them in another PublicImage, or take them over in several deployments"
        )
        raise InvalidPropertiesError([problem])

    def with_deployed(self, key: str, digest: Digest) -> Record:
        """Remember what a declaration was resolved to, beside the one before it."""
        earlier = [(each, known) for each, known in self.deployed.items() if each != key]
        return replace(self, deployed=dict([*earlier, (key, digest)][-DEPLOYED_MAX:]))

    @property
    def latest(self) -> Digest | None:
        """What the last declaration of a moving source was resolved to."""
        return list(self.deployed.values())[-1] if self.deployed else None

    @property
    def claimed(self) -> float:
        """When the resource got its tags, in seconds since the epoch."""
        return max(self.sent, self.regained)

    def data(self) -> dict[str, object]:
        """Return it for JSON."""
        optional = {
            "undoesTo": self.undoes_to,
            "found": None if self.found is None else _by_digest(self.found),
            "put": sorted(map(str, self.put)),
            "existed": None if self.existed is None else sorted(map(str, self.existed)),
            "lists": [str(digest) for digest in self.lists],
            "deployed": {key: str(digest) for key, digest in self.deployed.items()},
            "failed": self.failed,
            "failedSent": round(self.failed_sent, 3),
            "previous": self.previous,
            "regained": round(self.regained, 3),
            "followsFirst": self.follows_first,
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
    """Group tags by their images: most of a release's pointed to one, whose digest is long."""
    images: dict[str, list[str]] = {}
    for tag, digest in found.items():
        images.setdefault(str(digest), []).append(tag)
    return images
