"""
Manifests: their exact bytes, and the fields parsed from them.

A manifest *is* its bytes, which determine its digest and size. This package
never serializes a parsed manifest again: one additional space would make it a
different image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import IntegrityError, InvalidManifestError, truncated_repr
from .bounded_json import check_keys, parse_json
from .descriptor import Descriptor, ManifestMediaType, optional_object, optional_objects, optional_string, refuse
from .digest import Digest

MANIFEST_MAX_BYTES = 4 * 1024 * 1024
"""4 MiB: the longest manifest that PutImage accepts (4,194,304 characters)."""

_KEYS = (
    "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations", "fsLayers",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    A manifest or index of OCI or Docker (schema 2).

    Attributes:
        content: The exact bytes, at most 4 MiB, valid UTF-8 (PutImage sends
            them as a JSON string).
        digest: SHA-256 of *content*.
        children: The entries of an index, in order; empty for an image.
        blobs: Config and layers of an image, in that order; empty for an index.
        subject: The manifest that a referrer, such as a signature, refers to.
    """

    content: bytes = field(repr=False)
    media_type: ManifestMediaType
    digest: Digest
    children: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None

    @classmethod
    def parse(cls, content: bytes, media_type: str = "", *, expected: Digest | None = None) -> Manifest:
        """
        Parse a manifest from its exact bytes.

        Args:
            content: At most 4 MiB.
            media_type: The media type from outside the manifest (a
                Content-Type, a property). Required if the manifest has no
                mediaType, which OCI allows; otherwise both must be equal.
            expected: The digest that *content* must have.

        Raises:
            IntegrityError: The digest is not the expected one.
            InvalidManifestError: ECR Public does not store such a manifest.
        """
        digest = Digest.of(content)
        if expected is not None and digest != expected:
            message = f"the manifest has the digest {digest}, not the expected {expected}"
            raise IntegrityError(message)
        data = _load(content)
        check_keys(data, _KEYS, "")
        _refuse_schema_1(data)
        kind = _media_type(data, media_type)
        _refuse_mixture(data, kind)
        if data.get("schemaVersion") != 2:  # noqa: PLR2004 - both specifications fix it
            refuse(f"schemaVersion is {truncated_repr(data.get('schemaVersion'))}; expected 2")
        return cls(
            content=content,
            media_type=kind,
            digest=digest,
            children=tuple(_descriptors(data, "manifests")) if kind.is_index else (),
            blobs=() if kind.is_index else tuple(_blobs(data)),
            subject=_descriptor(data, "subject"),
        )

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.content)

    @property
    def is_index(self) -> bool:
        """Whether it lists other manifests."""
        return self.media_type.is_index

    @property
    def text(self) -> str:
        """The content as a string, as PutImage sends it."""
        return self.content.decode()


def _load(content: bytes) -> dict[str, object]:
    if len(content) > MANIFEST_MAX_BYTES:
        refuse(f"the manifest is longer than {MANIFEST_MAX_BYTES} bytes (4 MiB), the limit of ECR Public")
    try:
        data = parse_json(content)
    except UnicodeDecodeError as error:
        message = f"the manifest is not UTF-8 text: {error.reason} at byte {error.start}"
        raise InvalidManifestError(message) from error
    except (ValueError, RecursionError) as error:
        # ValueError is also raised for integers with too many digits, and for too many values.
        message = f"the manifest is not valid JSON: {error}"
        raise InvalidManifestError(message) from error
    if not isinstance(data, dict):
        refuse(f"the manifest is a JSON {type(data).__name__}; expected an object")
    return data


def _refuse_schema_1(data: dict[str, object]) -> None:
    if data.get("schemaVersion") == 1 and "fsLayers" in data:
        refuse(
            "the manifest has schema 1 of Docker, which ECR Public does not store; push the image again with a current "
            "version of Docker"
        )


def _media_type(data: dict[str, object], given: str) -> ManifestMediaType:
    own = optional_string(data, "mediaType", "")
    if not own and not given:
        refuse("the manifest has no mediaType, and none was given with it; give its media type")
    if own and given and own != given:
        refuse(f"the mediaType in the manifest is {truncated_repr(own)}, but {truncated_repr(given)} was given with it")
    return ManifestMediaType.parse(own or given)


def _refuse_mixture(data: dict[str, object], kind: ManifestMediaType) -> None:
    """Refuse a manifest that clients could read either as an index or as an image (CVE-2021-41190)."""
    foreign = {"config", "layers"} if kind.is_index else {"manifests"}
    if mixed := sorted(foreign & data.keys()):
        which = "an image manifest" if kind.is_index else "an index"
        refuse(f"the manifest has the type {kind.value!r}, but also {', '.join(mixed)}, as only {which} has")


def _descriptors(data: dict[str, object], key: str) -> Iterator[Descriptor]:
    for number, item in enumerate(optional_objects(data, key, "")):
        yield Descriptor.from_json(item, f"{key}[{number}].")


def _descriptor(data: dict[str, object], key: str) -> Descriptor | None:
    item = optional_object(data, key, "")
    return None if item is None else Descriptor.from_json(item, f"{key}.")


def _blobs(data: dict[str, object]) -> Iterator[Descriptor]:
    config = _descriptor(data, "config")
    if config is None:
        refuse("the manifest has no config; expected an image manifest")
    yield config
    yield from _descriptors(data, "layers")
