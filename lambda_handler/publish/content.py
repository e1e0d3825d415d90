"""An image as a whole: its manifests, and where the blobs are that they refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ..errors import ImageError, IntegrityError, InvalidManifestError, RuleViolationError
from ..oci import Descriptor, Digest, Manifest, Platform
from ..oci.assemble import filter_index
from ..oci.config import parse_config
from .ports import Origin, Upstream
from .sparse import without
from .tree import Allowance, descend

CONFIG_MAX_BYTES = 4 * 1024 * 1024
"""The longest config to read for its platform. Real ones have a few KiB."""

_IMAGE_CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """
    An image that can be published.

    Attributes:
        root: What the tags will point to.
        origin: Gives the blobs of *root*, to look its platform up.
        parts: The manifests below it that may have to be put first, children
            before their parents, each once.
        origins: Where the blobs of *parts*, *root* and *referrers* come from,
            by the manifest's digest. A manifest that is not among them has
            its content in the destination already.
        given: Manifests of which only the bytes are given: what they refer to
            has to be in the destination, and this has not been checked yet.
        referrers: Signatures, SBOMs and the like that come along, to be put
            in this order, after *root*.
        referrer_tags: The tags by which some of them are found.
        looked_up: What *root* can run on, where that was looked up already.
        left_out: What *root* listed at its source, and the source does not hold.
        held: Manifests that the destination certainly has: one of them was
            read there, and others are listed by it. The API may not show
            them yet.
    """

    root: Manifest
    origin: Origin
    parts: tuple[Manifest, ...] = ()
    origins: Mapping[Digest, Upstream] = field(default_factory=dict)
    given: tuple[Manifest, ...] = ()
    referrers: tuple[Manifest, ...] = ()
    referrer_tags: Mapping[str, Manifest] = field(default_factory=dict)
    looked_up: frozenset[Platform] | None = None
    left_out: tuple[str, ...] = ()
    held: frozenset[Digest] = frozenset()

    @property
    def platforms(self) -> frozenset[Platform]:
        """
        The platforms of *root*; see ``platforms_of``, which looks them up if necessary.

        Raises:
            InvalidManifestError: Its config is not an image config, or is too long.
        """
        return platforms_of(self.root, self.origin) if self.looked_up is None else self.looked_up

    @property
    def copied(self) -> tuple[Manifest, ...]:
        """The manifests that come from elsewhere, in the order in which they can be put."""
        return tuple(manifest for manifest in (*self.parts, self.root) if manifest.digest in self.origins)

    @property
    def carried(self) -> tuple[Manifest, ...]:
        """All that may have to be put: what is copied, what is given, and what refers to it."""
        return (*self.copied, *self.given, *self.referrers)


def present(root: Manifest, destination: Origin, platforms: Sequence[Platform]) -> Content:
    """Return the content of an image whose children and blobs the destination holds."""
    selected, available = select(root, destination, platforms)
    held = frozenset({root.digest, *(child.digest for child in root.children)})
    return Content(root=selected, origin=destination, looked_up=available, held=held)


def given(root: Manifest, destination: Origin, platforms: Sequence[Platform]) -> Content:
    """Return the content of a manifest whose bytes are given; what it refers to must be in the destination."""
    selected, available = select(root, destination, platforms)
    return Content(root=selected, origin=destination, given=(selected,), looked_up=available)


def copied(root: Manifest, origin: Upstream, platforms: Sequence[Platform]) -> Content:
    """
    Read everything below *root* from *origin*, to be copied from there.

    An index may list more than its source holds: Docker saves an index whole,
    but only those of its images that it has pulled, and some registries keep
    only a part of what they mirror. What is there is published.

    Raises:
        InvalidManifestError: Indexes nest too deep, or list too much.
        IntegrityError: A child is not what its index says of it.
        NotFoundError: No image that an index lists is at the origin.
        RuleViolationError: A platform is missing.
    """
    root, available = select(root, origin, platforms)
    parts: dict[Digest, Manifest] = {}
    allowance = Allowance()
    allowance.take_references(root)
    absent = descend(root, origin, parts, allowance)
    left_out: tuple[str, ...] = ()
    if absent:
        listed = {child.digest for child in root.children}
        root, left_out = without(root, absent, platforms)
        for digest in listed - {child.digest for child in root.children}:
            parts.pop(digest, None)
    origins = dict.fromkeys((*parts, root.digest), origin)
    return Content(
        root=root,
        origin=origin,
        parts=tuple(parts.values()),
        origins=origins,
        looked_up=available,
        left_out=left_out,
    )


def assembled(root: Manifest, origin: Origin, contents: Iterable[Content]) -> Content:
    """Return the content of an index made here, whose entries are those of *contents* that are images."""
    parts: dict[Digest, Manifest] = {}
    origins: dict[Digest, Upstream] = {}
    given: dict[Digest, Manifest] = {}
    held: frozenset[Digest] = frozenset()
    left_out: dict[str, None] = {}
    for content in contents:
        # An index among them was taken apart: its children are entries here, and the index itself is not needed.
        taken_apart = content.root.digest if content.root.is_index else None
        parts |= {each.digest: each for each in (*content.copied, *content.given) if each.digest != taken_apart}
        origins = {**content.origins, **origins}
        given |= {manifest.digest: manifest for manifest in content.given}
        held |= content.held
        left_out |= dict.fromkeys(content.left_out)
    return Content(
        root=root,
        origin=origin,
        parts=tuple(parts.values()),
        origins={digest: origin for digest, origin in origins.items() if digest in parts},
        given=tuple(given.values()),
        left_out=tuple(left_out),
        held=held,
    )


def select(
    root: Manifest, origin: Origin, platforms: Sequence[Platform]
) -> tuple[Manifest, frozenset[Platform] | None]:
    """
    Reduce an image to the *platforms* asked for.

    Returns:
        *root* itself when nothing was asked for, or nothing has to go;
        otherwise a new index of what is left, with another digest. And what
        a single image can run on, since its config was read for that.

    Raises:
        RuleViolationError: A platform is missing, or a single image is of none of them.
    """
    if not platforms:
        return root, None
    available = platforms_of(root, origin)
    if root.is_index:
        missing = [str(wanted) for wanted in platforms if not any(found.satisfies(wanted) for found in available)]
    else:
        matching = any(found.satisfies(wanted) for found in available for wanted in platforms)
        missing = [] if matching else [str(wanted) for wanted in platforms]
    if missing:
        has = ", ".join(sorted(map(str, available))) or "none"
        raise RuleViolationError([f"the source has no image for {', '.join(missing)}; its platforms are: {has}"])
    if not root.is_index:
        return root, available
    return filter_index(root, lambda found: any(found.satisfies(wanted) for wanted in platforms)), None


def platforms_of(root: Manifest, origin: Origin) -> frozenset[Platform]:
    """
    Return the platforms that an image can run on; attestations do not count, artifacts have none.

    An index says it itself; for a single image its config is read.

    Raises:
        InvalidManifestError: The config is not an image config, or is too long.
    """
    if root.is_index:
        return frozenset(filter(None, (child.image_platform for child in root.children)))
    config = root.blobs[0]
    if config.media_type not in _IMAGE_CONFIGS:
        return frozenset()
    if config.size > CONFIG_MAX_BYTES:
        message = f"the config {config.digest} has {config.size} bytes; at most {CONFIG_MAX_BYTES} are read"
        raise InvalidManifestError(message)
    return frozenset({_platform(config, _read(config, origin))})


def _read(blob: Descriptor, origin: Origin) -> bytes:
    content = bytearray()
    with closing(origin.blob(blob)) as pieces:
        for piece in pieces:
            content += piece
            if len(content) > blob.size:
                break
    if Digest.of(bytes(content)) != blob.digest:
        message = f"the config {blob.digest} came with other bytes"
        raise IntegrityError(message)
    return bytes(content)


def _platform(config: Descriptor, content: bytes) -> Platform:
    try:
        data: Any = parse_config(content)
        variant, version = str(data.get("variant") or ""), str(data.get("os.version") or "")
        return Platform(str(data["os"]), str(data["architecture"]), variant, version)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f": {error.message}" if isinstance(error, ImageError) else ""
        message = f"the config {config.digest} names no platform{why}"
        raise InvalidManifestError(message) from error
