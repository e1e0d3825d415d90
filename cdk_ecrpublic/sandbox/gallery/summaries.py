"""One line about an image: what it is, for which platforms, how large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cdk_ecrpublic._assets.lambda_handler.errors import ImageError
from cdk_ecrpublic._assets.lambda_handler.oci import Descriptor, Manifest
from cdk_ecrpublic.review.kinds import kind_of

from ..store.state import Repository, StoredImage
from .config import read_config
from .formats import size_text, value_text

SUMMARIZED_MAX_BYTES = 64 * 1024
"""A longer manifest is not parsed for a line of a list. Real ones have a few kilobytes."""

PLATFORMS_MAX = 12

IMAGES = ("image", "index")
HELM_CHART = "Helm chart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    One line about an image.

    Attributes:
        type: ``image``, ``index``, or what people call the artifact: ``Helm chart``.
        platforms: The platforms that it runs on.
        layers: The number of layers; 0 for an index.
        size: The size of the layers.
    """

    digest: str
    type: str
    platforms: tuple[str, ...]
    layers: int
    size: str


def summarize(repository: Repository, image: StoredImage, entry: Descriptor | None = None) -> Summary:
    """
    Summarize an image.

    Args:
        entry: The image's entry in an index, which names the platform.
    """
    manifest = parse(image) if len(image.content) <= SUMMARIZED_MAX_BYTES else None
    platform = entry.image_platform if entry else None
    return Summary(
        digest=str(image.digest),
        type=type_of(image, manifest),
        platforms=(str(platform),) if platform else platforms_of(repository, image, manifest),
        layers=max(len(image.layers) - 1, 0),
        size=size_text(image.size),
    )


def parse(image: StoredImage) -> Manifest | None:
    """Parse a stored manifest; None if it has Docker's old schema 1, which the sandbox can store."""
    try:
        return Manifest.parse(image.content, image.media_type)
    except ImageError:
        return None


def type_of(image: StoredImage, manifest: Manifest | None) -> str:
    """Return what people call it."""
    try:
        kind = kind_of(manifest) if manifest else ""
    except RecursionError:
        kind = ""
    is_index = bool(image.children) or bool(manifest and manifest.is_index)
    return value_text(kind) or IMAGES[is_index]


def pull_command(kind: str, uri: str, *, tag: str = "", digest: str = "") -> str:
    """Return the command that pulls an artifact of this type, by its tag or else by its digest."""
    reference = f"{uri}:{tag}" if tag else f"{uri}@{digest}"
    if kind in IMAGES:
        return f"docker pull {reference}"
    if kind == HELM_CHART:
        chart = f"oci://{uri} --version {tag}" if tag else f"oci://{reference}"
        return f"helm pull {chart} --plain-http"
    return f"oras pull --plain-http {reference}"


def platforms_of(repository: Repository, image: StoredImage, manifest: Manifest | None) -> tuple[str, ...]:
    """Return the platforms of an index, or that in the config of an image."""
    if manifest is None or not manifest.is_index:
        platform = read_config(repository, next(iter(image.layers), None)).platform
        return (platform,) if platform else ()
    return _distinct(manifest.children)


def _distinct(children: Sequence[Descriptor]) -> tuple[str, ...]:
    names = dict.fromkeys(value_text(str(child.image_platform)) for child in children if child.image_platform)
    shown = tuple(names)[:PLATFORMS_MAX]
    return (*shown, f"+{len(names) - len(shown)}") if len(names) > len(shown) else shown
