"""The context of one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..store.images import ImageStore
from ..store.layers import LayerStore
from ..store.registries import Caller, Store
from ..store.state import Repository, TagMove
from ..store.timeline import View
from ..world import World

Result = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """
    One call.

    Attributes:
        account: The caller's account.
        access_key: The access key of the signature.
        operation: The name of the operation.
        view: The read lag.
        moves: Gets the tags that the call moves, for the journal.
    """

    world: World
    account: str
    access_key: str
    operation: str
    view: View
    moves: list[TagMove]

    @property
    def store(self) -> Store:
        """The store."""
        return self.world.store

    def caller(self, data: Mapping[str, Any]) -> Caller:
        """Return the caller, and the registry that the request names."""
        return Caller(account=self.account, registry=data.get("registryId", ""))

    def repository(self, data: Mapping[str, Any], *, is_shared: bool = False) -> Repository:
        """
        Return the repository that the request names.

        Args:
            is_shared: Whether a repository policy can allow this operation to
                another account.

        Raises:
            ServiceError: It does not exist, or the caller is not allowed.
        """
        action = self.operation if is_shared else ""
        return self.store.repository(self.caller(data), data["repositoryName"], action)

    def images(self, data: Mapping[str, Any], *, is_shared: bool = False) -> ImageStore:
        """Return the images of the repository that the request names."""
        repository = self.repository(data, is_shared=is_shared)
        named = self.caller(data).named
        return ImageStore(repository, named, self.world.settings, self.store.clock(), self.moves)

    def layers(self, data: Mapping[str, Any]) -> LayerStore:
        """Return the layers of the repository that the request names."""
        repository = self.repository(data, is_shared=True)
        named = self.caller(data).named
        return LayerStore(repository, named, self.world.settings, self.store.folder, self.store.clock())


Operation = Callable[[ApiContext, Mapping[str, Any]], Result]
