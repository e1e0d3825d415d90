"""
What has to be done, as a value.

``make_plan`` is pure: no clock, no network. Idempotence is a property of the
plan: after a success, the same declaration makes an empty one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import RuleViolationError
from ..oci import Descriptor, Digest, Manifest
from .content import Content
from .ports import Origin
from .rule import Release, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """
    An image and the tags that must point to it, in the order in which they are put.

    Attributes:
        rules: What must hold, or nothing is written.
        confirm: Of the tags, those that are put even if they seem to be in
            place already. Reads lag behind writes: in a rollback, a tag that
            was moved a moment ago may still be shown where it was, and would
            be left where it is. The service itself knows, and says that it
            exists already.
        confirm_image: Likewise for the image itself, by its digest.
    """

    content: Content
    tags: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    confirm: frozenset[str] = frozenset()
    confirm_image: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """
    What the repository holds: where the desired tags point, and what it lacks of the image.

    Attributes:
        held: What the tags of referrers stand for that are not as desired.
    """

    tags: Mapping[str, Digest]
    missing_images: frozenset[Digest] = frozenset()
    missing_blobs: frozenset[Digest] = frozenset()
    held: Mapping[str, Manifest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlobCopy:
    """A blob that the repository lacks, and where its bytes come from."""

    blob: Descriptor
    origin: Origin


@dataclass(frozen=True, slots=True)
class TagMove:
    """A tag that must be put; *before* is None when it does not exist yet."""

    tag: str
    before: Digest | None

    def __str__(self) -> str:
        return f"{self.tag} from {self.before}" if self.before else f"{self.tag} (new)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    The writes that lead from what is observed to what is desired, in their order.

    Attributes:
        blobs: To copy, each once.
        parts: Manifests to put by digest, children before their parents.
        put_image: The image itself must be put by digest, because no tag brings it
            in time.
        referrers: Manifests that refer to it, each with its own tag or None.
        kept: Tags of referrers that have something which the source's lack.
        moves: Tags to put.
        unchanged: Tags that point to the image already.
        left_out: What the source lists, and does not hold.
    """

    manifest: Manifest
    blobs: tuple[BlobCopy, ...] = ()
    parts: tuple[Manifest, ...] = ()
    put_image: bool
    referrers: tuple[tuple[Manifest, str | None], ...] = ()
    kept: tuple[str, ...] = ()
    moves: tuple[TagMove, ...]
    unchanged: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be written."""
        return not (self.blobs or self.parts or self.put_image or self.referrers or self.moves)

    @property
    def blob_bytes(self) -> int:
        """How much there is to copy."""
        return sum(copy.blob.size for copy in self.blobs)

    def __str__(self) -> str:
        return "; ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield f"put {self.manifest.digest}" if self.put_image else f"image {self.manifest.digest}"
        if self.blobs:
            yield f"copy {len(self.blobs)} blobs of {self.blob_bytes} bytes"
        if self.parts:
            yield f"put {len(self.parts)} manifests below it"
        if self.referrers:
            tags = ", ".join(tag for _, tag in self.referrers if tag)
            yield f"put {len(self.referrers)} manifests that refer to it" + (f" (tags {tags})" if tags else "")
        if self.kept:
            yield f"left as they are, having more than the source's: {', '.join(self.kept)}"
        if self.moves:
            yield f"put {', '.join(map(str, self.moves))}"
        if self.unchanged:
            yield f"unchanged: {', '.join(self.unchanged)}"
        if self.left_out:
            yield f"left out, since the source lists but does not hold it: {', '.join(self.left_out)}"

    def summary(self) -> dict[str, object]:
        """
        Return the plan as a query reads it.

        Shape:
            ``{"imageDigest": "sha256:…", "blobs": 3, "blobBytes": 40210,
            "manifests": 2, "putImage": false, "referrers": 0, "moves": ["1.4 from sha256:…",
            "1.4.2 (new)"], "unchanged": ["latest"]}``
        """
        return {
            "imageDigest": str(self.manifest.digest),
            "blobs": len(self.blobs),
            "blobBytes": self.blob_bytes,
            "manifests": len(self.parts),
            "putImage": self.put_image,
            "referrers": len(self.referrers),
            "moves": [str(move) for move in self.moves],
            "unchanged": list(self.unchanged),
        }


def make_plan(desired: Desired, observed: Observed) -> Plan:
    """
    Compare *desired* with *observed*.

    Raises:
        RuleViolationError: The declaration itself forbids it; all violations
            are named, and nothing was written.
    """
    violations = [*broken(desired.rules, desired, observed), *_absent(desired.content, observed)]
    if violations:
        raise RuleViolationError(violations)
    content, digest = desired.content, desired.content.root.digest
    unchanged = tuple(tag for tag in desired.tags if observed.tags.get(tag) == digest and tag not in desired.confirm)
    tags = sorted(desired.tags, key=lambda tag: not is_protected(tag, desired.rules))
    moves = tuple(TagMove(tag, observed.tags.get(tag)) for tag in tags if tag not in unchanged)
    referrers = tuple(_referrers(content, observed))
    return Plan(
        manifest=content.root,
        blobs=tuple(_blobs(content, observed)),
        parts=tuple(part for part in content.parts if part.digest in observed.missing_images),
        # A tag that points to it already would not bring back what is missing of it, and tags come last.
        put_image=desired.confirm_image or (digest in observed.missing_images and (not moves or bool(referrers))),
        referrers=referrers,
        kept=tuple(tag for tag in observed.held if not _replaces(content.referrer_tags[tag], observed.held[tag])),
        moves=moves,
        unchanged=unchanged,
        left_out=content.left_out,
    )


def is_protected(tag: str, rules: Iterable[Rule]) -> bool:
    """Whether one of *rules* is about this very tag."""
    return any(rule.protects(tag) for rule in rules)


def broken(rules: Iterable[Rule], desired: Desired, observed: Observed) -> Iterator[str]:
    """Say each way in which *desired* breaks one of *rules*."""
    release = Release(desired.content, desired.tags, observed.tags)
    for rule in rules:
        yield from rule.violations(release)


def blobs_of(content: Content, missing_images: frozenset[Digest]) -> frozenset[Digest]:
    """Return the blobs of the manifests that are missing: those that the repository may lack."""
    return frozenset(
        blob.digest
        for manifest in content.carried
        if manifest.digest in missing_images
        for blob in manifest.blobs
        if not blob.is_foreign
    )


def _blobs(content: Content, observed: Observed) -> Iterator[BlobCopy]:
    copies = {
        blob.digest: BlobCopy(blob, content.origins[manifest.digest])
        for manifest in content.carried
        if manifest.digest in content.origins
        for blob in manifest.blobs
        if blob.digest in observed.missing_blobs
    }
    yield from copies.values()


def _referrers(content: Content, observed: Observed) -> Iterator[tuple[Manifest, str | None]]:
    moves = {
        tag: manifest
        for tag, manifest in content.referrer_tags.items()
        if observed.tags.get(tag) != manifest.digest and _replaces(manifest, observed.held.get(tag))
    }
    tagged = {manifest.digest for manifest in moves.values()}
    for manifest in content.referrers:
        if manifest.digest in observed.missing_images and manifest.digest not in tagged:
            yield manifest, None
    for tag, manifest in moves.items():
        yield manifest, tag


def _replaces(manifest: Manifest, held: Manifest | None) -> bool:
    """Whether *manifest* has all signatures (each a layer, or a child) of the one whose tag it takes; none is lost."""
    if held is None:
        return True
    return {part.digest for part in (*held.blobs[1:], *held.children)} <= {
        part.digest for part in (*manifest.blobs[1:], *manifest.children)
    }


def _absent(content: Content, observed: Observed) -> Iterator[str]:
    """Name what manifests refer to that are only given, and that nothing here brings along."""
    brought = {manifest.digest for manifest in content.carried}
    blobs = observed.missing_blobs - {copy.blob.digest for copy in _blobs(content, observed)}
    for manifest in content.given:
        if manifest.digest not in observed.missing_images:
            continue
        images = [str(child.digest) for child in manifest.children if child.digest in observed.missing_images - brought]
        layers = [str(blob.digest) for blob in manifest.blobs if blob.digest in blobs]
        if images or layers:
            what = "images" if images else "layers"
            yield (
                f"the manifest {manifest.digest} refers to {what} that are not in the repository: "
                f"{', '.join(images or layers)}; push them to this very repository first"
            )
