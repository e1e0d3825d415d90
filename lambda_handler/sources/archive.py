"""An image out of an archive in S3: an OCI image layout, or a ``docker save``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..archive import open_archive
from ..oci import Platform
from ..publish.content import Content, copied
from ..publish.ports import SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSource:
    """
    An image of an archive, copied with all that it refers to.

    Shape:
        ``"Archive": {"Bucket": "…", "Key": "…"}`` and, where the archive has
        several images, ``"Reference": "docker.io/library/agent:1.4"``
    """

    bucket: str
    key: str
    reference: str = ""

    @classmethod
    def decode(cls, value: Value) -> ArchiveSource:
        """Read ``Source.Archive``."""
        fields = value.fields({"Bucket", "Key", "Reference"})
        if missing := {"Bucket", "Key"} - fields.keys():
            value.refuse(f"{' and '.join(sorted(missing))} is missing")
        texts = {name: field.string() for name, field in fields.items()}
        return cls(bucket=texts["Bucket"], key=texts["Key"], reference=texts.get("Reference", ""))

    @property
    def pinned(self) -> None:
        """Nothing: an object may be replaced, and of a ``docker save`` a digest names the config only."""
        return None

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Find the image in the archive, and read its manifest and all below it."""
        archive = open_archive(ports.objects.open(self.bucket, self.key))
        return copied(archive.find(self.reference), archive, platforms)
