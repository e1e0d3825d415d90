"""Images in other repositories, copied with everything that they refer to."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from aws_cdk import Annotations, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from ..._assets.lambda_handler.errors import InvalidReferenceError, truncated_repr
from ..._assets.lambda_handler.oci import Digest, Reference, Repository, parse_tag
from .._iam.actions import ECR_LOGIN_ACTIONS, ECR_READ_ACTIONS
from .._validation.values import check, check_kind, check_secret, is_known, refuse
from ..provider import PublicImageProvider
from .base import SourceBinding


class RegistrySource:
    """See ``ImageSource.registry``."""

    def __init__(self, reference: str, credentials: secretsmanager.ISecret | None) -> None:
        check("ImageSource.registry", reference, Reference.parse_declared)
        if credentials is not None:
            check_secret("ImageSource.registry: credentials", credentials)
        self._reference, self._credentials = reference, credentials

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        image = {"Reference": self._reference}
        parsed = Reference.parse(self._reference) if is_known(self._reference) else None
        if self._credentials is not None:
            self._credentials.grant_read(provider)
            image["CredentialsSecretArn"] = self._credentials.secret_arn
            _warn_of_secret_for_any_registry(self._credentials)
        elif parsed and parsed.repository.host.is_private_ecr:
            _warn_of_private_ecr(scope, parsed)
        mutable = parsed is not None and parsed.digest is None
        return SourceBinding(
            properties={"Image": image}, mutable_tags=(self._reference,) if mutable else (), copies=True
        )


class PublicSource:
    """See ``ImageSource.public``."""

    def __init__(self, repository_uri: str, tag: str | None, digest: str | None) -> None:
        check("ImageSource.public", repository_uri, _parse_public)
        self._reference = _reference("ImageSource.public", repository_uri, tag, digest)
        self._mutable_tags = (self._reference,) if tag else ()

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct of its own
        provider.allow_reading()
        return SourceBinding(
            properties={"Image": {"Reference": self._reference}}, mutable_tags=self._mutable_tags, copies=True
        )


class EcrSource:
    """See ``ImageSource.ecr`` and ``ImageSource.docker_asset``."""

    def __init__(
        self, repository: ecr.IRepository, tag: str | None, digest: str | None, *, is_immutable: bool = False
    ) -> None:
        private = "a repository of private ECR, from aws_cdk.aws_ecr; for ECR Public use ImageSource.public"
        check_kind("ImageSource.ecr: repository", repository, "repository_uri_for_digest", private)
        self._reference = _reference("ImageSource.ecr", repository.repository_uri, tag, digest)
        self._repository = repository
        self._mutable_tags = (self._reference,) if tag and not is_immutable else ()

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct of its own
        provider.allow(ECR_READ_ACTIONS, self._repository.repository_arn)
        provider.allow(ECR_LOGIN_ACTIONS, "*")
        return SourceBinding(
            properties={"Image": {"Reference": self._reference}},
            mutable_tags=self._mutable_tags,
            copies=True,
            private_repositories=(self._repository.repository_arn,),
        )


def _reference(what: str, repository_uri: str, tag: str | None, digest: str | None) -> str:
    if (tag is None) == (digest is None):
        refuse(what, f"tag is {tag!r} and digest is {digest!r}; expected exactly one of them")
    if digest is not None:
        check(f"{what}: digest", digest, Digest.parse)
        return f"{repository_uri}@{digest}"
    if tag is not None:
        check(f"{what}: tag", tag, parse_tag)
    return f"{repository_uri}:{tag}"


def _parse_public(text: str) -> Repository:
    """Parse a URI in ECR Public. Unknown hosts are accepted, because tests use them instead of ECR Public."""
    expected = "expected public.ecr.aws/<alias>/<name>"
    repository = Repository.parse(text)
    if repository.host.is_private_ecr:
        message = f"{truncated_repr(text)} is in private ECR; {expected}, or ImageSource.ecr"
        raise InvalidReferenceError(message)
    if repository.host.is_foreign or not repository.host.is_certain:
        message = (
            f"{truncated_repr(text)} is not in ECR Public; {expected}, or ImageSource.registry for another registry"
        )
        raise InvalidReferenceError(message)
    if repository.host.is_ecr_public and "/" not in repository.path:
        message = f"{truncated_repr(text)} has no alias or no name; {expected}"
        raise InvalidReferenceError(message)
    return repository


def _warn_of_private_ecr(scope: Construct, reference: Reference) -> None:
    Annotations.of(scope).add_warning_v2(
        "@cdk-ecrpublic:privateEcr",
        f"{reference.repository} is in private ECR, and ImageSource.registry does not grant the permission to read it; "
        "use ImageSource.ecr, which does: ImageSource.ecr(ecr.Repository.from_repository_arn(…), tag=… or digest=…)",
    )


_ANY_REGISTRY = "@cdk-ecrpublic:credentialsRegistry"


def _warn_of_secret_for_any_registry(secret: secretsmanager.ISecret) -> None:
    """Warn once for each secret if synthesis cannot see that the secret names its registry."""
    texts = [str(entry.data) for entry in secret.node.metadata]
    if _names_registry(secret) or any(_ANY_REGISTRY in text for text in texts):
        return
    Annotations.of(secret).add_warning_v2(
        _ANY_REGISTRY,
        "it is not known whether this secret names the registry that it is for; if it does not, the function sends it "
        'to any registry that a template names. Add "registry": "ghcr.io" (the host of your registry) to its value, '
        "and acknowledge this warning",
    )


def _names_registry(secret: secretsmanager.ISecret) -> bool:
    """Whether the app creates the secret, and its value has the key ``registry``."""
    resource = secret.node.default_child
    if not isinstance(resource, secretsmanager.CfnSecret):
        return False
    stack = Stack.of(secret)
    value: Any = stack.resolve(resource.secret_string)
    generator: Any = stack.resolve(resource.generate_secret_string)
    template = generator.get("secretStringTemplate") if isinstance(generator, dict) else None
    for text in (value, template):
        with suppress(ValueError, TypeError):
            return "registry" in json.loads(str(text or ""))
    return False
