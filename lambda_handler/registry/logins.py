"""
Which credentials belong to which registry.

Credentials go to the host that they are for, compared as a parsed host: ECR
Public's to where the API says that it is, private ECR's to a host of exactly
its form, and a secret's to the registry that it was declared for.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from ..errors import AccessError
from ..oci import RegistryHost, Repository
from .auth import Tokens

T = TypeVar("T")

ECR_PUBLIC_REGION = "us-east-1"
"""Amazon ECR Public's API is served here only, whatever the Region of the stack."""

_PRIVATE_ECR = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)"
)
"""Private registries: Amazon ECR user guide, "Amazon ECR private registry" and "Dual-stack endpoints"."""

_SECRET_ARN = re.compile(r"arn:[a-z-]+:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:.+")

_PRIVATE_ECR_READ = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""What private ECR wants for manifests and for layers over HTTP."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can escape one that stands alone, and no bytes of a header stand for it."""


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
    tokens: Tokens


@dataclass(slots=True)
class Logins:
    """
    The logins of a warm function.

    A token is asked for when it is first needed, and again when it stops
    working.
    """

    call: Call
    kept: dict[tuple[str, str], Login] = field(default_factory=dict, repr=False)
    public: dict[RegistryHost, Tokens] = field(default_factory=dict, repr=False)

    def ecr_public(self, repository: Repository) -> Login:
        """
        Return the login for a repository of ECR Public; anonymous where the role may not log in.

        One token serves all repositories there: the challenge's scope is ``aws``.
        """
        tokens = Tokens(repository.host, self._ecr_public_password, is_open=True)
        tokens = self.public.setdefault(repository.host, tokens)
        return Login(repository, tokens)

    def other(self, repository: Repository, credentials_secret_arn: str) -> Login:
        """
        Return the login for a repository of any other registry.

        Args:
            credentials_secret_arn: Of a secret with its credentials; empty:
                the role's own for private ECR, none for others.

        Raises:
            AccessError: There are credentials, but they cannot be had or read.
        """
        return self._keep(repository, credentials_secret_arn, lambda: self._other(repository, credentials_secret_arn))

    def _keep(self, repository: Repository, secret_arn: str, make: Callable[[], Login]) -> Login:
        key = (str(repository), secret_arn)
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def _other(self, repository: Repository, secret_arn: str) -> Login:
        if secret_arn:
            username, password = self._secret(secret_arn)
            if not username:
                return Login(repository, Tokens(repository.host, lambda: None, current=password))
            return Login(repository, Tokens(repository.host, lambda: f"{username}:{password}"))
        if match := _PRIVATE_ECR.fullmatch(repository.host.name):
            return self._private_ecr(repository, match["account"], match["region"])
        return Login(repository, Tokens(repository.host, lambda: None))

    def _ecr_public_password(self) -> str:
        return self.call(
            "ecr-public",
            ECR_PUBLIC_REGION,
            "GetAuthorizationToken",
            {},
            lambda answer: _password(answer["authorizationData"]),
        )

    def _private_ecr(self, repository: Repository, account: str, region: str) -> Login:
        """Log in where the API says that the registry is."""

        def authorized(read: Callable[[Any], T]) -> T:
            parameters = {"registryIds": [account]}
            return self.call(
                "ecr", region, "GetAuthorizationToken", parameters, lambda answer: read(answer["authorizationData"][0])
            )

        host = authorized(lambda data: RegistryHost.parse(urlsplit(data["proxyEndpoint"]).netloc))
        tokens = Tokens(host, lambda: authorized(_password), role_needs=_PRIVATE_ECR_READ)
        return Login(Repository(host, repository.path), tokens)

    def _secret(self, arn: str) -> tuple[str, str]:
        """Return user and password, or an empty user and a token."""
        match = _SECRET_ARN.fullmatch(arn)
        if match is None:
            message = "CredentialsSecretArn is not the ARN of a secret in AWS Secrets Manager"
            raise AccessError(message, operation="secretsmanager:GetSecretValue")
        text = self.call(
            "secretsmanager",
            match["region"],
            "GetSecretValue",
            {"SecretId": arn},
            lambda answer: str(answer.get("SecretString") or ""),
        )
        return _credentials(text, arn)


def _credentials(text: str, arn: str) -> tuple[str, str]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = {"token": text.strip()}
    items = data.items() if isinstance(data, dict) else ()
    values = {key: value for key, value in items if isinstance(value, str) and _SURROGATE.search(value) is None}
    if values.get("username") and "password" in values:
        return values["username"], values["password"]
    token = values.get("token", "")
    if token and token.isascii() and token.isprintable():
        return "", token
    message = f"the secret {arn} holds no credentials"
    hint = 'make it {"username": "…", "password": "…"}, or a token'
    raise AccessError(message, operation="secretsmanager:GetSecretValue", hint=hint)


def _password(data: Mapping[str, Any]) -> str:
    """Return ``user:password`` as GetAuthorizationToken gives it."""
    return base64.b64decode(data["authorizationToken"]).decode()
