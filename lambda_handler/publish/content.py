"""The content of an image: its manifests, and where their blobs can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ImageError, IntegrityError, InvalidManifestError, RuleViolationError
from ..oci import Descriptor, Digest, Manifest, Platform, Repository
from ..oci.bounded_json import parse_config
from .ports import Origin, Upstream

CONFIG_MAX_BYTES = 4 * 1024 * 1024
"""The size limit of a config that is read for its platform. Real ones have a few KiB."""

IMAGE_CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
"""The media types of the configs of images. Artifacts have others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """
    An image that can be published.

    Attributes:
        root: The manifest that the tags will point to.
        origin: Where the blobs of *root* can be read, for its platform.
        parts: The manifests below *root* that may have to be put before it,
            children before their parents, without duplicates.
        origins: Where the blobs of *parts*, *root* and *referrers* can be read,
            by the digest of the manifest. The blobs of all other manifests are
            already in the destination.
        given: Manifests that were declared by their bytes. The blobs and
            children that they refer to must be in the destination, which
            nothing has checked yet.
        referrers: Signatures, SBOMs and similar manifests to put after *root*,
            in this order.
        referrer_tags: The tags of some of the referrers.
        looked_up: The platforms of *root*, if they are already known.
        left_out: The manifests that *root* listed but its source does not have.
        held: Digests that are certainly in the destination, even if the API
            does not show them yet: it returned one of these manifests, and
            that one lists the others.
        sources: The repositories of other registries that images were declared
            to come from, by the digest of the image.
        is_new: Whether this release makes *root*: an index that was assembled,
            or reduced to some platforms.
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
    sources: Mapping[Digest, frozenset[Repository]] = field(default_factory=dict)
    is_new: bool = False

    def coming_from(self, repository: Repository) -> Content:
        """Return the same content, with the repository that it was declared to come from."""
        images = (self.root.digest, *(child.digest for child in self.root.children))
        return replace(self, sources=dict.fromkeys(images, frozenset({repository})))

    @property
    def platforms(self) -> frozenset[Platform]:
        """
        The platforms of *root*; see ``platforms_of``.

        Raises:
            InvalidManifestError: Its config is not an image config, or is too long.
        """
        return platforms_of(self.root, self.origin) if self.looked_up is None else self.looked_up

    @property
    def copied(self) -> tuple[Manifest, ...]:
        """The manifests to copy from another place, in the order in which they can be put."""
        return tuple(manifest for manifest in (*self.parts, self.root) if manifest.digest in self.origins)

    @property
    def carried(self) -> tuple[Manifest, ...]:
        """All manifests that may have to be put."""
        return (*self.copied, *self.given, *self.referrers)


def content_in_destination(root: Manifest, destination: Origin, platforms: Sequence[Platform]) -> Content:
    """Return the content of an image whose children and blobs the destination holds."""
    selected, available = select(root, destination, platforms)
    held = frozenset({root.digest, *(child.digest for child in root.children)})
    is_new = selected.digest != root.digest
    return Content(root=selected, origin=destination, looked_up=available, held=held, is_new=is_new)


def content_of_manifest(root: Manifest, destination: Origin, platforms: Sequence[Platform]) -> Content:
    """Return the content of a declared manifest, whose children and blobs must be in the destination."""
    selected, available = select(root, destination, platforms)
    is_new = selected.digest != root.digest
    return Content(root=selected, origin=destination, given=(selected,), looked_up=available, is_new=is_new)


def content_to_copy(root: Manifest, origin: Upstream, platforms: Sequence[Platform]) -> Content:
    """
    Read all manifests below *root* from *origin*, to copy the image from there.

    An index may list images that its source does not have: ``docker save``
    writes the whole index, but only the images that Docker has pulled, and some
    registries mirror only a part. The images that exist are published.

    Raises:
        InvalidManifestError: Indexes nest too deep, or list too much.
        IntegrityError: A child has another digest or size than its index says.
        NotFoundError: The origin has no image of an index.
        RuleViolationError: A platform is missing.
    """
    from .sparse import without  # noqa: PLC0415 - a cold start compiles what it imports
    from .tree import Allowance, collect_descendants  # noqa: PLC0415

    source = root.digest
    root, available = select(root, origin, platforms)
    parts: dict[Digest, Manifest] = {}
    allowance = Allowance()
    allowance.take_references(root)
    absent = collect_descendants(root, origin, parts, allowance)
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
        is_new=root.digest != source,
    )


def content_of_parts(root: Manifest, origin: Origin, contents: Iterable[Content]) -> Content:
    """Return the content of an index that was assembled from *contents*."""
    parts: dict[Digest, Manifest] = {}
    origins: dict[Digest, Upstream] = {}
    given: dict[Digest, Manifest] = {}
    held: frozenset[Digest] = frozenset()
    left_out: dict[str, None] = {}
    sources: dict[Digest, frozenset[Repository]] = {}
    for content in contents:
        # An index among them is flattened: its children are entries of this index, so it is not needed itself.
        flattened = content.root.digest if content.root.is_index else None
        parts |= {each.digest: each for each in (*content.copied, *content.given) if each.digest != flattened}
        origins = {**content.origins, **origins}
        given |= {manifest.digest: manifest for manifest in content.given}
        held |= content.held
        sources |= {image: places | sources.get(image, frozenset()) for image, places in content.sources.items()}
        left_out |= dict.fromkeys(content.left_out)
    return Content(
        root=root,
        origin=origin,
        parts=tuple(parts.values()),
        origins={digest: origin for digest, origin in origins.items() if digest in parts},
        given=tuple(given.values()),
        left_out=tuple(left_out),
        held=held,
        sources=sources,
        is_new=True,
    )


def select(
    root: Manifest, origin: Origin, platforms: Sequence[Platform]
) -> tuple[Manifest, frozenset[Platform] | None]:
    """
    Reduce an index to the requested *platforms*.

    Returns:
        *root* itself if it has no other platforms or none are requested, else a
        new index with another digest; and the platforms of a single image, if
        its config was read.

    Raises:
        RuleViolationError: A platform is missing, or a single image has none of them.
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
    from ..oci.assemble import filter_index  # noqa: PLC0415

    return filter_index(root, lambda found: any(found.satisfies(wanted) for wanted in platforms)), None


def platforms_of(root: Manifest, origin: Origin) -> frozenset[Platform]:
    """
    Return the platforms of an image: from the entries of an index, or from the config of a single image.

    Attestations do not count. An artifact has no platform.

    Raises:
        InvalidManifestError: The config is not an image config, or is too long.
    """
    if root.is_index:
        return frozenset(filter(None, (child.image_platform for child in root.children)))
    config = root.blobs[0]
    if config.media_type not in IMAGE_CONFIGS:
        return frozenset()
    if config.size > CONFIG_MAX_BYTES:
        message = f"the config {config.digest} has {config.size} bytes; the limit is {CONFIG_MAX_BYTES}"
        raise InvalidManifestError(message)
    return frozenset({_platform(config, read_config(config, origin))})


def read_config(blob: Descriptor, origin: Origin) -> bytes:
    """
    Read a config, and at most as much as its descriptor says.

    Raises:
        IntegrityError: It has another digest.
        ImageError: It cannot be read.
    """
    content = bytearray()
    with closing(origin.blob(blob)) as pieces:
        for piece in pieces:
            content += piece
            if len(content) > blob.size:
                break
    if Digest.of(bytes(content)) != blob.digest:
        message = f"the content of the config {blob.digest} has another digest"
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
