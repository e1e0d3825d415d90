"""Semantic versions, and how tags name them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidReferenceError, truncated_repr

_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRERELEASE_PART = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<prerelease>{_PRERELEASE_PART}(?:\.{_PRERELEASE_PART})*))?"
    r"(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)

_AFFIX = re.compile(r"[a-zA-Z0-9._-]{1,100}")

VERSION_MAX_CHARACTERS = 128
"""As many as a tag has; a longer string is not worth parsing."""


@dataclass(frozen=True, slots=True)
class Version:
    """
    A version of Semantic Versioning 2.0.0.

    Attributes:
        prerelease: ``rc.1`` of ``1.10.0-rc.1``; empty for a release.
        build: The build metadata, ``5`` of ``1.9.1+5``; it does not count in a comparison.
    """

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """
        Parse a version.

        Raises:
            InvalidReferenceError: *text* does not match the grammar of semver.org.
        """
        version = cls.find(text)
        if version is None:
            message = (
                f"{truncated_repr(text)} is not a semantic version; expected MAJOR.MINOR.PATCH, numbers without "
                "leading zeros, optionally with -PRERELEASE and +BUILD, e.g. '1.9.1' or '1.10.0-rc.1'"
            )
            raise InvalidReferenceError(message)
        return version

    @classmethod
    def find(cls, text: str) -> Version | None:
        """Return the version that *text* is; None if it is not a version."""
        found = _VERSION.fullmatch(text) if len(text) <= VERSION_MAX_CHARACTERS else None
        if not found:
            return None
        return cls(
            major=int(found["major"]),
            minor=int(found["minor"]),
            patch=int(found["patch"]),
            prerelease=found["prerelease"] or "",
            build=found["build"] or "",
        )

    @classmethod
    def of_tag(cls, tag: str, prefix: str = "", suffix: str = "") -> Version | None:
        """Return the full version that *tag* is, between *prefix* and *suffix*; None if it is not one."""
        if len(tag) < len(prefix) + len(suffix) or not (tag.startswith(prefix) and tag.endswith(suffix)):
            return None
        return cls.find(tag[len(prefix) : len(tag) - len(suffix)].replace("_", "+", 1))

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        text += f"-{self.prerelease}" if self.prerelease else ""
        return f"{text}+{self.build}" if self.build else text

    @property
    def tag(self) -> str:
        """The version as a tag, with ``_`` for ``+``, which tags do not allow; Helm does the same."""
        return str(self).replace("+", "_")

    @property
    def precedence(self) -> tuple[object, ...]:
        """Orders versions as semver.org does: numbers, then a prerelease before its release."""
        parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease.split(".") if part]
        return self.major, self.minor, self.patch, not self.prerelease, parts


def parse_affix(text: str) -> str:
    """
    Parse what the tags of versions begin or end with: ``v`` or ``-debug``.

    Raises:
        InvalidReferenceError: *text* cannot be a part of a tag.
    """
    if not _AFFIX.fullmatch(text):
        message = (
            f"{truncated_repr(text)} cannot be a part of a tag; expected up to 100 letters, digits, '_', '.' and '-', "
            "e.g. 'v' or '-debug'"
        )
        raise InvalidReferenceError(message)
    return text
