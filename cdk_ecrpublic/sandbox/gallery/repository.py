"""The page of a repository: its tags, its images, and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cdk_ecrpublic._assets.lambda_handler.oci import Descriptor

from ..store.state import Repository, StoredImage, StoredTag
from .addresses import image_url
from .formats import Moment, moment, value_text
from .paging import Page, page_of
from .relations import LEVELS_MAX, Relations, is_cosign_tag
from .summaries import Summary, parse, pull_command, summarize

TAGS_PER_PAGE = 50
IMAGES_PER_PAGE = 25

BELOW_MAX = 12
"""How many of its children and of its attachments are shown below an image. The image's page has more."""

TAGS_SHOWN = 5
DESCRIPTION_FIELDS = (("aboutText", "About"), ("usageText", "Usage"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TagLine:
    """One tag, the image that it points to, and since when."""

    name: str
    url: str
    image: Summary
    since: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLine:
    """
    One image in the list.

    Attributes:
        level: 0 for a root; 1 for what belongs to it, and so on.
        relation: ``attached`` or ``listed``; empty for a root.
        tags: The latest of its tags.
        more_tags: How many more tags it has.
    """

    image: Summary
    url: str
    level: int
    relation: str
    tags: tuple[str, ...]
    more_tags: int
    pushed: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGroup:
    """
    An image and what belongs to it.

    Attributes:
        hidden: How many images that belong to it are left out.
    """

    lines: tuple[ImageLine, ...]
    hidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPage:
    """
    The page of a repository.

    Attributes:
        uri: The repository in references: ``127.0.0.1:4566/p8v8e7e5/acme/agent``.
        pull_command: The command that pulls the latest tag; empty if there is none.
        texts: The long texts of the catalog data, with their headings.
        search: What the tags must contain.
        has_tags: Whether there are tags that the search may have left out.
    """

    alias: str
    name: str
    uri: str
    account: str
    created: Moment
    description: str
    architectures: tuple[str, ...]
    operating_systems: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]
    pull_command: str
    search: str
    has_tags: bool
    tags: Page[TagLine]
    images: Page[ImageGroup]
    total_images: int


def repository_page(
    repository: Repository, alias: str, host: str, query: Mapping[str, str], now: float
) -> RepositoryPage:
    """Describe a repository."""
    relations, uri = Relations.of(repository), f"{host}/{alias}/{repository.name}"
    search = query.get("search", "").strip()
    tags = sorted(repository.all_tags(), key=lambda item: (-item[1].created_at, item[0]))
    own = [item for item in tags if not is_cosign_tag(item[0])]
    found = [item for item in own if search.lower() in item[0].lower()]
    drawing = _Drawing(repository, alias, relations, now)
    catalog = repository.catalog_data or {}
    return RepositoryPage(
        alias=alias,
        name=repository.name,
        uri=uri,
        account=repository.account,
        created=moment(repository.created_at, now),
        description=value_text(catalog.get("description") or ""),
        architectures=_strings(catalog.get("architectures")),
        operating_systems=_strings(catalog.get("operatingSystems")),
        texts=tuple((title, str(catalog[key])) for key, title in DESCRIPTION_FIELDS if catalog.get(key)),
        pull_command=drawing.pull_command(uri, *own[0]) if own else "",
        search=search,
        has_tags=bool(own),
        tags=page_of(found, TAGS_PER_PAGE, query, "tags").map(lambda item: drawing.tag(*item)),
        images=page_of(relations.roots, IMAGES_PER_PAGE, query, "images").map(drawing.group),
        total_images=len(relations.images),
    )


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Turns the images of a repository into lines."""

    repository: Repository
    alias: str
    relations: Relations
    now: float

    def tag(self, name: str, tag: StoredTag) -> TagLine:
        image = self.relations.images[tag.digest]
        return TagLine(
            name=name,
            url=self._url(image),
            image=summarize(self.repository, image),
            since=moment(tag.created_at, self.now),
        )

    def pull_command(self, uri: str, name: str, tag: StoredTag) -> str:
        summary = summarize(self.repository, self.relations.images[tag.digest])
        return pull_command(summary.type, uri, tag=name)

    def group(self, root: StoredImage) -> ImageGroup:
        branch = _Branch()
        lines = tuple(self._lines(root, 0, "", None, branch))
        return ImageGroup(lines=lines, hidden=branch.hidden)

    def _lines(
        self, image: StoredImage, level: int, relation: str, entry: Descriptor | None, branch: _Branch
    ) -> Iterator[ImageLine]:
        yield self._line(image, level, relation, entry)
        below = [*self._children(image), *self._attached(image)]
        branch.hidden += max(len(below) - BELOW_MAX, 0)
        for other, how, its_entry in below[:BELOW_MAX]:
            if level >= LEVELS_MAX or branch.left <= 0:
                branch.hidden += 1
                continue
            branch.left -= 1
            yield from self._lines(other, level + 1, how, its_entry, branch)

    def _line(self, image: StoredImage, level: int, relation: str, entry: Descriptor | None) -> ImageLine:
        tags = [name for name, _ in self.relations.tags.get(image.digest, ())]
        return ImageLine(
            image=summarize(self.repository, image, entry),
            url=self._url(image),
            level=level,
            relation=relation,
            tags=tuple(tags[:TAGS_SHOWN]),
            more_tags=max(len(tags) - TAGS_SHOWN, 0),
            pushed=moment(image.pushed_at, self.now),
        )

    def _children(self, image: StoredImage) -> Sequence[tuple[StoredImage, str, Descriptor | None]]:
        if not image.children:
            return ()
        manifest = parse(image)
        entries = {child.digest: child for child in manifest.children} if manifest else {}
        stored = (self.relations.images.get(child) for child in dict.fromkeys(image.children))
        return [(child, "listed", entries.get(child.digest)) for child in stored if child]

    def _attached(self, image: StoredImage) -> Sequence[tuple[StoredImage, str, Descriptor | None]]:
        found = self.relations.attached.get(image.digest, ())
        return [(self.relations.images[digest], "attached", None) for digest in found]

    def _url(self, image: StoredImage) -> str:
        return image_url(self.alias, self.repository.name, str(image.digest))


@dataclass(slots=True)
class _Branch:
    """How many more lines a root may have, and how many were left out."""

    left: int = field(default=3 * BELOW_MAX)
    hidden: int = 0


def _strings(value: object) -> tuple[str, ...]:
    return tuple(value_text(item) for item in value) if isinstance(value, list | tuple) else ()
