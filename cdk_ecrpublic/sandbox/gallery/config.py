"""The config of an image: the platform, the command and the labels."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic._assets.lambda_handler.oci.bounded_json import parse_json

from ..store.state import Repository
from .formats import value_text

CONFIG_MAX_BYTES = 256 * 1024
"""A longer config is not read. That of a real image has a few kilobytes."""

ROWS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """
    What a config says.

    Attributes:
        platform: ``linux/arm64/v8``; empty if it is not the config of an image.
        facts: What else is worth showing, with a name for each.
        labels: The labels of the image.
    """

    platform: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


def read_config(repository: Repository, digest: Digest | None) -> Config:
    """Read a config; it is empty if it is not stored, is too long, or is not a JSON object."""
    layer = repository.layers.get(digest) if digest else None
    if layer is None or layer.size > CONFIG_MAX_BYTES:
        return Config()
    try:
        data = parse_json(layer.path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return Config()
    if not isinstance(data, dict):
        return Config()
    if not isinstance(data.get("rootfs"), dict):
        return Config(facts=tuple(_scalars(data))[:ROWS_MAX])
    settings = _object(data.get("config"))
    labels = _object(settings.get("Labels")).items()
    return Config(
        platform=_platform(data),
        facts=tuple(_facts(data, settings)),
        labels=tuple((value_text(name), value_text(value)) for name, value in labels)[:ROWS_MAX],
    )


def _platform(data: Mapping[str, object]) -> str:
    parts = [data.get(name) for name in ("os", "architecture", "variant")]
    words = [part for part in parts if isinstance(part, str) and part]
    # That of an attestation is `unknown/unknown`.
    return "" if "unknown" in words else value_text("/".join(words))


def _facts(data: Mapping[str, object], settings: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    command = [*_words(settings.get("Entrypoint")), *_words(settings.get("Cmd"))]
    values = {
        "Created": data.get("created"),
        "Author": data.get("author"),
        "Command": shlex.join(command),
        "Working directory": settings.get("WorkingDir"),
        "User": settings.get("User"),
        "Ports": ", ".join(_object(settings.get("ExposedPorts"))),
    }
    yield from ((name, value_text(value)) for name, value in values.items() if value)


def _scalars(data: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the values of an artifact's own config: a Helm chart has its name and version there."""
    for name, value in data.items():
        if isinstance(value, str | int | float) and value != "":
            yield value_text(name), value_text(value)


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _words(value: object) -> list[str]:
    words = value if isinstance(value, list) else [value]
    return [word for word in words if isinstance(word, str)]
