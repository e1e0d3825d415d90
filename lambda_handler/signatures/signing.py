"""Sign images at publication."""

from __future__ import annotations

import functools
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from ..errors import ImageError, QuotaExceededError
from ..oci import Descriptor, Digest, Manifest
from ..publish import own
from ..publish.content import Content
from ..publish.ports import PublicRepository, SourcePorts
from ..values import Value
from . import bundle, notation, simple_signing
from .claim import KEY
from .find import (
    annotated,
    attached_manifest,
    bundles_on,
    destination_of,
    layer_of,
    limited,
    referrers_of,
    tagged_claims,
)
from .keys import Key, open_key, parse_key_arn, parse_profile_arn


class _Signer(Protocol):
    """Signs images in the destination."""

    def check(self) -> None:
        """Raise an error if it certainly cannot sign."""

    def has_signed(self, image: Digest) -> bool:
        """Whether there is a signature already."""

    def sign(self, image: Descriptor, repository: PublicRepository, put: Mapping[str, Manifest]) -> str:
        """Sign an image, and store the signature; return where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """
    How a release is signed.

    Shape:
        ``{"KmsKeyArn": "arn:aws:kms:…", "As": "Referrer", "Children": "false"}``
        or ``{"SigningProfileArn": "arn:aws:signer:…", "Children": "false"}``

    Attributes:
        arn: The key of KMS, or the signing profile of AWS Signer.
        is_profile: Whether *arn* is a signing profile.
        as_tag: Whether the signature is under cosign's tag, and not a referrer.
        children: Whether the images of an index are signed, too.
    """

    arn: str
    is_profile: bool = False
    as_tag: bool = False
    children: bool = False

    @classmethod
    def decode(cls, value: Value) -> Signing:
        """Decode ``SignWith``."""
        fields = value.fields(("KmsKeyArn", "SigningProfileArn", "As", "Children"))
        is_profile = "SigningProfileArn" in fields
        if is_profile == ("KmsKeyArn" in fields):
            value.refuse("needs either KmsKeyArn or SigningProfileArn")
        if is_profile and "As" in fields:
            value.refuse("has As, which is allowed only with KmsKeyArn: AWS Signer's signatures are referrers")
        arn = fields["SigningProfileArn"].parse(parse_profile_arn) if is_profile else ""
        return cls(
            arn=arn or fields["KmsKeyArn"].parse(parse_key_arn),
            is_profile=is_profile,
            as_tag="As" in fields and fields["As"].choice(("Referrer", "Tag")) == "Tag",
            children="Children" in fields and fields["Children"].boolean(),
        )

    def missing(self, content: Content, absent: Collection[Digest], ports: SourcePorts) -> tuple[Signature, ...]:
        """
        Return the signatures that an image lacks.

        Args:
            absent: Images that are not in the destination yet, and so have no signature.

        Raises:
            RemoteError: The registry or KMS did not answer, or the key cannot sign.
        """
        signer: _Signer = _Profile(self.arn, ports) if self.is_profile else _Kms(self.arn, ports, as_tag=self.as_tag)
        images = [
            image
            for image in self._subjects(content.root)
            if image.digest in absent or not signer.has_signed(image.digest)
        ]
        if images:
            signer.check()
        return tuple(Signature(image, self, signer) for image in images)

    def _subjects(self, root: Manifest) -> Iterator[Descriptor]:
        """Yield the images to sign. Attestations, whose platform is ``unknown``, are not."""
        if self.children:
            yield from (each for each in root.children if each.platform is None or not each.platform.is_unknown)
        yield Descriptor(media_type=root.media_type.value, digest=root.digest, size=root.size)


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that is missing."""

    image: Descriptor
    signing: Signing
    signer: _Signer = field(compare=False)

    def attach(self, repository: PublicRepository, put: Mapping[str, Manifest]) -> str:
        """
        Sign the image, and store the signature.

        Args:
            put: The manifests that were just put under tags, which reads may not show yet.

        Returns:
            What was stored, for the log.

        Raises:
            ImageError: That failed. The message says that no tag has moved.
        """
        try:
            return self.signer.sign(self.image, repository, put)
        except ImageError as error:
            if isinstance(error, QuotaExceededError):
                error.hint = (
                    "the image may have the most referrers that ECR allows; remove signatures that are no longer "
                    "needed (aws ecr-public batch-delete-image), or sign under a tag"
                )
            error.add_context(f"signing {self.image.digest} failed, so no tag was moved")
            raise


@dataclass
class _Kms:
    """Signs with a key of KMS."""

    arn: str
    ports: SourcePorts
    as_tag: bool

    @cached_property
    def key(self) -> Key:
        return open_key(self.ports.signing, self.arn)

    def check(self) -> None:
        # A key that cannot sign is refused before anything is written.
        _ = self.key

    def has_signed(self, image: Digest) -> bool:
        """Whether KMS confirms one of the signatures. What they say only decides which are read first."""
        upstream = destination_of(self.ports).upstream
        claims = (tagged_claims if self.as_tag else bundles_on)(image, upstream, annotated(KEY, self.key.hint))
        return any(not self.key.objection(claim, image) for claim in claims)

    def sign(self, image: Descriptor, repository: PublicRepository, put: Mapping[str, Manifest]) -> str:
        if self.as_tag:
            return self._sign_under_tag(image, repository, put)
        statement = bundle.statement_for(image.digest)
        content = bundle.bundle_of(statement, self.key.sign(bundle.message_of(statement)), self.key.hint)
        return _attach(bundle.referrer_of(content, image, self.key.hint), bundle.EMPTY, content, repository)

    def _sign_under_tag(self, image: Descriptor, repository: PublicRepository, put: Mapping[str, Manifest]) -> str:
        """Add a signature to those under the tag."""
        tag = simple_signing.tag_of(image.digest)
        payload = simple_signing.payload_for(str(image.digest), str(repository.repository))
        # Not read by tag: such reads lag most, and a signature that they do not show would be lost.
        found = None if tag in put else repository.resolve([tag]).get(tag)
        held = repository.manifest(found) if found else put.get(tag)
        manifest, config = simple_signing.with_signature(held, payload, self.key.sign(payload), self.key.hint)
        _upload(manifest, (config, payload), repository)
        repository.put(manifest, tag)
        return f"tag {tag}"


@dataclass
class _Profile:
    """Signs with a profile of AWS Signer."""

    arn: str
    ports: SourcePorts

    def check(self) -> None:
        """Nothing can be checked without signing."""

    def has_signed(self, image: Digest) -> bool:
        """
        Whether this function has attached an envelope of this profile.

        AWS verifies no envelope, and there is no cryptography here. So an
        envelope counts only if its manifest is marked as made for this
        repository. Whoever may push to it could forge that, and could move its
        tags as well. Others cannot: the function does not copy marked manifests
        (``publish.own``). An envelope that another tool has attached does not
        count: it is better to sign once more than never.
        """
        upstream = destination_of(self.ports).upstream
        repository = self.ports.destination.repository
        is_marked = annotated(own.MARK, str(repository))
        entries = [each for each in referrers_of(image, notation.SIGNATURE_TYPE, upstream) if is_marked(each)]
        for entry in limited(entries, image, is_marked):
            manifest, _ = attached_manifest(entry, image, upstream)
            if manifest is None or not own.is_own(manifest, repository):
                continue
            envelope, problem = layer_of(manifest, notation.ENVELOPE_TYPE, upstream)
            if not problem and notation.is_of_profile(envelope, image, self.arn):
                return True
        return False

    def sign(self, image: Descriptor, repository: PublicRepository, put: Mapping[str, Manifest]) -> str:
        del put
        envelope = self.ports.signing.sign_payload(self.arn, notation.payload_for(image))
        referrer = notation.referrer_of(envelope, image, repository.repository)
        return _attach(referrer, notation.CONFIG, envelope, repository)


def _attach(referrer: Manifest, config: bytes, layer: bytes, repository: PublicRepository) -> str:
    _upload(referrer, (config, layer), repository)
    repository.put(referrer, None)
    return f"referrer {referrer.digest}"


def _upload(manifest: Manifest, contents: Collection[bytes], repository: PublicRepository) -> None:
    """Upload those *contents* of a manifest that the repository lacks."""
    blobs = {blob.digest: blob for blob in manifest.blobs}
    by_digest = {Digest.of(content): content for content in contents}
    for digest in sorted(by_digest.keys() - repository.blob_sizes(by_digest).keys()):
        repository.upload(blobs[digest], functools.partial(_pieces, by_digest[digest]))


def _pieces(content: bytes) -> Generator[bytes, None, None]:
    yield content
