"""What a function of the HTTP face is given, and how it learns who asks."""

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
        grant: What its token says; anonymous until ``authenticate``.
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
        Find out who asks.

        Raises:
            ServiceError: No token: 401 with a challenge. One that is no good: 400 or 403.
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
        Count a pull against the limit of an address, or of an account.

        Raises:
            ServiceError: Too many.
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
        Return the repository: anyone may pull.

        Raises:
            ServiceError: There is none.
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
            action: The API operation that this request stands for.

        Raises:
            ServiceError: There is none, or the caller may not push.
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
        return ImageStore(repository, alias, self.world.settings, self.world.store.clock())

    def layers(self, repository: Repository) -> LayerStore:
        """Return the layers of a repository."""
        store = self.world.store
        return LayerStore(
            repository, self.request.path_params["alias"], self.world.settings, store.folder, store.clock()
        )


Handler = Callable[[RegistryContext], Awaitable[Response]]
