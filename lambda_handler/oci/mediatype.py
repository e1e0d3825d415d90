"""Media types of manifests."""

from __future__ import annotations

from enum import StrEnum

from ..errors import InvalidManifestError, truncated_repr


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
