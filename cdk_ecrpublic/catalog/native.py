"""Our own format: repositories with their images, with most options of ``PublicImage``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .._assets.lambda_handler.errors import InvalidInputError, truncated_repr
from .._assets.lambda_handler.oci import (
    Digest,
    Platform,
    Reference,
    parse_registry_id,
    parse_repository_name,
    parse_tag,
    parse_tag_pattern,
)
from .fields import Fields
from .model import Catalog, Image, ImageSettings, ManifestFile, Repository, Source, Tag
from .nodes import Node, position
from .problems import Position
from .rules import read_rules
from .selection import Selection
from .signatures import read_signing

TOP = ("repositories",)
TOP_OPTIONAL = ("registry", "defaults")

_LISTS: Mapping[str, Callable[[str], object]] = {
    "platforms": Platform.parse,
    "required_platforms": Platform.parse,
    "immutable_tags": parse_tag_pattern,
}
_FLAGS = ("include_referrers",)
SETTINGS = (*_LISTS, *_FLAGS, "rules", "sign_with")
"""The fields of ``ImageSettings``: lists with the parser of an item, flags, rules, and who signs."""

SOURCES = ("digest", "source", "manifest_file")
IMAGE = (*SOURCES, "tags", "expected_digest", "id", *SETTINGS)

PATH_MAX_CHARACTERS = 1024

_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}")
_PATH = re.compile(r"[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,1023}")


@dataclass(frozen=True, slots=True)
class Context:
    """
    The arguments for reading a document.

    Attributes:
        folder: The folder that file paths are relative to.
        settings: The settings of images for which the document has none.
        selection: The selected images.
    """

    folder: Path
    settings: ImageSettings = field(default_factory=ImageSettings)
    selection: Selection = field(default_factory=Selection)


def read(node: Node, context: Context, fields: Fields) -> Catalog:
    """Read a catalog."""
    top = fields.mapping(node, "the catalog", required=TOP, optional=TOP_OPTIONAL) or {}
    registry = fields.string(top["registry"], "registry", parse_registry_id) if "registry" in top else None
    if "defaults" in top:
        given = fields.mapping(top["defaults"], "defaults", optional=SETTINGS) or {}
        settings = _settings(context.settings, given, "defaults", fields)
        context = replace(context, settings=settings)
    repositories = []
    if "repositories" in top:
        table = fields.table(top["repositories"], "repositories", parse_repository_name, "names to their images")
        repositories = [
            _repository(name, at, value, context, fields)
            for name, at, value in table
            if name is None or context.selection.has(name)
        ]
    return Catalog(registry=registry, repositories=tuple(each for each in repositories if each))


def _repository(name: str | None, at: Position, node: Node, context: Context, fields: Fields) -> Repository | None:
    what = f"repositories.{name}" if name else "repositories"
    entry = fields.mapping(node, what, required=("images",)) or {}
    items = fields.items(entry["images"], f"{what}.images", "images") if "images" in entry else ()
    images = [_image(item, path, context, fields) for item, path in items]
    if name is None:
        return None
    selected = [(image, context.selection.tags(name, image.tags)) for image in images if image]
    found = tuple(replace(image, tags=tags) for image, tags in selected if tags is not None)
    return Repository(name=name, at=at, images=found)


def _image(node: Node, what: str, context: Context, fields: Fields) -> Image | None:
    entry = fields.mapping(node, what, optional=IMAGE)
    if entry is None:
        return None
    source = _source(entry, position(node), what, context.folder, fields)
    tags = fields.strings(entry["tags"], f"{what}.tags", parse_tag, "tags") if "tags" in entry else ()
    expected = entry.get("expected_digest")
    name = fields.string(entry["id"], f"{what}.id", _parse_id) if "id" in entry else None
    expected_digest = fields.string(expected, f"{what}.expected_digest", Digest.parse) if expected else None
    settings = _settings(context.settings, entry, what, fields)
    for rule in settings.rules:
        if getattr(settings, rule, ()):
            fields.refuse(position(node), f"{what}: {rule} is declared twice; keep either the key or the rule")
    if source is None:
        return None
    return Image(
        at=position(node),
        source=source,
        tags=tuple(Tag(text, at) for text, at in tags),
        settings=settings,
        expected_digest=expected_digest,
        name=name,
    )


def _source(entry: dict[str, Node], at: Position, what: str, folder: Path, fields: Fields) -> Source | None:
    given = [key for key in SOURCES if key in entry]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        fields.refuse(at, f"{what}: has {found}; expected exactly one of {', '.join(SOURCES)}")
    if "digest" in given:
        digest = fields.string(entry["digest"], f"{what}.digest", Digest.parse)
    if "source" in given:
        reference = fields.string(entry["source"], f"{what}.source", _parse_source)
    if "manifest_file" in given:
        path = fields.string(entry["manifest_file"], f"{what}.manifest_file", _parse_path)
    match given:
        case ["digest"]:
            return digest
        case ["source"]:
            return reference
        case ["manifest_file"]:
            return ManifestFile(folder / path) if path else None
    return None


def _settings(defaults: ImageSettings, entry: dict[str, Node], what: str, fields: Fields) -> ImageSettings:
    """Replace *defaults* by the given settings; rules one by one."""
    found: dict[str, Any] = {}
    for key, parse in _LISTS.items():
        if key in entry:
            values = fields.strings(entry[key], f"{what}.{key}", parse, key.replace("_", " "))
            found[key] = tuple(str(value) for value, _ in values)
    for key in _FLAGS:
        if key in entry:
            found[key] = fields.flag(entry[key], f"{what}.{key}") or False
    if "rules" in entry:
        rules = {**defaults.rules, **read_rules(entry["rules"], f"{what}.rules", fields)}
        found["rules"] = {name: values for name, values in rules.items() if values is not None}
    if "sign_with" in entry:
        found["sign_with"] = read_signing(entry["sign_with"], f"{what}.sign_with", fields)
    return replace(defaults, **found)


def _parse_source(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest is None:
        message = f"{truncated_repr(text)} has no digest, and its tag may move; add the digest: {text}@sha256:…"
        raise InvalidInputError(message)
    return reference


def _parse_path(text: str) -> str:
    if not _PATH.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not a file path; expected up to {PATH_MAX_CHARACTERS} characters, relative to "
            "the catalog's folder"
        )
        raise InvalidInputError(message)
    return text


def _parse_id(text: str) -> str:
    if not _ID.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not an id; expected 1 to 128 letters, digits, '.', '_' and '-', starting with "
            "a letter or digit"
        )
        raise InvalidInputError(message)
    return text
