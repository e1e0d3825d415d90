"""
Manifests: exact bytes, and views of what they say.

A manifest *is* its bytes. Its digest and size come from them, and no code of
this package ever writes a manifest out of a parsed one: a single space more
makes another image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import IntegrityError, InvalidManifestError, shown
from . import _fields
from .bounded_json import check_keys, parse_json
from .descriptor import Descriptor
from .digest import Digest
from .mediatype import ManifestMediaType

MANIFEST_MAX_BYTES = 4 * 1024 * 1024
"""4 MiB: the longest manifest that PutImage takes (4 194 304 characters)."""

_KEYS = (
    "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations", "fsLayers",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    A manifest or index of OCI or Docker (schema 2).

    Attributes:
        content: The exact bytes, at most 4 MiB, valid UTF-8 (PutImage carries
            them as a JSON string).
        digest: SHA-256 of *content*.
        children: What an index lists, in its order; empty for an image.
        blobs: Config and layers of an image, in that order; empty for an index.
        subject: What a referrer (a signature, say) refers to.
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
        Read a manifest from its exact bytes.

        Args:
            content: At most 4 MiB.
            media_type: What came along with the bytes (a Content-Type, a
                property). Needed when the manifest names none itself, as OCI
                allows; it must not contradict it.
            expected: The digest that *content* must have.

        Raises:
            IntegrityError: The digest is another than expected.
            InvalidManifestError: Not a manifest that ECR Public stores.
        """
        digest = Digest.of(content)
        if expected is not None and digest != expected:
            message = f"the manifest has the digest {digest}, not the expected {expected}"
            raise IntegrityError(message)
        data = _load(content)
        check_keys(data, _KEYS, "")
        kind = _media_type(data, media_type)
        _refuse_mixture(data, kind)
        if data.get("schemaVersion") != 2:  # noqa: PLR2004 - both specifications fix it
            _fields.refuse(f"schemaVersion is {shown(data.get('schemaVersion'))}; expected 2")
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
        """The content as PutImage carries it."""
        return self.content.decode()


def _load(content: bytes) -> dict[str, object]:
    if len(content) > MANIFEST_MAX_BYTES:
        _fields.refuse(
            f"the manifest is longer than {MANIFEST_MAX_BYTES} bytes (4 MiB), which is all that ECR Public takes"
        )
    try:
        data = parse_json(content)
    except UnicodeDecodeError as error:
        message = f"the manifest is not UTF-8 text: {error.reason} at byte {error.start}"
        raise InvalidManifestError(message) from error
    except (ValueError, RecursionError) as error:
        # ValueError also stands for integers of absurd length, and for more values than a manifest has.
        message = f"the manifest is not JSON that can be read: {error}"
        raise InvalidManifestError(message) from error
    if not isinstance(data, dict):
        _fields.refuse(f"the manifest is a JSON {type(data).__name__}; expected an object")
    return data


def _media_type(data: dict[str, object], given: str) -> ManifestMediaType:
    own = _fields.optional_text(data, "mediaType", "")
    if not own and not given:
        _fields.refuse("the manifest has no mediaType and none was given beside it; name its media type")
    if own and given and own != given:
        _fields.refuse(f"the manifest says that its mediaType is {shown(own)}, but {shown(given)} was given beside it")
    return ManifestMediaType.parse(own or given)


def _refuse_mixture(data: dict[str, object], kind: ManifestMediaType) -> None:
    """Refuse what one client would read as an index and another as an image (CVE-2021-41190)."""
    foreign = {"config", "layers"} if kind.is_index else {"manifests"}
    if mixed := sorted(foreign & data.keys()):
        _fields.refuse(
            f"the manifest is of type {kind.value!r} but has {', '.join(mixed)}, which belongs to the other kind"
        )


def _descriptors(data: dict[str, object], key: str) -> Iterator[Descriptor]:
    for number, item in enumerate(_fields.optional_objects(data, key, "")):
        yield Descriptor.from_json(item, f"{key}[{number}].")


def _descriptor(data: dict[str, object], key: str) -> Descriptor | None:
    item = _fields.optional_object(data, key, "")
    return None if item is None else Descriptor.from_json(item, f"{key}.")


def _blobs(data: dict[str, object]) -> Iterator[Descriptor]:
    config = _descriptor(data, "config")
    if config is None:
        _fields.refuse("the manifest has no config; expected an image manifest")
    yield config
    yield from _descriptors(data, "layers")
