"""The format of the Kubernetes image promoter: registries, and images by digest."""

from __future__ import annotations

from dataclasses import dataclass

from .._assets.lambda_handler.errors import InvalidReferenceError, shown
from .._assets.lambda_handler.oci import (
    Digest,
    Reference,
    RegistryHost,
    parse_registry_id,
    parse_repository_name,
    parse_tag,
)
from .._assets.lambda_handler.oci import Repository as RepositoryAddress
from .fields import Fields
from .model import Catalog, Image, ImageSettings, Repository, Source, Tag
from .nodes import Mapping, Node
from .problems import Position

ECR_PUBLIC = "public.ecr.aws"

TOP = ("registries", "images")

_REGISTRY = "public.ecr.aws/<alias>, with a prefix of names behind it if you like"


@dataclass(frozen=True, slots=True)
class Registry:
    """
    A registry, or a part of one.

    Attributes:
        name: ``host`` or ``host/path``; images lie below it.
    """

    name: str
    is_source: bool
    at: Position


@dataclass(frozen=True, slots=True)
class Listed:
    """An image by name, and what is tagged of it."""

    name: str
    at: Position
    images: tuple[tuple[Digest, Position, tuple[Tag, ...]], ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What a file of the promoter says.

    Attributes:
        at: Where it says its registries, if it does.
        registries: None if it is a bare list of images.
    """

    at: Position
    images: tuple[Listed, ...]
    registries: tuple[Registry, ...] | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """
    From where to where images go.

    Attributes:
        source: Name of a registry; None if the images are in their destination already.
        alias: Of the destination, a registry of ECR Public.
        prefix: Stands before the names of images there; may be empty.
    """

    source: str | None
    alias: str
    prefix: str


NOWHERE = Way(None, "", "")
"""Stands for a way that could not be chosen, so that images are checked all the same."""


def parse_registry(text: str) -> str:
    """
    Read the name of a registry, or of a part of one: ``host`` or ``host/path``.

    Raises:
        InvalidReferenceError: Any other form.
    """
    if "/" in text:
        RepositoryAddress.parse(text)
    else:
        RegistryHost.parse(text)
    return text


def read(node: Node, fields: Fields) -> Listing:
    """Read registries and images that are in one file."""
    top = fields.mapping(node, "the catalog", required=("registries", "images")) or {}
    registries = read_registries(top["registries"], fields) if "registries" in top else ()
    images = read_images(top["images"], fields) if "images" in top else ()
    return Listing(top.get("registries", node).at, images, registries)


def read_registries(node: Node, fields: Fields) -> tuple[Registry, ...]:
    """Read ``registries``; which of them images come from, and go to, is for ``choose``."""
    found = []
    for item, what in fields.items(node, "registries", "registries, each with a name"):
        entry = fields.mapping(item, what, required=("name",), optional=("src", "service-account")) or {}
        name = fields.text(entry["name"], f"{what}.name", parse_registry) if "name" in entry else None
        is_source = fields.flag(entry["src"], f"{what}.src") if "src" in entry else False
        if "service-account" in entry:
            # Google's; here the function's role decides what it may.
            fields.text(entry["service-account"], f"{what}.service-account", str)
        if name is not None and is_source is not None:
            found.append(Registry(name, is_source, item.at))
    return tuple(found)


def read_images(node: Node, fields: Fields, what: str = "images") -> tuple[Listed, ...]:
    """Read ``images``: name, and digests with their tags."""
    found = []
    for item, path in fields.items(node, what, "images, each with a name and a dmap"):
        entry = fields.mapping(item, path, required=("name", "dmap")) or {}
        name = fields.text(entry["name"], f"{path}.name", _parse_name) if "name" in entry else None
        images = _read_dmap(entry["dmap"], f"{path}.dmap", fields) if "dmap" in entry else ()
        if name is not None:
            found.append(Listed(name, item.at, images))
    return tuple(found)


def choose(registries: tuple[Registry, ...], at: Position, destination: str | None, fields: Fields) -> Way | None:
    """Choose among the registries of a file; *destination* is the name of one of them."""
    sources = [registry for registry in registries if registry.is_source]
    for registry in sources[1:]:
        what = f"registries: {sources[0].name} has src: true already; images come from one registry: remove one"
        fields.refuse(registry.at, what)
    if destination is None:
        chosen = [registry for registry in registries if not registry.is_source]
    else:
        # The source may be the destination too: its images are tagged where they are.
        chosen = [registry for registry in registries if registry.name == destination][:1]
    if len(chosen) != 1:
        fields.refuse(at, _which(registries, chosen, destination))
        return None
    return way(sources[0].name if sources else None, chosen[0].name, chosen[0].at, fields)


def way(source: str | None, destination: str, at: Position | None, fields: Fields) -> Way | None:
    """Check that images can go to *destination*: it has to be ECR Public."""
    host, _, path = destination.partition("/")
    alias, _, prefix = path.partition("/")
    if host != ECR_PUBLIC or not alias:
        fields.refuse(at, f"{shown(destination)} is no registry of Amazon ECR Public; expected {_REGISTRY}")
        return None
    try:
        parse_registry_id(alias)
    except InvalidReferenceError as error:
        fields.refuse(at, f"{shown(destination)}: {error.message}")
        return None
    return Way(None if source == destination else source, alias, prefix)


def catalog(listed: tuple[Listed, ...], where: Way, settings: ImageSettings, fields: Fields) -> Catalog:
    """Make a catalog of a list of images, and of the way that they go."""
    repositories: dict[str, Repository] = {}
    for each in listed:
        name = f"{where.prefix}/{each.name}" if where.prefix else each.name
        if name in repositories:
            what = f"image {shown(each.name)} is there already, on line {repositories[name].at.line}: merge the two"
            fields.refuse(each.at, what)
            continue
        images = [
            Image(at=at, source=_source(where, each.name, digest), tags=tags, settings=settings)
            for digest, at, tags in each.images
        ]
        repositories[name] = Repository(name=name, at=each.at, images=tuple(images))
    return Catalog(registry=where.alias, repositories=tuple(repositories.values()))


def _read_dmap(node: Node, what: str, fields: Fields) -> tuple[tuple[Digest, Position, tuple[Tag, ...]], ...]:
    found = []
    if isinstance(node, Mapping) and not node.entries:
        fields.refuse(node.at, f"{what}: is empty; expected at least one digest")
    for digest, at, value in fields.table(node, what, Digest.parse, "digests to lists of tags"):
        path = f"{what}.{str(digest)[:19]}…" if digest else what
        tags = fields.texts(value, path, parse_tag, "tags; [] publishes by digest only")
        if digest is not None:
            found.append((digest, at, tuple(Tag(text, place) for text, place in tags)))
    return tuple(found)


def _source(where: Way, name: str, digest: Digest) -> Source:
    if where.source is None:
        return digest
    return Reference(RepositoryAddress.parse(f"{where.source}/{name}"), digest=digest)


def _parse_name(text: str) -> str:
    # A prefix may come before it, so a name alone may be shorter.
    parse_repository_name(text if len(text) > 1 else f"{text}{text}")
    return text


def _which(registries: tuple[Registry, ...], others: list[Registry], destination: str | None) -> str:
    names = ", ".join(registry.name for registry in registries) or "none"
    if destination is not None:
        return f"registries: destination={shown(destination)} is none of them; there are: {names}"
    if others:
        return f"registries: several are destinations; choose one with destination=: {names}"
    return f"registries: none is a destination; add {_REGISTRY}"
