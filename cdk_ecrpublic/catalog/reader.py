"""Read the file of a catalog: return the model, or raise all problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .._assets.lambda_handler.errors import InvalidReferenceError, truncated_repr
from . import conflicts, foreign, native, promoter
from .fields import Fields, StringFields
from .model import Catalog, ImageSettings
from .nodes import Items, Mapping, Node, is_empty, is_refused, parse, position
from .problems import Position, Problems
from .selection import Selection

CATALOG_MAX_BYTES = 16 * 1024 * 1024
"""The limit for a file. The largest known promoter file has 32,422 images in 3 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """
    The arguments for reading a file; see ``PublicImageCatalog.from_file``.

    Attributes:
        registries: The file with the registries for a list of images.
        source: The source registry for a list of images.
        destination: The destination registry, if the file does not determine it.
        defaults: The settings of images for which the file has none.
        only: The patterns of the selected images; empty for all.
    """

    registries: Path | None = None
    source: str | None = None
    destination: str | None = None
    defaults: ImageSettings = field(default_factory=ImageSettings)
    only: tuple[str, ...] = ()


def read_catalog(path: Path, arguments: Arguments | None = None) -> Catalog:
    """
    Read a catalog of any format.

    Args:
        path: A file of at most 16 MiB in UTF-8.
        arguments: Further arguments. Default: none.

    Raises:
        CatalogError: Has all problems of the file.
    """
    arguments = arguments or Arguments()
    problems = Problems(str(path))
    fields = Fields(problems)
    context = native.Context(path.parent, arguments.defaults, Selection(arguments.only))
    catalog = _read(path, context, arguments, problems) or Catalog()
    if context.selection.unused and not fields.refused:
        fields.refuse(None, context.selection.unused)
    conflicts.check(catalog, fields)
    problems.raise_if_any()
    return catalog


def read_form(node: Node, context: native.Context, problems: Problems) -> Catalog | promoter.Listing | None:
    """
    Read a document on its own, as ``catalog.schema.json`` describes it.

    Args:
        node: The document.
        context: The arguments for reading it.
        problems: Collects the problems.

    Returns:
        None if the document has an unknown format, which is reported.
    """
    strings = StringFields(problems)
    if isinstance(node, Items):
        return promoter.Listing(position(node), promoter.read_images(node, context.selection, strings))
    keys = {key.value for key, _ in node.value} if isinstance(node, Mapping) else set()
    foreign_to_us = foreign.explain(node)
    if foreign_to_us is None and keys & {*promoter.TOP}:
        return promoter.read(node, context.selection, strings)
    if foreign_to_us is None and keys & {*native.TOP}:
        return native.read(node, context, Fields(problems))
    if not is_refused(node):
        strings.refuse(position(node), foreign_to_us or foreign.unknown(node))
    return None


def _read(path: Path, context: native.Context, arguments: Arguments, problems: Problems) -> Catalog | None:
    node = _read_file(path, problems)
    if node is None:
        return None
    if is_empty(node) and (arguments.destination is not None or arguments.registries is not None):
        # A list without images yet, as in new repositories of the promoter.
        form: Catalog | promoter.Listing | None = promoter.Listing(position(node), ())
    elif is_empty(node):
        problems.add(None, f"the file is empty; expected {foreign.EXPECTED}")
        return None
    else:
        form = read_form(node, context, problems)
    if isinstance(form, Catalog):
        _refuse_arguments(arguments, ("registries", "source", "destination"), Fields(problems))
        return form
    return None if form is None else _catalog_of(form, arguments, problems)


def _catalog_of(form: promoter.Listing, arguments: Arguments, problems: Problems) -> Catalog:
    """Determine the route of a listing, and create the catalog."""
    if form.registries is not None:
        fields = StringFields(problems)
        _refuse_arguments(arguments, ("registries", "source"), fields)
        route = promoter.choose(form.registries, form.at, arguments.destination, fields)
    else:
        route = _route(arguments, problems)
    return promoter.catalog(form.images, route or promoter.NO_ROUTE, arguments.defaults)


def _route(arguments: Arguments, problems: Problems) -> promoter.Route | None:
    """Determine the route of a list of images."""
    fields = Fields(problems)
    if arguments.registries is not None:
        _refuse_arguments(arguments, ("source",), fields)
        return _route_of_file(arguments.registries, arguments.destination, problems.of(str(arguments.registries)))
    if arguments.destination is None:
        what = "a list of images has no destination; set destination='public.ecr.aws/<alias>' or registries="
        fields.refuse(None, what)
        return None
    try:
        if arguments.source is not None:
            promoter.parse_registry(arguments.source)
        return promoter.route_to(arguments.source, arguments.destination, None, fields)
    except InvalidReferenceError as error:
        fields.refuse(None, f"source={truncated_repr(arguments.source)}: {error.message}")
        return None


def _route_of_file(path: Path, destination: str | None, problems: Problems) -> promoter.Route | None:
    fields = StringFields(problems)
    node = _read_file(path, problems)
    top = fields.mapping(node, "the registries", required=("registries",), optional=promoter.IGNORED) if node else None
    if not top or "registries" not in top:
        return None
    registries = promoter.read_registries(top["registries"], fields)
    return promoter.choose(registries, position(top["registries"]), destination, fields)


def _refuse_arguments(arguments: Arguments, names: tuple[str, ...], fields: Fields) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            fields.refuse(None, f"{name}= is for other formats: this file has its own sources")


def _read_file(path: Path, problems: Problems) -> Node | None:
    try:
        with path.open("rb") as file:
            content = file.read(CATALOG_MAX_BYTES + 1)
        if len(content) > CATALOG_MAX_BYTES:
            problems.add(None, f"is larger than {CATALOG_MAX_BYTES} bytes, the limit; split it into several catalogs")
            return None
        return parse(content.decode("utf-8-sig"), problems)
    except OSError as error:
        problems.add(None, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        problems.add(Position(line, column), "is not UTF-8 from here; save the file as UTF-8")
    return None
