"""
Shows a manifest with line breaks and indentation.

Only the space between tokens changes, so numbers, escapes and duplicate keys stay as
they were pushed. Nothing is parsed recursively, so deep JSON is shown, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SHOWN_CHARACTERS = 64 * 1024
"""How much of a manifest is shown. Its bytes can be downloaded."""

STRING_CHARACTERS = 2000
LEVELS_MAX = 16
"""Deeper levels are not indented further."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
"""The possessive quantifiers keep a string of 4 MiB from filling the memory with positions to go back to."""

_OPENING, _CLOSING = frozenset("{["), frozenset("}]")
_PUNCTUATION = _OPENING | _CLOSING | frozenset(",:")

_AROUND = 80
"""How far to look for the colon behind a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """
    A part of the text.

    Attributes:
        kind: ``key``, ``string``, ``value``, or empty for what is between them.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestText:
    """
    The text.

    Attributes:
        is_whole: Whether nothing is left out.
    """

    pieces: tuple[Piece, ...]
    is_whole: bool


def layout(content: bytes) -> ManifestText:
    """Lay out a manifest, up to a limited length."""
    pieces: list[Piece] = []
    shown, is_whole = 0, True
    for piece in _pieces(content.decode(errors="replace")):
        text = piece.text
        if len(text) > STRING_CHARACTERS:
            text, is_whole = f"{text[:STRING_CHARACTERS]}…", False
        pieces.append(Piece(kind=piece.kind, text=text))
        shown += len(text)
        if shown > SHOWN_CHARACTERS:
            is_whole = False
            break
    return ManifestText(pieces=tuple(_joined(pieces)), is_whole=is_whole)


def _pieces(text: str) -> Iterator[Piece]:
    level, before = 0, ""
    for match in _TOKEN.finditer(text):
        word = match[0]
        level += (before in _OPENING) - (word in _CLOSING)
        if before == "," or (before in _OPENING) != (word in _CLOSING):
            yield Piece(kind="", text="\n" + "  " * min(level, LEVELS_MAX))
        elif before == ":":
            yield Piece(kind="", text=" ")
        yield Piece(kind=_kind(word, text[match.end() : match.end() + _AROUND]), text=word)
        before = word


def _kind(word: str, rest: str) -> str:
    if word in _PUNCTUATION:
        return ""
    if not word.startswith('"'):
        return "value"
    return "key" if rest.lstrip().startswith(":") else "string"


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    """Join what is between the keys and values, so that a page has fewer elements."""
    between = ""
    for piece in pieces:
        if piece.kind:
            if between:
                yield Piece(kind="", text=between)
            yield piece
            between = ""
        else:
            between += piece.text
    if between:
        yield Piece(kind="", text=between)
