"""The tags of a release, from its version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from aws_cdk import Token

from .._assets.lambda_handler.errors import InvalidReferenceError
from .._assets.lambda_handler.oci import parse_tag
from .._assets.lambda_handler.oci.version import Version
from ._validation.values import check, check_choices, check_text, is_known, refuse

Level = Literal["patch", "minor", "major", "latest"]

LEVELS: tuple[Level, ...] = ("patch", "minor", "major", "latest")

_PREFIX = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]*")
_SUFFIX = re.compile(r"-[a-zA-Z][a-zA-Z0-9._-]*")


class ReleaseTags:
    """
    The tags of a release, for ``PublicImage(tags=…)``.

    ```python
    PublicImage(
        self, "Release",
        repository=repository,
        source=ImageSource.digest("sha256:9f2c…"),
        tags=ReleaseTags.semver("1.9.1"),  # ["1.9.1", "1.9", "1", "latest"]
    )
    ReleaseTags.semver("1.10.0-rc.1")  # ["1.10.0-rc.1"]
    ReleaseTags.semver("1.9.1", suffix="-debug")  # ["1.9.1-debug", "1.9-debug", "1-debug", "debug"]
    ```
    """

    @staticmethod
    def semver(version: str, *, prefix: str = "", suffix: str = "", levels: Sequence[Level] = LEVELS) -> list[str]:
        """
        Return the tags of a semantic version: ``1.9.1``, ``1.9``, ``1`` and ``latest``.

        A prerelease (``1.10.0-rc.1``) and a version with build metadata
        (``1.9.1+5``) get only their own tag, so they never move a tag that users
        follow. ``+`` is not allowed in tags and becomes ``_``, as in Helm:
        ``1.9.1_5``. A version ``0.x`` gets no tag ``0``, because its minor
        versions may be incompatible with each other.

        Args:
            version: ``major.minor.patch``, without a prefix.
            prefix: The start of every tag except ``latest``: with ``"v"``, the tags
                are ``v1.9.1``, ``v1.9``, ``v1`` and ``latest``. Default: none.
            suffix: The variant of the image, for example ``"-debug"``. Its tag for
                ``latest`` is the name of the variant, ``debug``; add
                ``"latest-debug"`` to the list if you want it. Default: none.
            levels: Which of the tags to return. A prerelease returns none without
                ``"patch"``. Default: all.

        Returns:
            The tags, the most specific first, and so in the order in which they are put.

        Raises:
            ValueError: *version* is not a semantic version or is not known at
                synthesis, or another argument is malformed.
        """
        what = "ReleaseTags.semver"
        _check_affixes(what, prefix, suffix)
        check_choices(f"{what}: levels", levels, LEVELS)
        check_text(f"{what}: version", version, "a version, e.g. '1.9.1'")
        if not is_known(version):
            return [_looked_up_later(what, version)]
        try:
            parsed = Version.parse(version)
        except InvalidReferenceError as error:
            refuse(what, error.message + _remedy(version))
        tags = [tag for level, tag in _tags(parsed, prefix, suffix) if level in levels]
        for tag in tags:
            check(what, tag, parse_tag)
        return tags


def _tags(version: Version, prefix: str, suffix: str) -> list[tuple[Level, str]]:
    tags: list[tuple[Level, str]] = [("patch", f"{prefix}{version.tag}{suffix}")]
    if version.prerelease or version.build:
        return tags
    tags.append(("minor", f"{prefix}{version.major}.{version.minor}{suffix}"))
    if version.major:
        tags.append(("major", f"{prefix}{version.major}{suffix}"))
    return [*tags, ("latest", suffix.removeprefix("-") or "latest")]


def _check_affixes(what: str, prefix: str, suffix: str) -> None:
    for name, text, pattern, expected in (
        ("prefix", prefix, _PREFIX, "letters, digits, '_', '.' and '-', e.g. 'v'"),
        ("suffix", suffix, _SUFFIX, "'-' and the name of a variant, which starts with a letter, e.g. '-debug'"),
    ):
        check_text(f"{what}: {name}", text)
        if text and not pattern.fullmatch(text):
            refuse(f"{what}: {name}", f"{text!r} is not allowed; expected {expected}")


def _looked_up_later(what: str, version: str) -> str:
    """Pass what the CDK looks up before it synthesizes again; refuse a token."""
    if Token.is_unresolved(version):
        refuse(
            f"{what}: version",
            "is a token, and its value is not known at synthesis; pass the version as a string, e.g. from "
            "self.node.get_context('version') or a file, or list the tags yourself",
        )
    return version


def _remedy(version: str) -> str:
    """Say how to write a version that has a prefix, like most tags in Git."""
    found = re.fullmatch(r"([a-zA-Z]+-?)(\d+\.\d+\.\d+.*)", version)
    return f"; pass {found[2]!r} and prefix={found[1]!r}" if found else ""
