"""A manifest by its content: an index, image or artifact whose blobs are already in the repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..oci import MANIFEST_MAX_BYTES, Digest, Manifest, Platform
from ..publish.content import Content, content_of_manifest
from ..publish.ports import SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSource:
    """
    A manifest with exactly these bytes, inline or from an object in S3.

    Attributes:
        inline: The manifest in ``Body``; None if it is read from S3.

    Shape:
        ``"Manifest": {"Body": "<the manifest>", "MediaType": "…"}`` or
        ``{"Bucket": "…", "Key": "…", "MediaType": "…"}``; ``MediaType`` is
        optional if the manifest has a mediaType.
    """

    inline: Manifest | None = None
    bucket: str = ""
    key: str = ""
    media_type: str = ""

    @classmethod
    def decode(cls, value: Value) -> ManifestSource:
        """Decode ``Source.Manifest``; an inline body must be a manifest that ECR Public stores."""
        fields = value.fields({"Body", "Bucket", "Key", "MediaType"})
        strings = {name: field.string() for name, field in fields.items()}
        if strings.keys() - {"MediaType"} not in ({"Body"}, {"Bucket", "Key"}):
            value.refuse("expected either Body, or Bucket and Key")
        media_type = strings.get("MediaType", "")
        if "Body" in fields:
            return cls(inline=fields["Body"].parse(lambda body: Manifest.parse(body.encode(), media_type)))
        return cls(bucket=strings["Bucket"], key=strings["Key"], media_type=media_type)

    @property
    def pinned(self) -> Digest | None:
        """The digest of an inline manifest; None for an object in S3, which may be replaced."""
        return self.inline.digest if self.inline else None

    @property
    def copies(self) -> bool:
        """False: everything that the manifest refers to is in the repository."""
        return False

    @property
    def needs_login(self) -> bool:
        """False: manifests are put by the control-plane API."""
        return False

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Read the manifest; everything that it refers to must be in the repository."""
        manifest = self.inline or Manifest.parse(
            ports.objects.read(self.bucket, self.key, MANIFEST_MAX_BYTES), self.media_type
        )
        return content_of_manifest(manifest, ports.destination, platforms)
