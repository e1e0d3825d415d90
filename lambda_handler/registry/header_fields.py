"""
What the header fields of registries say, by their grammars.

Both grammars have quoted strings with commas, semicolons and anything else in
them, so no field can be cut at its commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_QUOTED = r'"((?:[^"\\]|\\.)*)"'

_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*(?:{_QUOTED}|([^\s,;\"]+))", re.DOTALL)
"""RFC 9110, 11.2; a value without quotes may be an address, as some registries write it."""

_SCHEME = re.compile(rf"({_TOKEN})(?: +[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$)))?(?=[ \t,]|$)")
"""RFC 9110, 11.4: a scheme, which a ``token68`` may follow: of ``Negotiate``, say."""

_COMMAS = re.compile(r"[ \t,]*")

_LINK = re.compile(r"[\s,]*<([^<>]*)>")
_LINK_PARAMETER = re.compile(rf"\s*;\s*(?:({_TOKEN})(?:\s*=\s*(?:{_QUOTED}|([^\s,;\"]+))?)?)?", re.DOTALL)

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(slots=True)
class OfferedChallenge:
    """
    One challenge of a ``WWW-Authenticate`` field.

    Attributes:
        scheme: In lower case.
        parameters: By their names in lower case.
        is_valid: False where a parameter is given twice, or the field breaks off.
    """

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)
    is_valid: bool = True

    def add(self, name: str, value: str) -> None:
        """Add a parameter. RFC 9110, 11.2: each once, or nobody knows which of them counts."""
        self.is_valid = self.is_valid and name not in self.parameters
        self.parameters.setdefault(name, value)


def parse_challenges(text: str) -> list[OfferedChallenge]:
    """
    Read a ``WWW-Authenticate`` field, or several of them with commas between.

    References:
        RFC 9110, 11.6.1.
    """
    offers: list[OfferedChallenge] = []
    at = _skip(text, 0)
    while at < len(text):
        if offers and (match := _PARAMETER.match(text, at)):
            offers[-1].add(match[1].lower(), _value(match[2], match[3]))
        elif match := _SCHEME.match(text, at):
            offers.append(OfferedChallenge(match[1].lower()))
        else:
            if offers:
                offers[-1].is_valid = False
            break
        at = _skip(text, match.end())
    return offers


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a ``Link`` field: where it leads, and its parameters by their names in lower case."""

    target: str
    parameters: Mapping[str, str]

    @property
    def relations(self) -> frozenset[str]:
        """What it is to the page that has it, in lower case."""
        return frozenset(self.parameters.get("rel", "").lower().split())


def parse_links(text: str) -> list[Link] | None:
    """
    Read a ``Link`` field, or several of them with commas between; None: it is none.

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
                # RFC 8288, 3.3: of several of one name, the first counts.
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
