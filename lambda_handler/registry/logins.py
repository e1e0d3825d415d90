"""
Which credentials belong to which registry.

Credentials go to the host that they are for, compared as a parsed host: ECR
Public's to where the API says that it is, private ECR's to a host of exactly
its form, and a secret's to the registry that it was declared for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from ..errors import CredentialsError
from ..oci import PrivateEcr, RegistryHost, Repository
from .auth import RegistryAuth
from .secret import OPERATION, Secret

T = TypeVar("T")

ECR_PUBLIC_REGION = "us-east-1"
"""Amazon ECR Public's API is served here only, whatever the Region of the stack."""

_SECRET_ARN = re.compile(r"arn:[a-z-]+:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:.+")

_PRIVATE_ECR_READ = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""What private ECR wants for manifests and for layers over HTTP."""


class Call(Protocol):
    """Calls AWS. Raises our errors."""

    def __call__(
        self, service: str, region: str, operation: str, parameters: Mapping[str, object], read: Callable[[Any], T]
    ) -> T:
        """Return what *read* makes of the answer; what it cannot read is an error of ours, too."""


@dataclass(frozen=True, slots=True)
class Login:
    """A repository where it is to be asked for, and what authenticates us there."""

    repository: Repository
    auth: RegistryAuth


@dataclass(slots=True)
class Logins:
    """
    The logins of a warm function.

    A token is asked for when it is first needed, and again when it stops
    working.

    Attributes:
        caches_secrets: Whether a login with a secret is kept, too: for who
            ends soon.
    """

    call: Call
    cached: dict[Repository, Login] = field(default_factory=dict, repr=False)
    public: dict[RegistryHost, RegistryAuth] = field(default_factory=dict, repr=False)
    caches_secrets: bool = False
    _with_secrets: dict[tuple[Repository, str], Login] = field(default_factory=dict, init=False, repr=False)

    def ecr_public(self, repository: Repository) -> Login:
        """
        Return the login for a repository of ECR Public; anonymous where the role may not log in.

        One token serves all repositories there: the challenge's scope is ``aws``.
        """
        host = repository.host.canonical
        auth = RegistryAuth(host, self._ecr_public_password, scope=repository.scope, allow_anonymous=True)
        return Login(repository, self.public.setdefault(host, auth))

    def for_registry(self, repository: Repository, credentials_secret_arn: str) -> Login:
        """
        Return the login for a repository of any other registry.

        What comes from a secret is not kept, unless that is asked for: a secret
        that is corrected counts at once, and so does a password that was changed.

        Args:
            credentials_secret_arn: Of a secret with its credentials; empty:
                the role's own for private ECR, none for others.

        Raises:
            CredentialsError: The secret is none, or is for another registry.
            AccessError: There are credentials, but they cannot be had.
        """
        if credentials_secret_arn:
            known = self._with_secrets.get((repository, credentials_secret_arn))
            return known or self._with_secret(repository, credentials_secret_arn)
        if repository not in self.cached:
            self.cached[repository] = self._without_secret(repository)
        return self.cached[repository]

    def clear(self) -> None:
        """Forget everything: after a failure, nobody knows which of it is still good."""
        self.cached.clear()
        self.public.clear()

    def _with_secret(self, repository: Repository, arn: str) -> Login:
        secret = self._secret(arn)
        secret.check(repository.host, arn)
        auth = RegistryAuth(
            repository.host,
            lambda: secret.password or None,
            current=secret.token,
            scope=repository.scope,
            has_credentials=True,
            endpoints=secret.token_endpoints,
        )
        login = Login(repository, auth)
        if self.caches_secrets:
            self._with_secrets[repository, arn] = login
        return login

    def _without_secret(self, repository: Repository) -> Login:
        registry = repository.host.private_ecr
        if registry is not None:
            return self._private_ecr(repository, registry)
        return Login(repository, RegistryAuth(repository.host, lambda: None, scope=repository.scope))

    def _ecr_public_password(self) -> str:
        return self.call(
            "ecr-public",
            ECR_PUBLIC_REGION,
            "GetAuthorizationToken",
            {},
            lambda response: _password(response["authorizationData"]),
        )

    def _private_ecr(self, repository: Repository, registry: PrivateEcr) -> Login:
        """Log in where the API says that the registry is."""

        def authorized(read: Callable[[Any], T]) -> T:
            parameters = {"registryIds": [registry.account]}
            return self.call(
                "ecr",
                registry.region,
                "GetAuthorizationToken",
                parameters,
                lambda response: read(response["authorizationData"][0]),
            )

        host = authorized(lambda data: RegistryHost.parse(urlsplit(data["proxyEndpoint"]).netloc))
        auth = RegistryAuth(host, lambda: authorized(_password), role_needs=_PRIVATE_ECR_READ)
        return Login(Repository(host, repository.path), auth)

    def _secret(self, arn: str) -> Secret:
        match = _SECRET_ARN.fullmatch(arn)
        if match is None:
            # What it is instead may be the secret itself.
            message = "CredentialsSecretArn is not the ARN of a secret in AWS Secrets Manager"
            raise CredentialsError(message, operation=OPERATION)
        text = self.call(
            "secretsmanager",
            match["region"],
            "GetSecretValue",
            {"SecretId": arn},
            lambda response: str(response.get("SecretString") or ""),
        )
        return Secret.parse(text, arn)


def _password(data: Mapping[str, Any]) -> str:
    """Return ``user:password`` as GetAuthorizationToken gives it."""
    return base64.b64decode(data["authorizationToken"]).decode()
