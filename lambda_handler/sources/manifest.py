"""A manifest given as text: any index, image or artifact whose content is in the repository already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..oci import MANIFEST_MAX_BYTES, Digest, Manifest, Platform
from ..publish.content import Content, given
from ..publish.ports import SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSource:
    """
    Exactly these bytes, inline or as an object in S3.

    Shape:
        ``"Manifest": {"Body": "<the manifest's text>", "MediaType": "…"}``
        or ``{"Bucket": "…", "Key": "…", "MediaType": "…"}``; ``MediaType``
        is optional when the manifest names its own.
    """

    body: str = ""
    bucket: str = ""
    key: str = ""
    media_type: str = ""

    @classmethod
    def decode(cls, value: Value) -> ManifestSource:
        """Read ``Source.Manifest``; an inline body must be a manifest that ECR Public stores."""
        fields = value.fields({"Body", "Bucket", "Key", "MediaType"})
        texts = {name: field.string() for name, field in fields.items()}
        if texts.keys() - {"MediaType"} not in ({"Body"}, {"Bucket", "Key"}):
            value.refuse("expected either Body, or Bucket and Key")
        source = cls(
            body=texts.get("Body", ""),
            bucket=texts.get("Bucket", ""),
            key=texts.get("Key", ""),
            media_type=texts.get("MediaType", ""),
        )
        if source.body:
            fields["Body"].parse(lambda body: Manifest.parse(body.encode(), source.media_type))
        return source

    @property
    def pinned(self) -> Digest | None:
        """The digest of the text; an object may be replaced."""
        return Manifest.parse(self.body.encode(), self.media_type).digest if self.body else None

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Take the bytes as they are; what they refer to has to be in place."""
        content = self.body.encode() if self.body else ports.objects.read(self.bucket, self.key, MANIFEST_MAX_BYTES)
        return given(Manifest.parse(content, self.media_type), ports.destination, platforms)
