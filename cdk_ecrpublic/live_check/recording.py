"""What a case leaves behind: its steps, and its measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    A request and its normalized response, or an observation.

    Attributes:
        request: What was asked, without anything that differs between runs.
        status: The HTTP status; 0 for an observation.
        code: The error code; empty if the request succeeded.
        text: The message of the error.
        headers: The headers that matter.
        body: What else the response says, as JSON.
    """

    request: str
    status: int = 0
    code: str = ""
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(slots=True)
class Recording:
    """
    The recording of one case on one endpoint.

    Attributes:
        case: The name of the case.
        steps: The steps in order.
        measured: Numbers that are reported, but not compared.
        stopped: Why the case did not finish; empty if it did.
    """

    case: str
    steps: list[Step] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    stopped: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return the recording as JSON."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Recording:
        """Read a recording from JSON."""
        return cls(**{**data, "steps": [Step(**step) for step in data["steps"]]})
