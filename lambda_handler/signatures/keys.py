"""Keys of AWS KMS and profiles of AWS Signer, and whether a claim of a key is true."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InvalidReferenceError, RejectedError, truncated_repr
from ..oci import Digest, Reference, Repository
from ..publish.ports import SigningServices
from .claim import SIGNATURE_MAX_BYTES, Claim, to_base64
from .simple_signing import payload_for

ALGORITHMS: Mapping[str, tuple[str, str]] = {
    "ECC_NIST_P256": ("ECDSA_SHA_256", "sha256"),
    "ECC_NIST_P384": ("ECDSA_SHA_384", "sha384"),
    "ECC_NIST_P521": ("ECDSA_SHA_512", "sha512"),
    "RSA_2048": ("RSASSA_PKCS1_V1_5_SHA_256", "sha256"),
    "RSA_3072": ("RSASSA_PKCS1_V1_5_SHA_256", "sha256"),
    "RSA_4096": ("RSASSA_PKCS1_V1_5_SHA_256", "sha256"),
}
"""
The signing algorithm and the hash for each type of key, as cosign chooses them for a key in KMS.

References:
    sigstore/sigstore, pkg/signature/kms/aws: the first algorithm that KMS
    lists for the key.
"""

_KEY_ARN = re.compile(r"arn:[a-z-]+:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(?:key/[a-zA-Z0-9-]+|alias/[a-zA-Z0-9/_-]+)")
_PROFILE_ARN = re.compile(r"arn:[a-z-]+:signer:[a-z0-9-]+:[0-9]{12}:/signing-profiles/[a-zA-Z0-9_]{2,64}")


def parse_key_arn(text: str) -> str:
    """
    Parse the ARN of a KMS key or of an alias of one.

    Raises:
        InvalidReferenceError: *text* has another form.
    """
    if not _KEY_ARN.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not the ARN of a KMS key; "
            "expected e.g. 'arn:aws:kms:us-east-1:123456789012:key/1234abcd-…'"
        )
        raise InvalidReferenceError(message)
    return text


def parse_profile_arn(text: str) -> str:
    """
    Parse the ARN of a signing profile, without a version.

    Raises:
        InvalidReferenceError: *text* has another form.
    """
    if not _PROFILE_ARN.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not the ARN of a signing profile; "
            "expected e.g. 'arn:aws:signer:us-east-1:123456789012:/signing-profiles/release'"
        )
        raise InvalidReferenceError(message)
    return text


def parse_signed_repository(text: str) -> str:
    """
    Parse a repository that signatures must name.

    Raises:
        InvalidReferenceError: *text* has another form.
    """
    Repository.parse(text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """
    An asymmetric key of KMS that signs and verifies.

    Attributes:
        algorithm: The signing algorithm, in KMS's words.
        hash_name: Its hash, as Python names it.
        hint: Base64 of the SHA-256 digest of the public key, which a bundle has.
    """

    services: SigningServices
    arn: str
    algorithm: str
    hash_name: str
    hint: str

    def sign(self, message: bytes) -> bytes:
        """
        Sign a message of any length.

        Raises:
            RemoteError: KMS refused.
        """
        return self.services.sign(self.arn, self.algorithm, self._hashed(message))

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """
        Whether this key made the signature.

        Raises:
            RemoteError: KMS did not answer.
        """
        if not 0 < len(signature) <= SIGNATURE_MAX_BYTES:
            return False
        return self.services.verify(self.arn, self.algorithm, self._hashed(message), signature)

    def objection(self, claim: Claim, image: Digest, repository: str = "") -> str:
        """
        Return why a claim is not a signature of *image* by this key; empty if it is.

        Args:
            repository: The repository that the signature must name; empty for any.

        Raises:
            RemoteError: KMS did not answer.
        """
        if claim.problem:
            return claim.problem
        if not self.verifies(claim.message, claim.signature):
            return self._why_invalid(claim, image)
        # From here on, the claim is what the key has signed.
        if claim.digest != str(image):
            return f"it is for another image, {truncated_repr(claim.digest)}"
        if repository and not _is_same(claim.repository, repository):
            named = f"another repository, {truncated_repr(claim.repository)}" if claim.repository else "no repository"
            return f"it names {named}, and {repository} is required"
        return ""

    def _why_invalid(self, claim: Claim, image: Digest) -> str:
        """Explain an invalid signature. Its text is not trusted, so this can only choose the words."""
        if claim.key_hint:
            return _ALTERED if claim.key_hint == self.hint else _OTHER_KEY
        # A payload has no hint. If the key has signed the usual payload, it was changed afterwards.
        usual = payload_for(str(image), claim.repository)
        was_usual = usual != claim.message and self.verifies(usual, claim.signature)
        return _ALTERED if was_usual else f"{_OTHER_KEY}, or its signature was altered"

    def _hashed(self, message: bytes) -> bytes:
        return hashlib.new(self.hash_name, message).digest()


_ALTERED = "it was altered after it was signed"
_OTHER_KEY = "it was made with another key"


def open_key(services: SigningServices, arn: str) -> Key:
    """
    Read what a key is.

    Raises:
        RejectedError: The key does not sign, or its type is one that cosign does not support.
        RemoteError: KMS refused.
    """
    kind, public_key = services.public_key(arn)
    if kind not in ALGORITHMS:
        message = f"the key {arn} is of type {kind}; allowed: {', '.join(ALGORITHMS)}"
        hint = "use an asymmetric key with the usage SIGN_VERIFY"
        raise RejectedError(message, operation="kms:GetPublicKey", hint=hint)
    algorithm, hash_name = ALGORITHMS[kind]
    hint = to_base64(hashlib.sha256(public_key).digest())
    return Key(services=services, arn=arn, algorithm=algorithm, hash_name=hash_name, hint=hint)


def _is_same(claimed: str, required: str) -> bool:
    """Whether a signed identity, which may have a tag or a digest, names a repository."""
    wanted = _canonical(Repository.parse(required))
    for text in (claimed, f"{claimed}:latest"):
        try:
            return _canonical(Reference.parse(text).repository) == wanted
        except ValueError:
            continue
    return False


def _canonical(repository: Repository) -> tuple[str, str]:
    path = repository.path.removeprefix("library/") if repository.host.is_docker_hub else repository.path
    return str(repository.host.canonical), path
