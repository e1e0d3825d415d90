"""Descriptors: what a manifest says about the content that it refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InvalidDigestError
from . import _fields
from .bounded_json import check_keys
from .digest import Digest
from .mediatype import ManifestMediaType
from .platform import Platform

_KEYS = ("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")
_PLATFORM_KEYS = ("os", "architecture", "variant", "os.version", "os.features", "features")

_IMAGE_ARTIFACTS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
"""Media types of image configs, which some tools set as the ``artifactType`` of an ordinary image."""


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
            media_type=_fields.required_string(data, "mediaType", path),
            digest=_digest(_fields.required_string(data, "digest", path), path),
            size=_fields.required_size(data, "size", path),
            platform=_platform(data, path),
            artifact_type=_fields.optional_string(data, "artifactType", path),
            urls=_fields.string_list(data, "urls", path),
            annotations=_fields.string_map(data, "annotations", path),
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
        return _fields.refuse(f"{path}digest: {error}")


def _platform(data: Mapping[str, object], path: str) -> Platform | None:
    """Read a platform. Tools in Go write one without ``os`` and ``architecture`` for an artifact: it has none."""
    platform = _fields.optional_object(data, "platform", path)
    if platform is None:
        return None
    where = f"{path}platform."
    check_keys(platform, _PLATFORM_KEYS, where)
    os, architecture = (_fields.optional_string(platform, key, where) for key in ("os", "architecture"))
    found = Platform(
        os,
        architecture,
        _fields.optional_string(platform, "variant", where),
        _fields.optional_string(platform, "os.version", where),
        _fields.string_list(platform, "os.features", where),
    )
    return found if os and architecture else None
