"""Small texts in AWS Systems Manager's Parameter Store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import NotFoundError, UnavailableError
from ..retry import Retry
from .errcode import translated

T = TypeVar("T")

PAGES_MAX = 100
"""Of 10 parameters each: as many declarations as one repository will ever have."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """
    Reads and writes parameters of type ``String``.

    Attributes:
        client: Makes the client; only a declaration that needs it pays for it.
        may_wait: A permission that was granted just now is waited for, up to a minute.
    """

    client: Callable[[], Any]
    retry: Retry
    may_wait: bool = True

    def read(self, name: str) -> str | None:
        """Return the text; None when there is no such parameter."""

        def call() -> str:
            with translated("ssm:GetParameter"):
                value: str = self.client().get_parameter(Name=name)["Parameter"]["Value"]
            return value

        try:
            return self._retried(f"reading {name}", call)
        except NotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """
        Store a text of at most 4096 characters.

        Raises:
            RemoteError: It was not stored.
        """

        def call() -> None:
            with translated("ssm:PutParameter"):
                self.client().put_parameter(Name=name, Value=text, Type="String", Overwrite=True)

        self._retried(f"writing {name}", call)

    def delete(self, name: str) -> None:
        """Delete a parameter; one that is gone already is fine."""

        def call() -> None:
            with translated("ssm:DeleteParameter"):
                self.client().delete_parameter(Name=name)

        try:
            self._retried(f"deleting {name}", call)
        except NotFoundError:
            return

    def list(self, path: str) -> Mapping[str, str]:
        """
        Return name and text of all parameters directly below *path*.

        Raises:
            UnavailableError: There are more than a thousand.
        """
        found: dict[str, str] = {}
        following: Mapping[str, str] = {}
        for _ in range(PAGES_MAX):
            page, token = self._page(path, following)
            found |= page
            if not token:
                return found
            following = {"NextToken": token}
        message = f"there are more than {10 * PAGES_MAX} parameters below {path}"
        raise UnavailableError(message, operation="ssm:GetParametersByPath")

    def _page(self, path: str, following: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
        """Return what is on a page, and the token of the next one."""

        def call() -> tuple[Mapping[str, str], str]:
            with translated("ssm:GetParametersByPath"):
                page = self.client().get_parameters_by_path(Path=path, **following)
                return {each["Name"]: each["Value"] for each in page["Parameters"]}, page.get("NextToken", "")

        return self._retried(f"reading what is below {path}", call)

    def _retried(self, doing: str, call: Callable[[], T]) -> T:
        return self.retry.call(doing, call, retry_access_denied=self.may_wait)
