"""The parameters of runs in Systems Manager: what custom resources were sent, and the records of the function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .errors import LiveCheckError
from .guard import parameter_prefixes

if TYPE_CHECKING:
    from .session import Session

NAMES_MAX = 10
"""The limit of DeleteParameters."""

EXPIRE = timedelta(hours=4)
"""The age from which a parameter belongs to no run that is still going. Parameters of the function have no tags."""

PAUSES_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""The waits before each look at what is left: a list may lag behind a deletion."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one run."""

    session: Session

    def find(self, prefixes: Sequence[str]) -> Iterator[tuple[str, datetime]]:
        """
        Yield the name and the last change of each parameter whose name begins with one of *prefixes*.

        Raises:
            LiveCheckError: They cannot be listed.
        """
        for prefix in prefixes:
            filters = [{"Key": "Name", "Option": "BeginsWith", "Values": [prefix]}]
            token: dict[str, str] = {}
            while True:
                page = self._call("DescribeParameters", ParameterFilters=filters, **token)
                yield from ((each["Name"], each["LastModifiedDate"]) for each in page["Parameters"])
                if not page.get("NextToken"):
                    break
                token = {"NextToken": page["NextToken"]}

    def remove(self, names: Sequence[str]) -> None:
        """
        Delete parameters of the run. It is no error if they do not exist.

        Raises:
            LiveCheckError: They were not deleted.
        """
        for first in range(0, len(names), NAMES_MAX):
            self._call("DeleteParameters", Names=list(names[first : first + NAMES_MAX]))

    def clean_up(self) -> None:
        """
        Delete all parameters of the run, and prove it.

        Raises:
            LiveCheckError: Something is left.
        """
        guard = self.session.guard
        left: list[str] = []
        for pause in PAUSES_SECONDS:
            self.session.transport.wait(pause)
            left = [name for name, _ in self.find(parameter_prefixes(guard.account, guard.run))]
            if not left:
                return
            self.remove(left)
        message = f"these parameters were not deleted: {', '.join(left)}; run again with --sweep --with stack"
        raise LiveCheckError(message)

    def _call(self, operation: str, **parameters: Any) -> Any:  # noqa: ANN401 - JSON
        response = self.session.transport.other("ssm", operation, **parameters)
        if response.code:
            message = f"{operation} failed: {response.code}: {response.message}"
            raise LiveCheckError(message)
        return response.data
