"""A redacted copy of everything that was sent and received, in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .guard import PREFIX
from .normalize import IDENTITY, SECRET

if TYPE_CHECKING:
    from .transport import Response

KEPT_BYTES = 2_000

HEADERS = (
    "content-length",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "link",
    "location",
    "oci-subject",
    "range",
    "retry-after",
    "www-authenticate",
    "x-amzn-requestid",
)
"""The headers that are kept: no cookie, and no header that is not known here."""

_SHOWN_OF_SECRET = 16
"""So many characters of a secret are recognized, because a message may be cut off within it."""


@dataclass(slots=True)
class Trace:
    """
    The requests of a run, and the strings that must not leave this process.

    Attributes:
        replaced: The placeholder of each string that identifies the account.
        secrets: Tokens and passwords that the run received.
    """

    replaced: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set, repr=False)
    entries: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def add(self, request: str, details: Mapping[str, Any], response: Response) -> None:
        """Keep one exchange. Secrets are removed now, names when the trace is written."""
        self.secrets |= {value for value in _secrets(response.data) if value}
        self.entries.append(
            {
                "request": _without_query(request),
                "details": _short(details),
                "status": response.status,
                "headers": {name: _without_query(value) for name, value in response.headers.items() if name in HEADERS},
                "response": _short(_without_secrets(_without_others(response.data))),
            }
        )

    def redacted(self, text: str) -> str:
        """Replace the strings that identify the account, and secrets."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = re.sub(re.escape(secret[:_SHOWN_OF_SECRET]) + r"[^\s\"'\\<>]*", "<secret>", text)
        text = IDENTITY.sub("<identity>", text)
        for value in sorted(self.replaced, key=len, reverse=True):
            text = text.replace(value, self.replaced[value])
        return text

    def leaks(self, text: str) -> list[str]:
        """Return the placeholders of secrets and names that *text* still contains."""
        found = [
            f"a secret of {len(secret)} characters" for secret in self.secrets if secret[:_SHOWN_OF_SECRET] in text
        ]
        return found + [name for value, name in self.replaced.items() if value in text]


def _without_others(data: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop what no run has created from lists of repositories and stacks: such names may be confidential."""
    if not isinstance(data, Mapping):
        return data
    names = {"repositories": "repositoryName", "Stacks": "StackName"}
    return {
        key: [each for each in value if str(each.get(names[key], "")).startswith(PREFIX)] if key in names else value
        for key, value in data.items()
    }


def _secrets(data: Any, key: str = "") -> list[str]:  # noqa: ANN401 - JSON
    if isinstance(data, Mapping):
        return [secret for name, value in data.items() for secret in _secrets(value, str(name))]
    if isinstance(data, list):
        return [secret for value in data for secret in _secrets(value, key)]
    return [data] if SECRET.search(key) and isinstance(data, str) else []


def _without_secrets(data: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON
    if SECRET.search(key) and isinstance(data, str):
        return "<secret>"
    if isinstance(data, Mapping):
        return {name: _without_secrets(value, str(name)) for name, value in data.items()}
    return [_without_secrets(value) for value in data] if isinstance(data, list) else data


def _without_query(text: str) -> str:
    """Keep only the names of the parameters of URLs: a signed URL is a secret, and names the account in base64."""
    return re.sub(r"(?<=[?&])([^=&\s>;\"]+)=[^&\s>;\"]*", r"\1=…", text)


def _short(data: Any) -> str:  # noqa: ANN401 - JSON
    text = f"{len(data)} bytes" if isinstance(data, bytes) else str(data)
    return text if len(text) <= KEPT_BYTES else f"{text[:KEPT_BYTES]}… ({len(text)} characters)"
