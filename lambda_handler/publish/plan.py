"""
The plan of a release: the writes that it needs.

``make_plan`` is pure: it uses no clock and no network. After a success, the
plan for the same declaration is empty, which makes a release idempotent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import RuleViolationError
from ..oci import Descriptor, Digest, Manifest
from .content import Content
from .ports import MissingSignature, Origin
from .rule import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """
    An image and the tags that must point to it, in the order in which they are put.

    Attributes:
        verdict: What the rules say. Tags that stay are not among *tags*.
        confirm: The tags to put even if they seem to be in place. Reads lag
            behind writes: in a rollback, a read may still show a tag at the
            image that it pointed to before it was moved. ``PutImage`` does
            not lag, and reports a tag that is already in place.
        confirm_image: Put the image itself by digest even if it seems to exist.
        signatures: The signatures that the image lacks.
    """

    content: Content
    tags: tuple[str, ...] = ()
    verdict: Verdict = field(default_factory=Verdict)
    confirm: frozenset[str] = frozenset()
    confirm_image: bool = False
    signatures: tuple[MissingSignature, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """
    The state of the repository, as far as the plan depends on it.

    Attributes:
        tags: The desired tags and the tags of referrers that exist, with their digests.
        missing_images: The manifests that it lacks.
        missing_blobs: The blobs that it lacks.
        held: The manifests that tags of referrers point to instead of the desired ones.
    """

    tags: Mapping[str, Digest]
    missing_images: frozenset[Digest] = frozenset()
    missing_blobs: frozenset[Digest] = frozenset()
    held: Mapping[str, Manifest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlobCopy:
    """
    A blob that the repository lacks.

    Attributes:
        manifest: The manifest that lists it, for messages.
        origin: Where to read it. Two plans that differ only there are equal.
    """

    blob: Descriptor
    manifest: Digest
    origin: Origin = field(compare=False)


@dataclass(frozen=True, slots=True)
class TagMove:
    """A tag to put, with the image that it points to now; None if it does not exist."""

    tag: str
    before: Digest | None

    def __str__(self) -> str:
        return f"{self.tag} from {self.before}" if self.before else f"{self.tag} (new)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    The writes that lead from the observed to the desired state, in their order.

    Attributes:
        blobs: The blobs to copy.
        parts: The manifests to put by digest, children before their parents.
        put_image: Whether to put the image itself by digest, because no tag does
            so, or not early enough.
        referrers: The referrers to put, each with its tag or None.
        kept: The tags of referrers that stay, because they have signatures that
            those of the source lack.
        signatures: The images to sign before the tags are put.
        moves: The tags to put.
        unchanged: The tags that already point to the image.
        stays: The declared tags that a rule leaves where they are, each with the reason.
        left_out: The manifests that the source lists but does not have.
    """

    manifest: Manifest
    blobs: tuple[BlobCopy, ...] = ()
    parts: tuple[Manifest, ...] = ()
    put_image: bool
    referrers: tuple[tuple[Manifest, str | None], ...] = ()
    kept: tuple[str, ...] = ()
    signatures: tuple[MissingSignature, ...] = ()
    moves: tuple[TagMove, ...]
    unchanged: tuple[str, ...]
    stays: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be written."""
        return not (self.blobs or self.parts or self.put_image or self.referrers or self.signatures or self.moves)

    @property
    def blob_bytes(self) -> int:
        """The number of bytes to copy."""
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
            yield f"not replaced, because they have more than those of the source: {', '.join(self.kept)}"
        if self.signatures:
            yield f"sign {', '.join(str(signature.image.digest) for signature in self.signatures)}"
        if self.moves:
            yield f"put {', '.join(map(str, self.moves))}"
        if self.unchanged:
            yield f"unchanged: {', '.join(self.unchanged)}"
        yield from (f"tag {tag} stays: {why}" for tag, why in self.stays.items())
        if self.left_out:
            yield f"left out, because the source lists but does not have it: {', '.join(self.left_out)}"

    def summary(self) -> dict[str, object]:
        """
        Return the plan as fields of a log line.

        Shape:
            ``{"imageDigest": "sha256:…", "blobs": 3, "blobBytes": 40210,
            "manifests": 2, "putImage": false, "referrers": 0, "signatures": 1,
            "moves": ["1.4 from sha256:…", "1.4.2 (new)"], "unchanged": ["1"], "stays": {"latest": "…"}}``
        """
        return {
            "imageDigest": str(self.manifest.digest),
            "blobs": len(self.blobs),
            "blobBytes": self.blob_bytes,
            "manifests": len(self.parts),
            "putImage": self.put_image,
            "referrers": len(self.referrers),
            "signatures": len(self.signatures),
            "moves": [str(move) for move in self.moves],
            "unchanged": list(self.unchanged),
            "stays": dict(self.stays),
        }


def make_plan(desired: Desired, observed: Observed) -> Plan:
    """
    Compare the desired with the observed state.

    Raises:
        RuleViolationError: The release violates rules. The error has all violations.
    """
    violations = [*desired.verdict.violations, *_absent(desired.content, observed)]
    if violations:
        raise RuleViolationError(violations)
    content, digest = desired.content, desired.content.root.digest
    unchanged = tuple(tag for tag in desired.tags if observed.tags.get(tag) == digest and tag not in desired.confirm)
    moves = tuple(TagMove(tag, observed.tags.get(tag)) for tag in desired.tags if tag not in unchanged)
    referrers = tuple(_referrers(content, observed))
    return Plan(
        manifest=content.root,
        blobs=tuple(_blobs(content, observed)),
        parts=tuple(part for part in content.parts if part.digest in observed.missing_images),
        # An unchanged tag does not restore a missing image. Referrers and signatures are put before tags.
        put_image=desired.confirm_image
        or (digest in observed.missing_images and (not moves or bool(referrers or desired.signatures))),
        referrers=referrers,
        kept=tuple(tag for tag in observed.held if not replaces(content.referrer_tags[tag], observed.held[tag])),
        signatures=desired.signatures,
        moves=moves,
        unchanged=unchanged,
        stays=desired.verdict.stays,
        left_out=content.left_out,
    )


def blobs_of(content: Content, missing_images: frozenset[Digest]) -> Iterator[tuple[Manifest, Descriptor]]:
    """Yield the blobs of the missing manifests, which are those that the repository may lack."""
    for manifest in content.carried:
        if manifest.digest in missing_images:
            yield from ((manifest, blob) for blob in manifest.blobs if not blob.is_foreign)


def _blobs(content: Content, observed: Observed) -> Iterator[BlobCopy]:
    copies = {
        blob.digest: BlobCopy(blob, manifest.digest, content.origins[manifest.digest])
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
        if observed.tags.get(tag) != manifest.digest and replaces(manifest, observed.held.get(tag))
    }
    tagged = {manifest.digest for manifest in moves.values()}
    for manifest in content.referrers:
        if manifest.digest in observed.missing_images and manifest.digest not in tagged:
            yield manifest, None
    for tag, manifest in moves.items():
        yield manifest, tag


def replaces(manifest: Manifest, held: Manifest | None) -> bool:
    """Whether *manifest* has all signatures (layers or children) of *held*, so that its tag can move without a loss."""
    if held is None:
        return True
    return {part.digest for part in (*held.blobs[1:], *held.children)} <= {
        part.digest for part in (*manifest.blobs[1:], *manifest.children)
    }


def _absent(content: Content, observed: Observed) -> Iterator[str]:
    """Yield a message for each declared manifest that refers to something that the repository does not have."""
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
                f"{', '.join(images or layers)}; push them to this repository first"
            )
