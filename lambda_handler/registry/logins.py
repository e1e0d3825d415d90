"""
Credentials for registries.

Credentials are sent only to the host that they are for, after parsing it: those
of ECR Public to the host that the API returns, those of private ECR to a host
of its exact form, and those of a secret to the registry in its declaration.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from ..errors import CredentialsError
from ..oci import PrivateEcr, RegistryHost, Repository
from .auth import RegistryAuth

if TYPE_CHECKING:
    from .secret import Secret

T = TypeVar("T")

ECR_PUBLIC_REGION = "us-east-1"
"""The only Region of the ECR Public API, whatever the Region of the stack."""

_ECR_PUBLIC_CHALLENGE = 'Bearer realm="/token/",service="public.ecr.aws",scope="aws"'
"""What ECR Public sends to every request without a token; the realm is on its own host."""

_SECRET_ARN = re.compile(r"arn:[a-z-]+:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:.+")

_PRIVATE_ECR_READ = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""The actions that private ECR requires for reading manifests and layers."""


class Call(Protocol):
    """Calls an AWS API, and translates its errors."""

    def __call__(
        self, service: str, region: str, operation: str, parameters: Mapping[str, object], read: Callable[[Any], T]
    ) -> T:
        """Return the result of *read* for the response; errors of *read* are translated too."""


@dataclass(slots=True, eq=False, repr=False)
class Login:
    """The address of a repository, and the authentication for it."""

    repository: Repository
    auth: RegistryAuth


@dataclass(slots=True, eq=False, repr=False)
class Logins:
    """
    The logins of a warm function.

    Tokens are requested when they are first needed, and again when they stop
    working.

    Attributes:
        caches_secrets: Whether to cache logins with secrets too, for
            short-lived programs.
    """

    call: Call
    cached: dict[Repository, Login] = field(default_factory=dict, repr=False)
    public: dict[RegistryHost, RegistryAuth] = field(default_factory=dict, repr=False)
    caches_secrets: bool = False
    _with_secrets: dict[tuple[Repository, str], Login] = field(default_factory=dict, init=False, repr=False)
    _ahead: Future[str] | None = field(default=None, init=False, repr=False)

    @contextmanager
    def asking_ahead(self) -> Iterator[None]:
        """Request the password of ECR Public during the block, unless there is a login already."""
        if self.public:
            yield
            return
        with ThreadPoolExecutor(1) as pool:
            self._ahead = pool.submit(self._request_password)
            yield

    def ecr_public(self, repository: Repository) -> Login:
        """
        Return the login for a repository of ECR Public; anonymous if the role may not log in.

        One token is valid for all repositories, because its scope is ``aws``.
        """
        host = repository.host.canonical
        auth = RegistryAuth(
            host,
            self._ecr_public_password,
            scope=repository.scope,
            allow_anonymous=True,
            expected=_ECR_PUBLIC_CHALLENGE,
        )
        return Login(repository, self.public.setdefault(host, auth))

    def for_registry(self, repository: Repository, credentials_secret_arn: str) -> Login:
        """
        Return the login for a repository of any other registry.

        Logins with secrets are not cached by default, so that a change of the
        secret takes effect immediately.

        Args:
            credentials_secret_arn: The ARN of a secret with credentials. Empty
                for the role's credentials in private ECR, and for anonymous
                access elsewhere.

        Raises:
            CredentialsError: The secret is invalid, or is for another registry.
            AccessError: The credentials cannot be read.
        """
        if credentials_secret_arn:
            known = self._with_secrets.get((repository, credentials_secret_arn))
            return known or self._with_secret(repository, credentials_secret_arn)
        if repository not in self.cached:
            self.cached[repository] = self._without_secret(repository)
        return self.cached[repository]

    def clear(self) -> None:
        """Clear the cache after a failure, because any login may have become invalid."""
        self.cached.clear()
        self.public.clear()
        self._ahead = None

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
        ahead, self._ahead = self._ahead, None
        return ahead.result() if ahead else self._request_password()

    def _request_password(self) -> str:
        return self.call(
            "ecr-public",
            ECR_PUBLIC_REGION,
            "GetAuthorizationToken",
            {},
            lambda response: _password(response["authorizationData"]),
        )

    def _private_ecr(self, repository: Repository, registry: PrivateEcr) -> Login:
        """Log in to the host that the API returns."""

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
        from .secret import OPERATION, Secret  # noqa: PLC0415 - a cold start compiles what it imports

        match = _SECRET_ARN.fullmatch(arn)
        if match is None:
            # The value may be the secret itself, so it is not in the message.
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
    """Return ``user:password`` from a response of GetAuthorizationToken."""
    return base64.b64decode(data["authorizationToken"]).decode()
