"""Who signs a release, and which signatures a release must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aws_cdk import aws_kms as kms

from .._assets.lambda_handler.signatures.keys import parse_key_arn, parse_profile_arn, parse_signed_repository
from ._iam.actions import KMS_SIGN_ACTIONS, KMS_VERIFY_ACTIONS, SIGNER_ACTIONS, SIGNING_STATUS_ACTIONS
from ._sources.base import SourceBinding
from ._validation.values import check, check_flag, check_kind, refuse
from .provider import PublicImageProvider
from .public_repository import IPublicRepository


class ISigning(Protocol):
    """A way to sign a release. ``Signing`` creates them."""

    def bind(self, provider: PublicImageProvider, repository: IPublicRepository) -> Mapping[str, object]:
        """
        Grant *provider* the permissions for signing, and render the property ``SignWith``.

        Args:
            repository: Where the signatures are stored.
        """


class Signing:
    """
    Signs an image at its publication: one method for each service that signs.

    The signature is made after the image is in the repository by its digest, and
    before its first tag moves. If signing fails, no tag moves. An image that has
    a valid signature of this key already is not signed again. A rollback signs
    nothing.

    ```python
    PublicImage(
        self, "Release",
        repository=repository,
        source=ImageSource.digest("sha256:9f2c…"),
        tags=["1.4.2", "latest"],
        sign_with=Signing.kms(key),
    )
    ```
    """

    @staticmethod
    def kms(key: kms.IKey | kms.Key, *, as_tag: bool = False, children: bool = False) -> ISigning:
        """
        Sign with an asymmetric key of AWS KMS, for ``cosign verify --key``.

        The signature has no entry in a public transparency log.

        Args:
            key: A key with the usage ``SIGN_VERIFY``, of the type ECC_NIST_P256,
                ECC_NIST_P384, ECC_NIST_P521 or RSA. The role is granted
                ``kms:Sign``, ``kms:Verify`` and ``kms:GetPublicKey`` on this key
                only; the policy of a key in another account must allow them, too.
            as_tag: Store the signature under the tag ``sha256-….sig``, for
                verifiers that do not read referrers: cosign before version 3, by
                default. Default: False; it is a Sigstore bundle that refers to
                the image, which adds no tag to the gallery.
            children: Also sign each image of an index, for verifiers that look
                only at the image of their platform. Default: False.

        Raises:
            ValueError: The key is not a key, or is known by its alias only.
        """
        _check_key("Signing.kms: key", key)
        check_flag("Signing.kms: as_tag", as_tag)
        check_flag("Signing.kms: children", children)
        return _KmsSigning(key, as_tag=as_tag, children=children)

    @staticmethod
    def signer_profile(profile_arn: str, *, children: bool = False) -> ISigning:
        """
        Sign with a profile of AWS Signer, for ``notation verify``.

        Args:
            profile_arn: The ARN of a signing profile of the platform
                ``Notation-OCI-SHA384-ECDSA``, without a version. The role is
                granted ``signer:SignPayload`` on this profile only.
            children: Also sign each image of an index. Default: False.

        Raises:
            ValueError: The ARN is malformed.
        """
        check("Signing.signer_profile: profile_arn", profile_arn, parse_profile_arn)
        check_flag("Signing.signer_profile: children", children)
        return _ProfileSigning(profile_arn, children=children)


class IRequiredSignature(Protocol):
    """A signature that a release must have. ``RequiredSignature`` creates them."""

    def bind(self, provider: PublicImageProvider, source: SourceBinding) -> Mapping[str, object]:
        """
        Grant *provider* the permissions for verifying, and render the signature.

        Raises:
            ValueError: No image of this source can have such a signature.
        """


class RequiredSignature:
    """
    A signature that ``ReleaseRule.required_signatures`` requires: one method for each way to sign.

    ```python
    PublicImage(
        self, "Release",
        repository=repository,
        source=ImageSource.registry("ghcr.io/acme/agent@sha256:9f2c…"),
        tags=["1.4.2"],
        rules=[ReleaseRule.required_signatures([RequiredSignature.kms(key)])],
    )
    ```
    """

    @staticmethod
    def kms(key: kms.IKey | kms.Key, *, repository: str | None = None) -> IRequiredSignature:
        """
        Require a signature that ``cosign sign`` made with a key of AWS KMS.

        Both forms of cosign are accepted: the tag ``sha256-….sig``, and a
        Sigstore bundle that refers to the image. KMS verifies them.

        Args:
            key: A key with the usage ``SIGN_VERIFY``, of the type ECC_NIST_P256,
                ECC_NIST_P384, ECC_NIST_P521 or RSA. The role is granted
                ``kms:Verify`` and ``kms:GetPublicKey`` on this key only.
            repository: The repository that the signature must name, as
                ``host/path``. Bundles of cosign do not name one. Default: any.

        Raises:
            ValueError: The key is not a key, or is known by its alias only; or
                the repository is malformed.
        """
        _check_key("RequiredSignature.kms: key", key)
        if repository is not None:
            check("RequiredSignature.kms: repository", repository, parse_signed_repository)
        return _RequiredKms(key, repository)

    @staticmethod
    def ecr_managed(profile_arn: str) -> IRequiredSignature:
        """
        Require that private ECR has signed the image: ECR's managed signing.

        The image must come from private ECR. A signature that is in progress is
        waited for, for at most half of the time of the deployment.

        Args:
            profile_arn: The ARN of the signing profile of AWS Signer in the
                signing configuration of the registry.

        Raises:
            ValueError: The ARN is malformed.
        """
        check("RequiredSignature.ecr_managed: profile_arn", profile_arn, parse_profile_arn)
        return _RequiredManaged(profile_arn)


@dataclass(frozen=True, slots=True)
class _KmsSigning:
    key: kms.IKey | kms.Key
    as_tag: bool
    children: bool

    def bind(self, provider: PublicImageProvider, repository: IPublicRepository) -> Mapping[str, object]:
        provider.allow(KMS_SIGN_ACTIONS, self.key.key_arn)
        # A signature has layers.
        provider.allow_publishing(repository, copies=True)
        return {
            "KmsKeyArn": self.key.key_arn,
            "As": "Tag" if self.as_tag else "Referrer",
            **({"Children": True} if self.children else {}),
        }


@dataclass(frozen=True, slots=True)
class _ProfileSigning:
    profile_arn: str
    children: bool

    def bind(self, provider: PublicImageProvider, repository: IPublicRepository) -> Mapping[str, object]:
        provider.allow(SIGNER_ACTIONS, self.profile_arn)
        provider.allow_publishing(repository, copies=True)
        return {"SigningProfileArn": self.profile_arn, **({"Children": True} if self.children else {})}


@dataclass(frozen=True, slots=True)
class _RequiredKms:
    key: kms.IKey | kms.Key
    repository: str | None

    def bind(self, provider: PublicImageProvider, source: SourceBinding) -> Mapping[str, object]:
        del source
        provider.allow(KMS_VERIFY_ACTIONS, self.key.key_arn)
        return {"KmsKeyArn": self.key.key_arn, **({"Repository": self.repository} if self.repository else {})}


@dataclass(frozen=True, slots=True)
class _RequiredManaged:
    profile_arn: str

    def bind(self, provider: PublicImageProvider, source: SourceBinding) -> Mapping[str, object]:
        if not source.private_repositories:
            refuse(
                "RequiredSignature.ecr_managed",
                "the image does not come from private ECR; use ImageSource.ecr or ImageSource.docker_asset, "
                "or RequiredSignature.kms",
            )
        for arn in source.private_repositories:
            provider.allow(SIGNING_STATUS_ACTIONS, arn)
        return {"SigningProfileArn": self.profile_arn}


def _check_key(what: str, key: object) -> None:
    example = "kms.Key(self, 'Key', key_spec=kms.KeySpec.ECC_NIST_P256, key_usage=kms.KeyUsage.SIGN_VERIFY)"
    check_kind(what, key, "key_arn", f"a key of AWS KMS, e.g. {example}")
    if hasattr(type(key), "alias_name") or hasattr(key, "alias_name"):
        refuse(what, "is an alias, on which IAM grants nothing; use the key itself, or kms.Key.from_key_arn")
    check(what, str(getattr(key, "key_arn", "")), parse_key_arn)
