"""The page of an image: its manifest, its config, and what it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cdk_ecrpublic._assets.lambda_handler.oci import Descriptor, Digest, Manifest

from ..store.state import Repository, StoredImage
from .addresses import image_url, manifest_url
from .config import Config, read_config
from .formats import Moment, moment, size_text, value_text
from .manifest_text import ManifestText, layout
from .relations import Relations
from .summaries import Summary, parse, platforms_of, pull_command, summarize, type_of

ROWS_MAX = 100
"""How many rows of a table are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """
    The rows of a table, up to a limit.

    Attributes:
        total: The number of rows without the limit.
    """

    shown: tuple[object, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """
    One layer.

    Attributes:
        is_stored: Whether the repository has it. Foreign layers are elsewhere.
    """

    digest: str
    media_type: str
    size: str
    is_stored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedRow:
    """
    An image that belongs to this one, or to which this one belongs.

    Attributes:
        image: None if the repository does not have it.
        url: Its page; empty if the repository does not have it.
        platform: The platform in the index that lists it.
    """

    digest: str
    url: str
    image: Summary | None
    platform: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePage:
    """
    The page of an image.

    Attributes:
        uri: The repository in references.
        pull_command: The command that pulls it, by its latest tag if it has one.
        raw_url: The address of the bytes of the manifest.
        file_name: The name of the file with the manifest.
    """

    alias: str
    name: str
    uri: str
    pull_command: str
    digest: str
    type: str
    platforms: tuple[str, ...]
    media_type: str
    artifact_type: str
    size: str
    manifest_size: str
    pushed: Moment
    tags: Rows
    config: Config
    children: Rows
    layers: Rows
    annotations: Rows
    parents: Rows
    subject: RelatedRow | None
    attached: Rows
    manifest: ManifestText
    raw_url: str
    file_name: str


def image_page(repository: Repository, image: StoredImage, alias: str, host: str, now: float) -> ImagePage:
    """Describe an image."""
    relations, manifest = Relations.of(repository), parse(image)
    related = _Related(repository, alias, relations)
    config = read_config(repository, next(iter(image.layers), None))
    uri, kind = f"{host}/{alias}/{repository.name}", type_of(image, manifest)
    tags = relations.tags.get(image.digest, ())
    return ImagePage(
        alias=alias,
        name=repository.name,
        uri=uri,
        pull_command=pull_command(kind, uri, tag=tags[0][0] if tags else "", digest=str(image.digest)),
        digest=str(image.digest),
        type=kind,
        platforms=(config.platform,) if config.platform else platforms_of(repository, image, manifest),
        media_type=image.media_type,
        artifact_type=value_text(image.artifact_type),
        size=size_text(image.size),
        manifest_size=size_text(len(image.content)),
        pushed=moment(image.pushed_at, now),
        tags=_rows((name, moment(tag.created_at, now)) for name, tag in tags),
        config=config,
        children=related.children(manifest),
        layers=_layers(repository, manifest),
        annotations=_rows((value_text(name), value_text(value)) for name, value in image.annotations.items()),
        parents=related.rows(relations.parents.get(image.digest, ())),
        subject=related.row(image.subject) if image.subject else None,
        attached=related.rows(relations.attached.get(image.digest, ())),
        manifest=layout(image.content),
        raw_url=manifest_url(alias, repository.name, str(image.digest)),
        file_name=f"{repository.name.rpartition('/')[2]}-{image.digest.hex[:12]}.json",
    )


@dataclass(frozen=True, slots=True)
class _Related:
    """Describes other images of the repository."""

    repository: Repository
    alias: str
    relations: Relations

    def row(self, digest: Digest, entry: Descriptor | None = None) -> RelatedRow:
        image = self.relations.images.get(digest)
        platform = entry.image_platform if entry else None
        return RelatedRow(
            digest=str(digest),
            url=image_url(self.alias, self.repository.name, str(digest)) if image else "",
            image=summarize(self.repository, image, entry) if image else None,
            platform=value_text(str(platform)) if platform else "",
            tags=tuple(name for name, _ in self.relations.tags.get(digest, ())[:1]),
        )

    def rows(self, digests: Sequence[Digest]) -> Rows:
        return Rows(shown=tuple(self.row(digest) for digest in digests[:ROWS_MAX]), total=len(digests))

    def children(self, manifest: Manifest | None) -> Rows:
        entries = manifest.children if manifest else ()
        return Rows(shown=tuple(self.row(entry.digest, entry) for entry in entries[:ROWS_MAX]), total=len(entries))


def _layers(repository: Repository, manifest: Manifest | None) -> Rows:
    layers = manifest.blobs[1:] if manifest else ()
    shown = [
        LayerRow(
            digest=str(layer.digest),
            media_type=value_text(layer.media_type),
            size=size_text(layer.size),
            is_stored=layer.digest in repository.layers,
        )
        for layer in layers[:ROWS_MAX]
    ]
    return Rows(shown=tuple(shown), total=len(layers))


def _rows(items: Iterable[object]) -> Rows:
    every = tuple(items)
    return Rows(shown=every[:ROWS_MAX], total=len(every))
