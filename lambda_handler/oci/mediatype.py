"""The kinds of manifest."""

from __future__ import annotations

from enum import StrEnum

from ..errors import InvalidManifestError, shown


class ManifestMediaType(StrEnum):
    """
    The four media types of manifest that ECR Public stores.

    Source:
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
        Read a media type from outside.

        Raises:
            InvalidManifestError: For any other type.
        """
        try:
            return cls(text)
        except ValueError:
            message = (
                f"{shown(text)} is not a media type of a manifest that ECR Public stores; allowed: {', '.join(cls)}"
            )
            raise InvalidManifestError(message) from None

    @property
    def is_index(self) -> bool:
        """Whether a manifest of this type lists other manifests."""
        return self in {ManifestMediaType.OCI_INDEX, ManifestMediaType.DOCKER_LIST}
