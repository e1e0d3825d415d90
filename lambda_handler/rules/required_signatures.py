"""The image must be signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ..errors import truncated_repr
from ..oci import Descriptor, Digest, Repository
from ..oci.assemble import ATTESTED
from ..publish.rule import Release, Rule
from ..signatures import claims_on, open_key, place_of
from ..signatures.keys import parse_key_arn, parse_profile_arn, parse_signed_repository
from ..values import Value

OBJECTIONS_SHOWN = 5

_UNCOVERED = (
    "; this release makes the index, which no signature can cover yet, so what it lists must be signed (cosign sign "
    "--recursive)"
)

_WHEN_SIGNED = (
    "deploy when it is complete (aws ecr describe-image-signing-status): a deployment waits at most half of its time "
    "for signatures, and copies in the other half"
)


class _Statement(Protocol):
    """One signature that is required."""

    def objection(self, image: Digest, release: Release) -> tuple[str, str]:
        """Return why an image does not have the signature, or nothing and where it is."""


@dataclass(frozen=True, slots=True)
class KmsSignature:
    """
    A signature of cosign's by a key of KMS: under a tag, or in a bundle.

    Attributes:
        repository: The repository that the signature must name; empty for any.
            Only signatures under a tag name one.
    """

    key_arn: str
    repository: str = ""

    def objection(self, image: Digest, release: Release) -> tuple[str, str]:
        """Verify the signatures of an image with KMS, until one is valid."""
        place = place_of(image, release.content, release.ports)
        key, objections = None, dict[str, None]()
        for claim in claims_on(image, place):
            key = key or open_key(release.ports.signing, self.key_arn)
            why = key.objection(claim, image, self.repository)
            if not why:
                return "", f"signed with {self.key_arn} ({claim.place})"
            objections[f"{claim.place}: {why}"] = None
        if not objections:
            return f"has no signature in {place.name}; one made with {self.key_arn} is required", ""
        shown = "; ".join([*objections][:OBJECTIONS_SHOWN])
        more = f"; and {len(objections) - OBJECTIONS_SHOWN} more" if len(objections) > OBJECTIONS_SHOWN else ""
        return f"has no valid signature made with {self.key_arn} in {place.name} ({shown}{more})", ""


@dataclass(frozen=True, slots=True)
class ManagedSignature:
    """A signature that private ECR made with a signing profile when the image was pushed."""

    profile_arn: str

    def objection(self, image: Digest, release: Release) -> tuple[str, str]:
        """Ask private ECR."""
        repository = getattr(release.content.origins.get(image), "declared", None)
        if not isinstance(repository, Repository) or (registry := repository.host.private_ecr) is None:
            return f"is not in private ECR, which signs images with {self.profile_arn}", ""
        status, failure = release.ports.signing.status(registry, repository.path, image, self.profile_arn)
        if status == "COMPLETE":
            return "", f"signed by private ECR with {self.profile_arn}"
        why = {
            "": "no signing rule of the registry signs it with this profile",
            "IN_PROGRESS": f"signing is still in progress{failure and f' {failure}'}; {_WHEN_SIGNED}",
            "FAILED": f"signing failed: {failure}",
        }.get(status, f"the status of signing is {status!r}, which this version does not know")
        return f"is not signed in {repository} with {self.profile_arn}: {why}", ""


@dataclass(frozen=True, slots=True)
class RequiredSignatures(Rule):
    """
    Signatures that the image must have where it comes from.

    An index that the release assembles or reduces cannot have a signature yet:
    its digest is new, and a signature of the index that it is made from covers
    only that one. So everything that it lists must be signed instead, images
    and attestations. Its annotations and platforms are not signed then; they
    are those of the source, or declared.

    Shape:
        ``{"AllOf": [{"KmsKeyArn": "arn:aws:kms:…", "Repository":
        "ghcr.io/acme/agent"}, {"SigningProfileArn": "arn:aws:signer:…"}],
        "EachPlatform": "true"}``; or ``AnyOf``, of which one signature suffices.
    """

    statements: tuple[_Statement, ...]
    any_of: bool = False
    each_platform: bool = False

    @classmethod
    def decode(cls, value: Value) -> RequiredSignatures:
        """Decode ``RequiredSignatures``."""
        fields = value.fields(("AllOf", "AnyOf", "EachPlatform"))
        lists = [name for name in ("AllOf", "AnyOf") if name in fields]
        if len(lists) != 1:
            value.refuse("needs either AllOf or AnyOf")
        statements = fields[lists[0]].each(_statement)
        if not statements:
            fields[lists[0]].refuse("is empty; name at least one signature")
        each_platform = "EachPlatform" in fields and fields["EachPlatform"].boolean()
        return cls(statements, any_of=lists == ["AnyOf"], each_platform=each_platform)

    def reads(self, release: Release) -> bool:
        """Return True: it reads signatures, and has them verified."""
        del release
        return True

    def violations(self, release: Release) -> Iterator[str]:
        """Report each image that lacks a signature, and why."""
        for image, what in self._images(release):
            objections = self._objections(image, release)
            uncovered = _UNCOVERED if release.content.is_new else ""
            if self.any_of and objections:
                yield (
                    f"{what} has none of the {len(objections)} signatures of which one is required: "
                    + "; ".join(f"it {objection}" for objection in objections)
                    + uncovered
                )
            else:
                yield from (f"{what} {objection}{uncovered}" for objection in objections)

    def notes(self, release: Release) -> Iterator[str]:
        """Yield the signatures that were found."""
        for image, what in self._images(release):
            for statement in self.statements:
                _, found = _asked(statement, image, release)
                if found:
                    yield f"{what} is {found}"

    def _objections(self, image: Digest, release: Release) -> list[str]:
        """Return an objection for each signature that is missing; none if one is there and suffices."""
        objections: list[str] = []
        for statement in self.statements:
            objection, _ = _asked(statement, image, release)
            if objection:
                objections.append(objection)
            elif self.any_of:
                return []
        return objections

    def _images(self, release: Release) -> Iterator[tuple[Digest, str]]:
        root, is_new = release.content.root, release.content.is_new
        if not (is_new and root.is_index):
            yield root.digest, f"the image {root.digest}"
        elif not any(map(_is_image, root.children)):
            yield root.digest, f"the index {root.digest}, which has no images,"
        for entry in root.children:
            if is_new or (self.each_platform and _is_image(entry)):
                yield entry.digest, _named(entry)


def _is_image(entry: Descriptor) -> bool:
    """Whether an entry of an index is not an attestation."""
    return entry.platform is None or not entry.platform.is_unknown


def _named(entry: Descriptor) -> str:
    if not _is_image(entry):
        about = entry.annotations.get(ATTESTED)
        return f"the attestation {entry.digest}" + (f" of {truncated_repr(about)}" if about else "")
    return f"the image {entry.digest}" + (f" for {entry.platform}" if entry.platform else "")


def _statement(value: Value) -> _Statement:
    fields = value.fields(("KmsKeyArn", "Repository", "SigningProfileArn"))
    if ("KmsKeyArn" in fields) == ("SigningProfileArn" in fields):
        value.refuse("needs either KmsKeyArn or SigningProfileArn")
    if "SigningProfileArn" in fields:
        if "Repository" in fields:
            value.refuse("has a Repository, which is allowed only with KmsKeyArn")
        return ManagedSignature(fields["SigningProfileArn"].parse(parse_profile_arn))
    repository = fields["Repository"].parse(parse_signed_repository) if "Repository" in fields else ""
    return KmsSignature(fields["KmsKeyArn"].parse(parse_key_arn), repository)


def _asked(statement: _Statement, image: Digest, release: Release) -> tuple[str, str]:
    """Ask a statement once for each image, since it reads signatures and has them verified."""
    return release.once((statement, image), lambda: statement.objection(image, release))
