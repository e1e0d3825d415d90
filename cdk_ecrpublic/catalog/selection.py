"""The images of a file that ``only=`` selects."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .._assets.lambda_handler.errors import InvalidInputError, truncated_repr
from .model import Tag

_PATTERN = re.compile(r"(?P<name>[a-z0-9._/*?-]{1,205})(?::(?P<tag>[a-zA-Z0-9_.*?-]{1,128}))?")

_SHOWN_NAMES = 20


def parse_pattern(text: str) -> str:
    """
    Parse a pattern: ``<name>`` or ``<name>:<tag>``, with ``*`` and ``?`` in both.

    Raises:
        InvalidInputError: *text* has another form.
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
    The selected part of one file.

    Args:
        patterns: Patterns that ``parse_pattern`` accepts; empty selects everything.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        parts = [(text, *text.partition(":")[::2]) for text in patterns]
        self._patterns = [(text, _expression(name), _expression(tag) if tag else None) for text, name, tag in parts]
        self._unused = set(patterns)
        self._names: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether an image name may be selected; otherwise its content is not read."""
        self._names.add(name)
        return not self._patterns or any(expression.fullmatch(name) for _, expression, _ in self._patterns)

    def tags(self, name: str, tags: tuple[Tag, ...]) -> tuple[Tag, ...] | None:
        """Return the selected tags of an image; None if the image is not selected."""
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
        """The problem with patterns that match nothing, with the existing names; None if there is none."""
        if not self._unused:
            return None
        names = sorted(self._names)
        there_are = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
        patterns = ", ".join(map(repr, sorted(self._unused)))
        return f"only=: nothing in the file matches {patterns}; its images are: {there_are or 'none'}"


def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))
