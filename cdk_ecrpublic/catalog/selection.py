"""A part of a file: the images that ``only=`` names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .._assets.lambda_handler.errors import InvalidInputError, truncated_repr
from .model import Tag

_PATTERN = re.compile(r"(?P<name>[a-z0-9._/*?-]{1,205})(?::(?P<tag>[a-zA-Z0-9_.*?-]{1,128}))?")

_SHOWN_NAMES = 20


def parse_pattern(text: str) -> str:
    """
    Read a pattern: ``<name>`` or ``<name>:<tag>``, with ``*`` and ``?`` in both.

    Raises:
        InvalidInputError: Any other form.
    """
    if not _PATTERN.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not a pattern; expected <name> or <name>:<tag> as in the file, where * matches "
            "any characters and ? matches one"
        )
        raise InvalidInputError(message)
    return text


class Selection:
    """
    What is taken of one file.

    Args:
        patterns: Each of the form that ``parse_pattern`` reads; none takes everything.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        parts = [(text, *text.partition(":")[::2]) for text in patterns]
        self._patterns = [(text, _expression(name), _expression(tag) if tag else None) for text, name, tag in parts]
        self._unused = set(patterns)
        self._names: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether anything of an image name may be taken; what is not is not looked at."""
        self._names.add(name)
        return not self._patterns or any(expression.fullmatch(name) for _, expression, _ in self._patterns)

    def tags(self, name: str, tags: tuple[Tag, ...]) -> tuple[Tag, ...] | None:
        """Return the tags of an image that are taken; None if the image itself is not."""
        if not self._patterns:
            return tags
        taken: set[str] = set()
        is_taken = False
        for text, expression, tag_expression in self._patterns:
            if not expression.fullmatch(name):
                continue
            found = {tag.text for tag in tags if tag_expression is None or tag_expression.fullmatch(tag.text)}
            if found or tag_expression is None:
                self._unused.discard(text)
                taken |= found
                is_taken = True
        return tuple(tag for tag in tags if tag.text in taken) if is_taken else None

    @property
    def unused(self) -> str | None:
        """What is wrong with patterns that took nothing, with the names that there are; None if all took something."""
        if not self._unused:
            return None
        names = sorted(self._names)
        there_are = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
        patterns = ", ".join(map(repr, sorted(self._unused)))
        return f"only=: nothing in the file matches {patterns}; there are: {there_are or 'no images'}"


def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))
