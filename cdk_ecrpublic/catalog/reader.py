"""Reads a catalog's file: the model, or all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .._assets.lambda_handler.errors import InvalidReferenceError, shown
from . import conflicts, native, promoter
from .fields import Fields
from .model import Catalog, ImageSettings
from .nodes import Items, Mapping, Node, Refused, parse
from .problems import Position, Problems

CATALOG_MAX_BYTES = 1024 * 1024
"""No more than a CloudFormation template may have, which a catalog is smaller than."""


_FORMATS = "a mapping with repositories, one with registries and images, or a list of images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """
    What a file does not say itself; see ``PublicImageCatalog.from_file``.

    Attributes:
        registries: The file with the registries of a bare list of images.
        source: Registry that images of a bare list come from.
        destination: Registry that images go to, where the file leaves it open.
        defaults: For images of which the file says nothing.
    """

    registries: Path | None = None
    source: str | None = None
    destination: str | None = None
    defaults: ImageSettings = field(default_factory=ImageSettings)


def read_catalog(path: Path, arguments: Arguments | None = None) -> Catalog:
    """
    Read a catalog of any format.

    Args:
        path: At most 1 MiB of UTF-8.
        arguments: What the file does not say itself. Default: nothing.

    Raises:
        CatalogError: With all problems of the file.
    """
    problems = Problems(str(path))
    fields = Fields(problems)
    node = _read_file(path, problems)
    catalog = Catalog() if node is None else _read(node, path.parent, arguments or Arguments(), problems)
    conflicts.check(catalog, fields)
    problems.raise_if_any()
    return catalog


def read_form(node: Node, folder: Path, defaults: ImageSettings, fields: Fields) -> Catalog | promoter.Listing:
    """
    Read a document by itself, as ``catalog.schema.json`` describes it.

    Args:
        node: The document.
        folder: What files are relative to.
        defaults: For images of which the document says nothing.
        fields: Takes what is wrong.
    """
    if isinstance(node, Items):
        return promoter.Listing(node.at, promoter.read_images(node, fields))
    if isinstance(node, Mapping) and node.has("registries", "images"):
        return promoter.read(node, fields)
    if isinstance(node, Mapping) and node.has("repositories"):
        return native.read(node, folder, defaults, fields)
    if not isinstance(node, Refused):
        fields.refuse(node.at, f"this is no catalog; expected {_FORMATS}")
    return Catalog()


def _read(node: Node, folder: Path, arguments: Arguments, problems: Problems) -> Catalog:
    fields = Fields(problems)
    form = read_form(node, folder, arguments.defaults, fields)
    if isinstance(form, Catalog):
        _refuse_arguments(arguments, ("registries", "source", "destination"), fields)
        return form
    if form.registries is not None:
        _refuse_arguments(arguments, ("registries", "source"), fields)
        way = promoter.choose(form.registries, form.at, arguments.destination, fields)
    else:
        way = _way(arguments, problems)
    return promoter.catalog(form.images, way or promoter.NOWHERE, arguments.defaults, fields)


def _way(arguments: Arguments, problems: Problems) -> promoter.Way | None:
    """Find where the images of a bare list come from and go to."""
    fields = Fields(problems)
    if arguments.registries is not None:
        _refuse_arguments(arguments, ("source",), fields)
        return _way_of_file(arguments.registries, arguments.destination, problems.of(str(arguments.registries)))
    if arguments.destination is None:
        what = "a list of images does not say where they go; pass destination='public.ecr.aws/<alias>' or registries="
        fields.refuse(None, what)
        return None
    try:
        if arguments.source is not None:
            promoter.parse_registry(arguments.source)
        return promoter.way(arguments.source, arguments.destination, None, fields)
    except InvalidReferenceError as error:
        fields.refuse(None, f"source={shown(arguments.source)}: {error.message}")
        return None


def _way_of_file(path: Path, destination: str | None, problems: Problems) -> promoter.Way | None:
    fields = Fields(problems)
    node = _read_file(path, problems)
    top = fields.mapping(node, "the registries", required=("registries",)) if node else None
    if not top or "registries" not in top:
        return None
    registries = promoter.read_registries(top["registries"], fields)
    return promoter.choose(registries, top["registries"].at, destination, fields)


def _refuse_arguments(arguments: Arguments, names: tuple[str, ...], fields: Fields) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            fields.refuse(None, f"{name}= is for other files: this one says by itself where images come from")


def _read_file(path: Path, problems: Problems) -> Node | None:
    try:
        with path.open("rb") as file:
            content = file.read(CATALOG_MAX_BYTES + 1)
        if len(content) > CATALOG_MAX_BYTES:
            problems.add(None, f"has more than {CATALOG_MAX_BYTES} bytes, the limit; split it into several catalogs")
            return None
        text = content.decode("utf-8-sig")
    except OSError as error:
        problems.add(None, f"cannot be read: {error.strerror}")
        return None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        problems.add(Position(line, column), "is not UTF-8 from here on; save it as UTF-8")
        return None
    return parse(text, problems)
