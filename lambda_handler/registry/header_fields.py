"""
Parsers for the header fields ``WWW-Authenticate`` and ``Link``.

Both grammars allow quoted strings that contain commas and semicolons, so a
field cannot simply be split at commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token in the sense of RFC 9110
_QUOTED = r'"((?:[^"\\]|\\.)*)"'

_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*(?:{_QUOTED}|([^\s,;\"]*))", re.DOTALL)
"""RFC 9110, 11.2. An unquoted value may also be a URL or empty, as some registries send it."""

_SCHEME = re.compile(rf"({_TOKEN})(?: +[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$)))?(?=[ \t,]|$)")
"""RFC 9110, 11.4: a scheme, optionally followed by a ``token68``, as for ``Negotiate``."""

_COMMAS = re.compile(r"[ \t,]*")

_LINK = re.compile(r"[\s,]*<([^<>]*)>")
_LINK_PARAMETER = re.compile(rf"\s*;\s*(?:({_TOKEN})(?:\s*=\s*(?:{_QUOTED}|([^\s,;\"]+))?)?)?", re.DOTALL)

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(slots=True)
class OfferedChallenge:
    """
    One challenge of a ``WWW-Authenticate`` field.

    Attributes:
        scheme: The scheme in lower case.
        parameters: The parameters by their names in lower case.
        ambiguous: The names of parameters that have several different values.
        is_valid: False if the field is incomplete.
    """

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)
    ambiguous: set[str] = field(default_factory=set)
    is_valid: bool = True

    def add(self, name: str, value: str) -> None:
        """Add a parameter. RFC 9110, 11.2 forbids duplicates, because it is undefined which one applies."""
        if self.parameters.setdefault(name, value) != value:
            self.ambiguous.add(name)


def parse_challenges(text: str) -> list[OfferedChallenge]:
    """
    Parse a ``WWW-Authenticate`` field, or several of them joined by commas.

    References:
        RFC 9110, 11.6.1.
    """
    challenges: list[OfferedChallenge] = []
    at = _skip(text, 0)
    while at < len(text):
        if challenges and (match := _PARAMETER.match(text, at)):
            challenges[-1].add(match[1].lower(), _value(match[2], match[3]))
        elif match := _SCHEME.match(text, at):
            challenges.append(OfferedChallenge(match[1].lower()))
        else:
            if challenges:
                challenges[-1].is_valid = False
            break
        at = _skip(text, match.end())
    return challenges


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a ``Link`` field: its target, and its parameters by their names in lower case."""

    target: str
    parameters: Mapping[str, str]

    @property
    def relations(self) -> frozenset[str]:
        """Its relation types in lower case."""
        return frozenset(self.parameters.get("rel", "").lower().split())


def parse_links(text: str) -> list[Link] | None:
    """
    Parse a ``Link`` field, or several of them joined by commas; None if it is invalid.

    References:
        RFC 8288, 3.
    """
    links: list[Link] = []
    at = 0
    while match := _LINK.match(text, at):
        parameters: dict[str, str] = {}
        target, at = match[1].strip(), match.end()
        for match in _parameters(text, at):
            at = match.end()
            if match[1]:
                # RFC 8288, 3.3: the first of several equal parameters applies.
                parameters.setdefault(match[1].lower(), _value(match[2], match[3] or ""))
        links.append(Link(target, parameters))
    return links if not text[at:].strip(" \t,") else None


def _parameters(text: str, at: int) -> Iterator[re.Match[str]]:
    while match := _LINK_PARAMETER.match(text, at):
        yield match
        at = match.end()


def _skip(text: str, at: int) -> int:
    match = _COMMAS.match(text, at)
    return match.end() if match else at


def _value(quoted: str | None, plain: str) -> str:
    return plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
