"""An image from an archive in S3: an OCI image layout or ``docker save`` output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..archive import open_archive
from ..oci import Platform
from ..publish.content import Content, content_to_copy
from ..publish.ports import SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSource:
    """
    An image from an archive, copied with everything that it refers to.

    Shape:
        ``"Archive": {"Bucket": "…", "Key": "…"}`` and, if the archive has
        several images, ``"Reference": "docker.io/library/agent:1.4"``
    """

    bucket: str
    key: str
    reference: str = ""

    @classmethod
    def decode(cls, value: Value) -> ArchiveSource:
        """Decode ``Source.Archive``."""
        fields = value.fields({"Bucket", "Key", "Reference"}, required={"Bucket", "Key"})
        strings = {name: field.string() for name, field in fields.items()}
        return cls(bucket=strings["Bucket"], key=strings["Key"], reference=strings.get("Reference", ""))

    @property
    def pinned(self) -> None:
        """None: an object may be replaced, and a digest in a ``docker save`` archive is that of the config."""
        return None

    @property
    def copies(self) -> bool:
        """True: the image is in an archive."""
        return True

    @property
    def needs_login(self) -> bool:
        """True: layers are uploaded."""
        return True

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Find the image in the archive, and read all of its manifests."""
        archive = open_archive(ports.objects.open(self.bucket, self.key))
        return content_to_copy(archive.find(self.reference), archive, platforms)
