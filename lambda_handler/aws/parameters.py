"""Strings in AWS Systems Manager Parameter Store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import NotFoundError, UnavailableError
from ..retry import Retry
from .errcode import translated

T = TypeVar("T")

PAGES_MAX = 100
"""With 10 parameters each: more resources than any repository has."""


@dataclass(slots=True, eq=False, repr=False)
class Parameters:
    """
    Reads and writes parameters of type ``String``.

    Attributes:
        client: Creates the client when it is first needed.
        may_wait: Whether to retry AccessError for a minute.
        before_write: Called before each attempt to write or delete. If it raises an error, there is none.
    """

    client: Callable[[], Any]
    retry: Retry
    may_wait: bool = True
    before_write: Callable[[], None] = lambda: None

    def read(self, name: str) -> str | None:
        """Return the value; None if the parameter does not exist."""

        def call() -> str:
            with translated("ssm:GetParameter"):
                value: str = self.client().get_parameter(Name=name)["Parameter"]["Value"]
            return value

        try:
            return self._retried(f"reading {name}", call)
        except NotFoundError:
            return None

    def write(self, name: str, text: str) -> bool:
        """
        Store a value of at most 4096 characters; return whether the parameter did not exist before.

        Raises:
            RemoteError: The value was not stored.
        """

        def call() -> bool:
            self.before_write()
            with translated("ssm:PutParameter"):
                stored = self.client().put_parameter(Name=name, Value=text, Type="String", Overwrite=True)
            return bool(stored["Version"] == 1)

        return self._retried(f"writing {name}", call)

    def delete(self, name: str) -> None:
        """Delete a parameter, if it exists."""

        def call() -> None:
            self.before_write()
            with translated("ssm:DeleteParameter"):
                self.client().delete_parameter(Name=name)

        try:
            self._retried(f"deleting {name}", call)
        except NotFoundError:
            return

    def list(self, path: str, *, recursive: bool = False) -> Mapping[str, str]:
        """
        Return the names and values of all parameters directly below *path*, or at any depth.

        Raises:
            UnavailableError: There are more than a thousand parameters.
        """
        found: dict[str, str] = {}
        following: Mapping[str, Any] = {}
        for _ in range(PAGES_MAX):
            page, token = self.page(path, {**following, **({"Recursive": True} if recursive else {})})
            found |= page
            if not token:
                return found
            following = {"NextToken": token}
        message = f"there are more than {10 * PAGES_MAX} parameters below {path}"
        raise UnavailableError(message, operation="ssm:GetParametersByPath")

    def page(self, path: str, options: Mapping[str, Any]) -> tuple[Mapping[str, str], str]:
        """Return up to ten parameters below *path*, and the token of the next page."""

        def call() -> tuple[Mapping[str, str], str]:
            with translated("ssm:GetParametersByPath"):
                page = self.client().get_parameters_by_path(Path=path, **options)
                return {each["Name"]: each["Value"] for each in page["Parameters"]}, page.get("NextToken", "")

        return self._retried(f"listing {path}", call)

    def _retried(self, doing: str, call: Callable[[], T]) -> T:
        return self.retry.call(doing, call, retry_access_denied=self.may_wait)
