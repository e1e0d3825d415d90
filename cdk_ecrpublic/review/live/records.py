"""Read the function's records from Systems Manager, each once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from ..._assets.lambda_handler.aws.parameters import Parameters
from ..._assets.lambda_handler.errors import AccessError, ImageError, UnavailableError
from ..._assets.lambda_handler.resources.records import ROOT

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
    _folders: dict[str, Mapping[str, str] | None] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
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
            self._paths[path] = self._in_repository(path) if path.startswith(f"{ROOT}/") else self._listed(path)
        return self._paths[path]

    def _in_repository(self, path: str) -> Mapping[str, str]:
        """Return the records below a path, from a list of all records of its repository, unless there are too many."""
        folder = path.rpartition("/")[0]
        with self._locks.setdefault(folder, threading.Lock()):
            if folder not in self._folders:
                self._folders[folder] = self._all_below(folder)
        known = self._folders[folder]
        if known is None:
            return self._listed(path)
        return {name: text for name, text in known.items() if name.rpartition("/")[0] == path}

    def _few(self) -> Mapping[str, str] | None:
        """Return the records of all repositories, if one page has them: most releases need none."""
        with self._locks.setdefault(ROOT, threading.Lock()):
            if ROOT not in self._folders:
                self._folders[ROOT] = self._only_page()
        return self._folders[ROOT]

    def _only_page(self) -> Mapping[str, str] | None:
        if self.store is None:
            return None
        with suppress(ImageError):
            page, token = self.store.page(ROOT, {"Recursive": True})
            return None if token else page
        # The permission may be for each repository.
        return None

    def _all_below(self, folder: str) -> Mapping[str, str] | None:
        """Return all records of a repository; None if there are too many for one list."""
        # For one repository alone, its own list is as good.
        if self._folders and (few := self._few()) is not None:
            return {name: text for name, text in few.items() if name.startswith(f"{folder}/")}
        try:
            return self._listed(folder, recursive=True)
        except AccessError as error:
            if isinstance(error.__cause__, UnavailableError):
                return None
            raise

    def _listed(self, path: str, *, recursive: bool = False) -> Mapping[str, str]:
        return self._ask("ssm:GetParametersByPath", lambda store: store.list(path, recursive=recursive))

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
