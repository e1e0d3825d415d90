"""
Descriptors: what a manifest says about the content that it refers to; media types of manifests; and typed readers.

Each reader takes the path of its object, so that an error says where it is:
``manifests[2].platform.os is 7; expected a string``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn, TypeVar

from ..errors import InvalidDigestError, InvalidManifestError, truncated_repr
from .bounded_json import check_keys
from .digest import Digest
from .platform import Platform

T = TypeVar("T")

SIZE_MAX_BYTES = 2**63 - 1
"""OCI image-spec v1.1, descriptor.md: ``size`` is an int64."""

_KEYS = ("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")
_PLATFORM_KEYS = ("os", "architecture", "variant", "os.version", "os.features", "features")

_IMAGE_ARTIFACTS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
"""Media types of image configs, which some tools set as the ``artifactType`` of an ordinary image."""


class ManifestMediaType(StrEnum):
    """
    The four media types of manifests that ECR Public stores.

    References:
        Amazon ECR Public user guide, "Container image manifest formats";
        OCI image-spec v1.1, media-types.md. Docker schema 1 and the
        withdrawn OCI artifact manifest are not among them.
    """

    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

    @classmethod
    def parse(cls, text: str) -> ManifestMediaType:
        """
        Parse a media type.

        Raises:
            InvalidManifestError: ECR Public does not store manifests of this type.
        """
        try:
            return cls(text)
        except ValueError:
            message = (
                f"{truncated_repr(text)} is not the media type of a manifest that ECR Public stores; allowed: "
                f"{', '.join(cls)}"
            )
            raise InvalidManifestError(message) from None

    @property
    def is_index(self) -> bool:
        """Whether a manifest of this type lists other manifests."""
        return self in {ManifestMediaType.OCI_INDEX, ManifestMediaType.DOCKER_LIST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """
    Media type, digest and size of content, and the fields that an index adds.

    Shape:
        ``{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": "sha256:…", "size": 3402}``; sizes are in bytes.

    References:
        OCI image-spec v1.1, descriptor.md and image-index.md.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    artifact_type: str = ""
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, object], path: str) -> Descriptor:
        """
        Read a descriptor.

        Args:
            data: The JSON object.
            path: The path of the object, with a trailing dot: ``layers[0].``.

        Raises:
            InvalidManifestError: A field is missing or has the wrong type.
        """
        check_keys(data, _KEYS, path)
        return cls(
            media_type=required_string(data, "mediaType", path),
            digest=_digest(required_string(data, "digest", path), path),
            size=required_size(data, "size", path),
            platform=_platform(data, path),
            artifact_type=optional_string(data, "artifactType", path),
            urls=string_list(data, "urls", path),
            annotations=string_map(data, "annotations", path),
        )

    @property
    def is_index(self) -> bool:
        """Whether the content is a manifest that lists others."""
        return self.media_type in {ManifestMediaType.OCI_INDEX, ManifestMediaType.DOCKER_LIST}

    @property
    def image_platform(self) -> Platform | None:
        """
        The platform that the image runs on; None if the content is not an image.

        The platform of an attestation is ``unknown``. An artifact that belongs
        to an image, such as a SOCI index, has the platform of that image and
        an ``artifactType``.
        """
        is_artifact = bool(self.artifact_type) and self.artifact_type not in _IMAGE_ARTIFACTS
        return None if self.platform is None or self.platform.is_unknown or is_artifact else self.platform

    @property
    def is_foreign(self) -> bool:
        """Whether the content is stored at its ``urls`` and not in the registry."""
        return bool(self.urls) and ("foreign" in self.media_type or "nondistributable" in self.media_type)


def _digest(text: str, path: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigestError as error:
        return refuse(f"{path}digest: {error}")


def _platform(data: Mapping[str, object], path: str) -> Platform | None:
    """Read a platform. Tools in Go write one without ``os`` and ``architecture`` for an artifact: it has none."""
    platform = optional_object(data, "platform", path)
    if platform is None:
        return None
    where = f"{path}platform."
    check_keys(platform, _PLATFORM_KEYS, where)
    os, architecture = (optional_string(platform, key, where) for key in ("os", "architecture"))
    found = Platform(
        os,
        architecture,
        optional_string(platform, "variant", where),
        optional_string(platform, "os.version", where),
        string_list(platform, "os.features", where),
    )
    return found if os and architecture else None


def optional_string(data: Mapping[str, object], key: str, path: str) -> str:
    """Read a string; return an empty string if it is missing or null."""
    value = data.get(key)
    return "" if value is None else _expect(value, str, "a string", f"{path}{key}")


def required_string(data: Mapping[str, object], key: str, path: str) -> str:
    """Read a required string that is not empty."""
    value = optional_string(data, key, path)
    return value or refuse(f"{path}{key} is missing")


def required_size(data: Mapping[str, object], key: str, path: str) -> int:
    """Read a size in bytes: an integer from 0 to 2^63 - 1."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SIZE_MAX_BYTES:
        refuse(f"{path}{key} is {truncated_repr(value)}; expected a size in bytes")
    return value


def optional_object(data: Mapping[str, object], key: str, path: str) -> Mapping[str, object] | None:
    """Read an object; return None if it is missing or null."""
    value = data.get(key)
    return None if value is None else _expect(value, dict, "an object", f"{path}{key}")


def optional_objects(data: Mapping[str, object], key: str, path: str) -> Sequence[Mapping[str, object]]:
    """Read a list of objects; return an empty list if it is missing or null."""
    values = data.get(key)
    if values is None:
        return ()
    items = _expect(values, list, "a list", f"{path}{key}")
    return [_expect(item, dict, "an object", f"{path}{key}[{number}]") for number, item in enumerate(items)]


def string_map(data: Mapping[str, object], key: str, path: str) -> Mapping[str, str]:
    """Read an object whose values are strings, or null for an empty one; return an empty object if it is missing."""
    value = optional_object(data, key, path) or {}
    return {name: optional_string(value, name, f"{path}{key}.") for name in value}


def string_list(data: Mapping[str, object], key: str, path: str) -> tuple[str, ...]:
    """Read a list of strings; return an empty one if it is missing."""
    value = data.get(key)
    items = [] if value is None else _expect(value, list, "a list", f"{path}{key}")
    return tuple(_expect(item, str, "a string", f"{path}{key}[{number}]") for number, item in enumerate(items))


def refuse(message: str) -> NoReturn:
    """Refuse the manifest."""
    raise InvalidManifestError(message)


def _expect(value: object, kind: type[T], name: str, path: str) -> T:
    if not isinstance(value, kind):
        refuse(f"{path} is {truncated_repr(value)}; expected {name}")
    return value
