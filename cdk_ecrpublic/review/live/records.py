"""Read the function's records from Systems Manager, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ..._assets.lambda_handler.aws.parameters import Parameters
from ..._assets.lambda_handler.errors import AccessError, ImageError

T = TypeVar("T")


@dataclass
class KnownParameters:
    """
    The parameters of one account and Region.

    Attributes:
        store: None if nothing more can be read; what has been read is still known.
    """

    store: Parameters | None
    _texts: dict[str, str | None] = field(default_factory=dict)
    _paths: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _refusals: dict[str, AccessError] = field(default_factory=dict)

    def read(self, name: str) -> str | None:
        """
        Return a string; None if it does not exist.

        Raises:
            AccessError: It cannot be read.
        """
        if name not in self._texts:
            self._texts[name] = self._ask("ssm:GetParameter", lambda store: store.read(name))
        return self._texts[name]

    def list(self, path: str) -> Mapping[str, str]:
        """
        Return the strings directly below *path*, by name.

        Raises:
            AccessError: They cannot be read.
        """
        if path not in self._paths:
            self._paths[path] = self._ask("ssm:GetParametersByPath", lambda store: store.list(path))
        return self._paths[path]

    def _ask(self, operation: str, ask: Callable[[Parameters], T]) -> T:
        """Call the store. Once an operation was denied, it is not called again."""
        if self.store is None:
            message = "the records of the function can be read only with AWS credentials of its account"
            raise AccessError(message, operation=operation)
        try:
            if operation in self._refusals:
                raise self._refusals[operation]
            return ask(self.store)
        except ImageError as error:
            if isinstance(error, AccessError):
                self._refusals[operation] = error
            raise AccessError(error.message, operation=operation) from error
