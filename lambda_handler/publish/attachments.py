"""
What is attached to an image: signatures, SBOMs and attestations.

They are OCI referrers (in the list of the registry, or under the tag
``sha256-<hex>``), manifests under cosign's tags ``sha256-<hex>.sig``, ``.att`` and
``.sbom``, or BuildKit's attestation manifests beside the images of an index.

References:
    BuildKit, docs/attestations/attestation-storage.md; sigstore/cosign,
    specs/BUNDLE_SPEC.md and ``cosign attest`` 2.6; secure-systems-lab/dsse.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field

from ..errors import ImageError, InvalidManifestError
from ..oci import Descriptor, Digest, Manifest
from ..oci.bounded_json import parse_json
from .content import Content
from .plan import replaces
from .ports import Origin
from .referrers import with_referrers
from .rule import Release
from .tree import Allowance

IMAGES_MAX = 200
"""Of how many images it is read what is attached to them. Each takes five requests."""

ATTESTATION_MAX_BYTES = 4 * 1024 * 1024
ATTESTATIONS_MAX = 50
"""How many attestations are read for their predicate types. Current tools write these into annotations."""

MESSAGE_SIGNATURE = "message-signature"
"""The type of a Sigstore bundle with a signature instead of an attestation."""

_TAG = re.compile(r"sha256-(?P<hex>[0-9a-f]{64})\.(?:sig|att|sbom)")

_BUNDLE = ("dev.sigstore.bundle.predicateType", "dev.sigstore.bundle.content")
"""The annotations of a manifest with a Sigstore bundle."""

_PREDICATE = ("in-toto.io/predicate-type", "predicateType")
"""The annotations of a layer with an attestation: of BuildKit, and of ``cosign attest``."""

_ATTESTATIONS = ("application/vnd.in-toto", "application/vnd.dsse.envelope.", "application/vnd.dev.sigstore.bundle")

_NO_KIND = (
    "application/vnd.oci.image.config.",
    "application/vnd.docker.container.image.",
    "application/vnd.oci.empty.",
)

_STANDARD = str.maketrans("-_", "+/")


@dataclass(slots=True)
class Attached:
    """
    What is attached, by the digest of the image.

    Attributes:
        types: Artifact types, media types of configs and layers, and predicate types.
    """

    types: dict[Digest, set[str]] = field(default_factory=dict)
    _left: int = ATTESTATIONS_MAX

    def add(self, image: Digest, artifact: Manifest, origin: Origin) -> None:
        """Add what an artifact says that it is. A layer is read if only its content has the predicate type."""
        data = _object(artifact.content)
        said = _strings(data.get("annotations"))
        bundle = [said.get(name) for name in _BUNDLE]
        media_types = (blob.media_type for blob in artifact.blobs)
        found = {*bundle, _strings(data).get("artifactType")}
        found |= {each for each in media_types if not each.startswith(_NO_KIND)}
        for layer in artifact.blobs[1:]:
            named = [*filter(None, map(layer.annotations.get, _PREDICATE))]
            if layer.media_type.startswith(_ATTESTATIONS) and not (named or any(bundle)):
                named = [predicate_type(content) for content in self._read(layer, origin)]
            found.update(named)
        self.types.setdefault(image, set()).update(filter(None, found))

    def _read(self, layer: Descriptor, origin: Origin) -> Iterator[bytes]:
        """Yield the content of a layer, unless it is too long or too many were read."""
        if not self._left or layer.size > ATTESTATION_MAX_BYTES:
            return
        self._left -= 1
        content = bytearray()
        with closing(origin.blob(layer)) as pieces:
            for piece in pieces:
                content += piece[: layer.size + 1 - len(content)]
        if Digest.of(bytes(content)) == layer.digest:
            yield bytes(content)


def attached_by(release: Release) -> Attached:
    """
    Return what a release attaches: attestations in its index, and the referrers that it copies.

    Raises:
        ImageError: There are too many, or one cannot be read.
    """
    attached, content = Attached(), release.content
    known = {manifest.digest: manifest for manifest in content.carried}
    images = {str(entry.digest): entry.digest for entry in content.root.children}
    entries = [entry for entry in content.root.children if _attested(entry) in images]
    Allowance("the set of attestations of the image").take(entry for entry in entries if entry.digest not in known)
    for entry in entries:
        manifest = known.get(entry.digest) or release.ports.destination.manifest(entry.digest)
        attached.add(images[_attested(entry)], manifest, content.origins.get(entry.digest, content.origin))
    _add_referrers(attached, content, release)
    return attached


def attached_in_destination(release: Release, images: Iterable[Digest]) -> Attached:
    """
    Return what the destination repository has of *images*.

    Raises:
        ImageError: It cannot be read, or there are too many images.
    """
    destination, wanted = release.ports.destination, frozenset(images)
    if len(wanted) > IMAGES_MAX:
        message = f"the image has {len(wanted) - 1} platforms; RequiredReferrers can check at most {IMAGES_MAX - 1}"
        raise InvalidManifestError(message)
    attached = Attached()
    if there := wanted - destination.missing_images(wanted):
        repository = release.ports.remote(destination.repository, "")
        content = Content(
            root=release.content.root, origin=repository, origins=dict.fromkeys(sorted(there), repository)
        )
        _add_referrers(attached, with_referrers(content, levels=1))
    return attached


def attached_at_source(release: Release) -> Attached:
    """Return what is attached at the source but not copied, as far as it can be read."""
    attached = Attached()
    with suppress(ImageError):
        if not release.content.referrers:
            _add_referrers(attached, with_referrers(release.content, levels=1))
    return attached


def predicate_type(content: bytes) -> str:
    """
    Return the predicate type of an in-toto statement, or of one in a DSSE envelope or a Sigstore bundle.

    Returns:
        ``MESSAGE_SIGNATURE`` for a bundle with a signature; empty if the content
        is none of these.
    """
    data = _object(content)
    if "messageSignature" in data:
        return MESSAGE_SIGNATURE
    envelope = data.get("dsseEnvelope", data)
    if payload := _strings(envelope).get("payload"):
        # DSSE allows both alphabets of base64.
        with suppress(ValueError):
            data = _object(base64.b64decode(payload.translate(_STANDARD), validate=True))
    return _strings(data).get("predicateType", "")


def _add_referrers(attached: Attached, content: Content, release: Release | None = None) -> None:
    """Add referrers; for a tag that stays in the destination, because it has more there, what it has there."""
    artifacts = [(each.subject.digest, each) for each in content.referrers if each.subject is not None]
    for tag, artifact in content.referrer_tags.items():
        if match := _TAG.fullmatch(tag):
            image = Digest.parse(f"sha256:{match['hex']}")
            if release and (held := _held(tag, artifact, release)):
                attached.add(image, held, release.ports.destination)
            else:
                artifacts.append((image, artifact))
    for image, artifact in artifacts:
        attached.add(image, artifact, content.origins.get(artifact.digest, content.origin))


def _held(tag: str, artifact: Manifest, release: Release) -> Manifest | None:
    found = release.found.get(tag)
    if found is None or found == artifact.digest:
        return None
    held = release.ports.destination.manifest(found)
    return None if replaces(artifact, held) else held


def _attested(entry: Descriptor) -> str:
    """Return the digest of the image that an entry of an index attests; empty if it is not an attestation."""
    is_attestation = entry.annotations.get("vnd.docker.reference.type") == "attestation-manifest"
    return entry.annotations.get("vnd.docker.reference.digest", "") if is_attestation else ""


def _object(content: bytes) -> dict[str, object]:
    with suppress(ValueError, RecursionError):
        data = parse_json(content)
        return data if isinstance(data, dict) else {}
    return {}


def _strings(data: object) -> dict[str, str]:
    items = data.items() if isinstance(data, dict) else ()
    return {key: value for key, value in items if isinstance(value, str)}
