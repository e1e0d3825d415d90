"""The context of one request to the registry API, and its authentication."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from .. import errors
from ..authorization import Permission
from ..exchange import Exchange
from ..operations import SERVICE
from ..store.images import ImageStore
from ..store.layers import LayerStore
from ..store.registries import Caller
from ..store.state import Repository
from ..tokens import Grant
from ..world import World

ANONYMOUS = Grant(kind="anonymous")


@dataclass(slots=True, kw_only=True)
class RegistryContext:
    """
    One request.

    Attributes:
        grant: The content of its token; anonymous until ``authenticate``.
    """

    world: World
    exchange: Exchange
    grant: Grant = field(default=ANONYMOUS)

    @property
    def request(self) -> Request:
        """The request itself."""
        return self.exchange.request

    @property
    def reference(self) -> str:
        """The tag or digest in the path."""
        return self.exchange.call.reference

    @property
    def path(self) -> str:
        """The path up to the repository's name."""
        return f"/v2/{self.request.path_params['alias']}/{self.request.path_params['name']}"

    def authenticate(self) -> None:
        """
        Authenticate the client.

        Raises:
            ServiceError: There is no token (401 with a challenge), or it is invalid (400 or 403).
        """
        header = self.request.headers.get("authorization", "")
        scheme, _, value = header.partition(" ")
        if not header:
            raise errors.NOT_AUTHORIZED.error()
        if scheme.lower() == "basic" and self.world.settings.basic_on_v2 == errors.NOT_AUTHORIZED.oci[0]:
            raise errors.NOT_AUTHORIZED.error()
        if scheme.lower() != "bearer":
            raise errors.INVALID_TOKEN.error()
        self.grant = self.world.tokens.grant_of_bearer(value.strip())
        self.exchange.authentication = "authenticated" if self.grant.kind == "authenticated" else "anonymous"

    def count_pull(self) -> None:
        """
        Count a pull against the limit of an IP address or an account.

        Raises:
            ServiceError: The limit is exceeded.
        """
        client, settings = self.request.client, self.world.settings
        if self.grant.kind == "anonymous":
            name, limit = f"pull {client.host if client else ''}", settings.anonymous_pulls_per_second
        else:
            name, limit = f"pull of account {self.grant.subject}", settings.authenticated_pulls_per_second
        if not self.world.rates.allows(name, limit):
            raise errors.THROTTLED.error()

    def readable(self) -> Repository:
        """
        Return the repository to pull from, which anyone may do.

        Raises:
            ServiceError: It does not exist.
        """
        alias, name = self.request.path_params["alias"], self.request.path_params["name"]
        registry = self.world.store.registry_by_alias(alias)
        repository = registry.repositories.get(name) if registry else None
        if repository is None:
            raise errors.REPOSITORY_NOT_FOUND.error(name=name, registry=alias)
        return repository

    def writable(self, action: str) -> Repository:
        """
        Return the repository to push to.

        Args:
            action: The equivalent operation of the control-plane API.

        Raises:
            ServiceError: It does not exist, or the caller is not allowed to push.
        """
        repository = self.readable()
        if self.grant.kind == "anonymous":
            raise errors.PUSH_DENIED.error()
        caller = Caller(account=self.grant.subject, registry=self.request.path_params["alias"])
        found = self.world.store.repository(caller, repository.name, action)
        permission = Permission(f"{SERVICE}:{action}", found.arn)
        self.world.authorize_login(self.grant.access_key, self.world.settings.region, permission)
        return found

    def images(self, repository: Repository) -> ImageStore:
        """Return the images of a repository."""
        alias = self.request.path_params["alias"]
        return ImageStore(repository, alias, self.world.settings, self.world.store.clock(), self.exchange.moves)

    def layers(self, repository: Repository) -> LayerStore:
        """Return the layers of a repository."""
        store = self.world.store
        return LayerStore(
            repository, self.request.path_params["alias"], self.world.settings, store.folder, store.clock()
        )


Handler = Callable[[RegistryContext], Awaitable[Response]]
