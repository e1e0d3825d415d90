"""Find the signatures of an image, and read them within limits: everything here may be hostile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from ..errors import IntegrityError, InvalidManifestError, NotFoundError, RejectedError
from ..oci import Descriptor, Digest, Manifest, ManifestMediaType
from ..publish.content import Content
from ..publish.ports import SourcePorts, Upstream
from .bundle import BUNDLE_TYPE, read_bundle
from .claim import Claim
from .simple_signing import ANNOTATION, read_payload, signed_layers, tag_of

CLAIMS_MAX = 100
"""How many signatures and other bundles of one image are read. Private ECR allows 100 referrers for an image."""

CONTENT_MAX_BYTES = 128 * 1024
"""The size limit of a payload or a bundle. With a certificate and an entry of a log, a bundle has about 10 KiB."""


MayBeOurs = Callable[[Descriptor], bool]
"""
Whether an entry of a list may be a signature of ours, so that it is read before others.

Anyone can write what it looks at, so it proves nothing.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where the signatures of an image are.

    Attributes:
        name: For messages.
    """

    upstream: Upstream
    name: str


def place_of(image: Digest, content: Content, ports: SourcePorts) -> Place:
    """Return where an image of a release comes from: its origin if it is copied, else the destination."""
    origin = content.origins.get(image)
    if origin is None:
        return destination_of(ports)
    address = getattr(origin, "declared", None) or getattr(origin, "repository", "its archive")
    return Place(origin, str(address))


def destination_of(ports: SourcePorts) -> Place:
    """Return the destination."""
    repository = ports.destination.repository
    return Place(ports.remote(repository, ""), str(repository))


def claims_on(image: Digest, place: Place) -> Iterator[Claim]:
    """
    Yield the signatures of an image: those under cosign's tag, then the bundles among its referrers.

    Signatures that cannot be parsed are among them, with their problem.

    Raises:
        RemoteError: The registry did not answer.
    """
    yield from tagged_claims(image, place.upstream)
    yield from bundles_on(image, place.upstream)


def no_preference(_: Descriptor) -> bool:
    """Nobody looks for a signature of ours."""
    return False


def annotated(name: str, value: str) -> MayBeOurs:
    """Return whether an entry has an annotation; also true if the registry lists no annotations."""
    return lambda entry: entry.annotations.get(name) == value or not entry.annotations


def tagged_claims(image: Digest, upstream: Upstream, may_be_ours: MayBeOurs = no_preference) -> Iterator[Claim]:
    """
    Yield the signatures under cosign's tag.

    Raises:
        RejectedError: More than ``CLAIMS_MAX`` may be ours.
    """
    tag = tag_of(image)
    manifest = upstream.tagged(tag)
    layers = signed_layers(manifest) if manifest else []
    for layer in limited(layers, image, may_be_ours):
        payload, problem = _content(layer, upstream)
        if problem:
            yield Claim(place=f"the tag {tag}", problem=problem)
        else:
            yield read_payload(payload, layer.annotations[ANNOTATION], f"the tag {tag}")
    if len(layers) > CLAIMS_MAX:
        yield Claim(
            place=f"the tag {tag}", problem=f"it has more than {CLAIMS_MAX} signatures; the others are not read"
        )


def bundles_on(image: Digest, upstream: Upstream, may_be_ours: MayBeOurs = no_preference) -> Iterator[Claim]:
    """
    Yield the signatures in bundles.

    Raises:
        RejectedError: More than ``CLAIMS_MAX`` may be ours.
    """
    entries = referrers_of(image, BUNDLE_TYPE, upstream)
    for entry in limited(entries, image, may_be_ours):
        place = f"the referrer {entry.digest}"
        content, problem = attached_content(entry, image, BUNDLE_TYPE, upstream)
        claim = Claim(place=place, problem=problem) if problem else read_bundle(content, image, place)
        if claim is not None:
            yield claim
    if len(entries) > CLAIMS_MAX:
        problem = f"there are more than {CLAIMS_MAX}; the others are not read"
        yield Claim(place="the bundles that refer to it", problem=problem)


def limited(entries: Sequence[Descriptor], image: Digest, may_be_ours: MayBeOurs) -> Iterator[Descriptor]:
    """
    Yield at most ``CLAIMS_MAX`` entries, those that may be ours first.

    Raises:
        RejectedError: More may be ours, and the caller was not satisfied with
            those that were read. Another signature would not be found either.
    """
    yield from sorted(entries, key=lambda entry: not may_be_ours(entry))[:CLAIMS_MAX]
    if (count := sum(map(may_be_ours, entries))) > CLAIMS_MAX:
        message = (
            f"{image} has {count} signatures that look like those of this release, and none of the {CLAIMS_MAX} that "
            "were read is one"
        )
        hint = "remove signatures that are not needed (aws ecr-public batch-delete-image), and deploy again"
        raise RejectedError(message, operation="reading signatures", hint=hint)


def referrers_of(image: Digest, artifact_type: str, upstream: Upstream) -> list[Descriptor]:
    """Return the referrers of an image of one type: from the API, and from the tag for registries without it."""
    listed = upstream.tagged(f"sha256-{image.hex}")
    by_tag = listed.children if listed and listed.media_type is ManifestMediaType.OCI_INDEX else ()
    entries = {entry.digest: entry for entry in (*by_tag, *upstream.referrers(image))}
    return [entry for entry in entries.values() if entry.artifact_type == artifact_type]


def attached_content(entry: Descriptor, image: Digest, media_type: str, upstream: Upstream) -> tuple[bytes, str]:
    """Read the only layer of a referrer of *image*; return it, or an empty one and the problem."""
    manifest, problem = attached_manifest(entry, image, upstream)
    return layer_of(manifest, media_type, upstream) if manifest else (b"", problem)


def attached_manifest(entry: Descriptor, image: Digest, upstream: Upstream) -> tuple[Manifest | None, str]:
    """Read a referrer of *image*; return it, or None and the problem."""
    if entry.size > CONTENT_MAX_BYTES:
        return None, f"its manifest is longer than {CONTENT_MAX_BYTES} bytes"
    try:
        manifest = upstream.listed(entry)
    except (NotFoundError, IntegrityError, InvalidManifestError) as error:
        return None, f"its manifest cannot be read: {error.message}"
    if manifest.subject is None or manifest.subject.digest != image:
        return None, "its manifest refers to another image"
    return manifest, ""


def layer_of(manifest: Manifest, media_type: str, upstream: Upstream) -> tuple[bytes, str]:
    """Read the only layer of a manifest; return it, or an empty one and the problem."""
    layers = [layer for layer in manifest.blobs[1:] if layer.media_type == media_type]
    return _content(layers[0], upstream) if len(layers) == 1 else (b"", f"it does not have one layer of {media_type}")


def _content(blob: Descriptor, upstream: Upstream) -> tuple[bytes, str]:
    """Read a blob; return it, or an empty one and the problem."""
    if blob.size > CONTENT_MAX_BYTES:
        return b"", f"it is longer than {CONTENT_MAX_BYTES} bytes"
    try:
        content = _read(blob, upstream)
    except NotFoundError as error:
        return b"", f"its content cannot be read: {error.message}"
    if Digest.of(content) != blob.digest:
        return b"", "its content does not have the digest in its manifest"
    return content, ""


def _read(blob: Descriptor, upstream: Upstream) -> bytes:
    content = bytearray()
    with closing(upstream.blob(blob)) as pieces:
        for piece in pieces:
            content += piece
            if len(content) > blob.size:
                break
    return bytes(content)
