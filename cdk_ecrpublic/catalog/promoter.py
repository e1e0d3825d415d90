"""The format of the Kubernetes image promoter: registries, and images by digest."""

from __future__ import annotations

from dataclasses import dataclass

from .._assets.lambda_handler.errors import InvalidReferenceError, truncated_repr
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
from .nodes import Node, position
from .problems import Position
from .selection import Selection

ECR_PUBLIC = "public.ecr.aws"

TOP = ("registries", "images")
IGNORED = ("imagesPath",)
"""A former key for the path of the images, which the promoter ignores too."""

_REGISTRY = "public.ecr.aws/<alias>, optionally followed by a prefix of names"


@dataclass(frozen=True, slots=True)
class Registry:
    """
    A registry, or a part of one.

    Attributes:
        name: ``host`` or ``host/path``, which precedes the names of images.
    """

    name: str
    is_source: bool
    at: Position


@dataclass(frozen=True, slots=True)
class Listed:
    """An image name, with its digests and tags."""

    name: str
    at: Position
    images: tuple[tuple[Digest, Position, tuple[Tag, ...]], ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """
    The content of a promoter file.

    Attributes:
        at: The position of its registries, if there are any.
        registries: None for a list of images.
    """

    at: Position
    images: tuple[Listed, ...]
    registries: tuple[Registry, ...] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """
    The source and destination of images.

    Attributes:
        source: The name of a registry; None if the images are in their destination already.
        alias: The alias of the destination in ECR Public.
        prefix: The prefix of the names in the destination; may be empty.
    """

    source: str | None
    alias: str
    prefix: str


NO_ROUTE = Route(None, "", "")
"""Used if no route could be chosen, so that images are still checked."""


def parse_registry(text: str) -> str:
    """
    Parse the name of a registry or of a part of one: ``host`` or ``host/path``.

    Raises:
        InvalidReferenceError: *text* has another form.
    """
    if "/" in text:
        RepositoryAddress.parse(text)
    else:
        RegistryHost.parse(text)
    return text


def read(node: Node, selection: Selection, fields: Fields) -> Listing:
    """Read a file that has registries and images."""
    top = fields.mapping(node, "the catalog", required=TOP, optional=IGNORED) or {}
    registries = read_registries(top["registries"], fields) if "registries" in top else ()
    images = read_images(top["images"], selection, fields) if "images" in top else ()
    return Listing(position(top.get("registries", node)), images, registries)


def read_registries(node: Node, fields: Fields) -> tuple[Registry, ...]:
    """Read ``registries``; ``choose`` selects the source and destination."""
    found = []
    for item, what in fields.items(node, "registries", "registries, each with a name"):
        entry = fields.mapping(item, what, required=("name",), optional=("src", "service-account")) or {}
        name = fields.string(entry["name"], f"{what}.name", parse_registry) if "name" in entry else None
        is_source = fields.flag(entry["src"], f"{what}.src") if "src" in entry else False
        if "service-account" in entry:
            # A Google service account; here the role of the function has the permissions.
            fields.string(entry["service-account"], f"{what}.service-account", str)
        if name is not None and is_source is not None:
            found.append(Registry(name, is_source, position(item)))
    return tuple(found)


def read_images(node: Node, selection: Selection, fields: Fields) -> tuple[Listed, ...]:
    """
    Read ``images``: names, and digests with their tags.

    Images outside *selection* are not checked, so that problems in a foreign
    file do not matter for other images.
    """
    found = []
    for item, path in fields.items(node, "images", "images, each with a name and a dmap"):
        entry = fields.mapping(item, path, required=("name",), optional=("dmap",)) or {}
        name = fields.string(entry["name"], f"{path}.name", _parse_name) if "name" in entry else None
        if name is not None and not selection.has(name):
            continue
        images = _read_dmap(entry["dmap"], f"{path}.dmap", fields) if "dmap" in entry else ()
        if name is not None:
            selected = [(digest, at, selection.tags(name, tags)) for digest, at, tags in images]
            images = tuple((digest, at, tags) for digest, at, tags in selected if tags is not None)
            found.append(Listed(name, position(item), images))
    return tuple(found)


def choose(registries: tuple[Registry, ...], at: Position, destination: str | None, fields: Fields) -> Route | None:
    """Choose the route among the registries of a file; *destination* is the name of one of them."""
    sources = [registry for registry in registries if registry.is_source]
    for registry in sources[1:]:
        what = f"registries: {sources[0].name} also has src: true; only one registry can be the source: remove one"
        fields.refuse(registry.at, what)
    named = [registry for registry in registries if not registry.is_source and _is_ecr_public(registry.name)]
    usual = [registry for registry in named if registry.name.partition("/")[0] == ECR_PUBLIC]
    ours = usual or named
    if destination is not None:
        # The source may also be the destination; its images are then only tagged.
        exact = [registry for registry in registries if registry.name == destination][:1]
        ours = exact or [registry for registry in named if _is_same(registry.name, destination)][:1] or usual
        if not ours:
            # A foreign file, which does not list our registry.
            return route_to(sources[0].name if sources else None, destination, None, fields)
    if len(ours) != 1 or not (destination is None or _is_same(destination, ours[0].name)):
        fields.refuse(at, _which(registries, ours, destination))
        return None
    return route_to(sources[0].name if sources else None, ours[0].name, ours[0].at, fields)


def route_to(source: str | None, destination: str, at: Position | None, fields: Fields) -> Route | None:
    """Return the route to *destination*, which must be in ECR Public."""
    _, _, path = destination.partition("/")
    alias, _, prefix = path.partition("/")
    if not _is_ecr_public(destination) or not alias:
        fields.refuse(at, f"{truncated_repr(destination)} is not a registry of Amazon ECR Public; expected {_REGISTRY}")
        return None
    try:
        parse_registry_id(alias)
    except InvalidReferenceError as error:
        fields.refuse(at, f"{truncated_repr(destination)}: {error.message}")
        return None
    return Route(None if source == destination else source, alias, prefix)


def catalog(listed: tuple[Listed, ...], where: Route, settings: ImageSettings) -> Catalog:
    """
    Create a catalog from a list of images and their route.

    Tools append to these lists, so items with the same name are merged.
    """
    items: dict[str, list[Listed]] = {}
    for each in listed:
        items.setdefault(each.name, []).append(each)
    repositories = []
    for name, same in items.items():
        address = RepositoryAddress.parse(f"{where.source}/{name}") if where.source else None
        images = [
            Image(at=at, source=_source(address, digest), tags=tags, settings=settings)
            for digest, (at, tags) in _merged(same).items()
        ]
        full_name = f"{where.prefix}/{name}" if where.prefix else name
        repositories.append(Repository(name=full_name, at=same[0].at, images=tuple(images)))
    return Catalog(registry=where.alias, repositories=tuple(repositories))


def _merged(items: list[Listed]) -> dict[Digest, tuple[Position, tuple[Tag, ...]]]:
    """Merge the tags of each digest from several items, without duplicates."""
    found: dict[Digest, tuple[Position, dict[str, Tag]]] = {}
    for digest, at, tags in (image for item in items for image in item.images):
        _, known = found.setdefault(digest, (at, {}))
        for tag in tags:
            known.setdefault(tag.text, tag)
    return {digest: (at, tuple(tags.values())) for digest, (at, tags) in found.items()}


def _source(repository: RepositoryAddress | None, digest: Digest) -> Source:
    return digest if repository is None else Reference(repository, digest=digest)


def _read_dmap(node: Node, what: str, fields: Fields) -> tuple[tuple[Digest, Position, tuple[Tag, ...]], ...]:
    found = []
    for digest, at, value in fields.table(node, what, Digest.parse, "digests to lists of tags"):
        path = f"{what}.{str(digest)[:19]}…" if digest else what
        tags = fields.strings(value, path, parse_tag, "tags; [] publishes by digest only")
        if digest is not None:
            found.append((digest, at, tuple(Tag(text, place) for text, place in tags)))
    return tuple(found)


def _parse_name(text: str) -> str:
    # A prefix may be added, so the name alone may be shorter.
    parse_repository_name(text if len(text) > 1 else f"{text}{text}")
    return text


def _is_ecr_public(registry: str) -> bool:
    return _host(registry) == RegistryHost(ECR_PUBLIC)


def _is_same(one: str, other: str) -> bool:
    """Whether two names mean the same registry; a host may have several names."""
    return (_host(one), one.partition("/")[2]) == (_host(other), other.partition("/")[2])


def _host(registry: str) -> RegistryHost | None:
    """Return the host of a registry by its canonical name; None if it is invalid."""
    try:
        return RegistryHost.parse(registry.partition("/")[0]).canonical
    except InvalidReferenceError:
        return None


def _which(registries: tuple[Registry, ...], ours: list[Registry], destination: str | None) -> str:
    names = ", ".join(registry.name for registry in registries) or "none"
    if destination is not None:
        return f"registries: destination={truncated_repr(destination)} is not one of them; registries: {names}"
    if ours:
        return f"registries: there are several destinations; select one with destination=: {names}"
    return f"registries: there is no destination in Amazon ECR Public; set destination= or add {_REGISTRY}"
