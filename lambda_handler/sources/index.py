"""An index that is assembled from images of any kind of source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..concurrency import map_concurrently
from ..errors import InvalidManifestError, RuleViolationError
from ..oci import Descriptor, ManifestMediaType, Platform
from ..oci.assemble import assemble_index
from ..publish.content import Content, content_of_parts, select
from ..publish.ports import SourcePorts
from ..values import Value
from . import Source

NESTED_MAX = 10
"""How deep indexes may nest. They are flattened, so one level is enough."""

MAX_CONCURRENT_PARTS = 8
"""How many parts are resolved at the same time."""

_ENTRY_KEYS = frozenset({"Source", "Platform", "Annotations"})
_KEYS = frozenset({"Manifests", "MediaType", "Annotations"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPart:
    """
    One part of the index.

    Attributes:
        platform: The platform that the part must have; None accepts any.
    """

    source: Source
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, ports: SourcePorts) -> tuple[Content, Sequence[Descriptor]]:
        """Resolve the source, and return its entries for the index: several if it is an index itself."""
        content = self.source.resolve(ports, [self.platform] if self.platform else [])
        return content, tuple(self._entries(content))

    def _entries(self, content: Content) -> Iterator[Descriptor]:
        root = content.root
        if root.is_index:
            for child in root.children:
                notes = {**child.annotations, **self.annotations}
                yield replace(child, annotations=notes) if child.image_platform else child
            return
        found = next(iter(content.platforms), None)
        yield Descriptor(
            media_type=root.media_type.value,
            digest=root.digest,
            size=root.size,
            platform=found.with_variant_of(self.platform) if found and self.platform else found,
            annotations=self.annotations,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSource:
    """
    An index of these parts. The same parts always produce the same bytes.

    If a part is an index, its entries for the requested platform, including
    their attestations, become entries of this index.

    Shape:
        ``"Index": {"Manifests": [{"Source": {"Digest": "sha256:…"},
        "Platform": "linux/arm64", "Annotations": {…}}], "MediaType": "…",
        "Annotations": {…}}``; all but ``Manifests`` and ``Source`` optional.
    """

    parts: tuple[IndexPart, ...]
    media_type: ManifestMediaType = ManifestMediaType.OCI_INDEX
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def decode(cls, value: Value) -> IndexSource:
        """Decode ``Source.Index``."""
        if value.path.count(".Index") > NESTED_MAX:
            value.refuse(f"is nested in {NESTED_MAX} other indexes; list its images in the outermost one")
        fields = value.fields(_KEYS, required={"Manifests"})
        parts = fields["Manifests"].each(_part)
        if not parts:
            fields["Manifests"].refuse("is empty; an index needs at least one image")
        return cls(
            parts=parts,
            media_type=fields["MediaType"].parse(_index_type) if "MediaType" in fields else ManifestMediaType.OCI_INDEX,
            annotations=fields["Annotations"].string_map() if "Annotations" in fields else {},
        )

    @property
    def pinned(self) -> None:
        """None: the digest depends on the parts."""
        return None

    @property
    def copies(self) -> bool:
        """Whether a part does."""
        return any(part.source.copies for part in self.parts)

    @property
    def needs_login(self) -> bool:
        """Whether a part does."""
        return any(part.source.needs_login for part in self.parts)

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Resolve all parts concurrently, and assemble the index."""
        resolved = map_concurrently(lambda part: part.resolve(ports), self.parts, max_workers=MAX_CONCURRENT_PARTS)
        contents = [content for content, _ in resolved]
        entries = [entry for _, entries in resolved for entry in entries]
        _refuse_duplicate_platforms(entries)
        root = assemble_index(entries, media_type=self.media_type, annotations=self.annotations)
        selected, _ = select(root, ports.destination, platforms)
        return content_of_parts(selected, ports.destination, contents)


def _index_type(text: str) -> ManifestMediaType:
    media_type = ManifestMediaType.parse(text)
    if not media_type.is_index:
        message = f"{text!r} is not the media type of an index"
        raise InvalidManifestError(message)
    return media_type


def _part(value: Value) -> IndexPart:
    from . import decode_source  # noqa: PLC0415 - a part may have any kind of source, including this one

    fields = value.fields(_ENTRY_KEYS, required={"Source"})
    return IndexPart(
        source=decode_source(fields["Source"]),
        platform=fields["Platform"].parse(Platform.parse) if "Platform" in fields else None,
        annotations=fields["Annotations"].string_map() if "Annotations" in fields else {},
    )


def _refuse_duplicate_platforms(entries: Sequence[Descriptor]) -> None:
    """Refuse different images for the same platform: which one a client pulls would be undefined."""
    images = {(entry.digest, entry.image_platform) for entry in entries if entry.image_platform}
    duplicates = sorted(str(platform) for platform, count in Counter(each for _, each in images).items() if count > 1)
    if duplicates:
        raise RuleViolationError([f"the index would have two images for {', '.join(duplicates)}"])
