"""The pages of the documentation, and the fenced snippets in them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cdk_ecrpublic
from tests.architecture.source import CHECKOUT

FENCE = re.compile(r'^( *)```(\w*)(?: title="([^"]+)")?(?: hl_lines="[\d -]+")?$')
"""What opens a snippet; a line that begins a fence and is none of these is a mistake."""

EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """
    One fenced snippet.

    Attributes:
        page: The path of the page, relative to the checkout.
        line: The line number of its fence, from 1.
        title: The name of the file that it shows, if any.
    """

    page: str
    line: int
    language: str
    title: str | None
    body: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def whole(self) -> str:
        """Its text, in which shortened digests such as ``sha256:9f2c…`` have their full length."""
        return re.sub(r"sha256:([0-9a-f]*)…", lambda found: f"sha256:{found[1]:0<64}", self.body)


def pages() -> list[Path]:
    """List the pages for users and contributors."""
    return [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]


def snippets(*languages: str, page: str | None = None) -> list[Snippet]:
    """List the snippets of all pages or of one, in all languages or in some."""
    found = [snippet for path in pages() for snippet in read(path)]
    return [
        snippet
        for snippet in found
        if (not languages or snippet.language in languages) and (page is None or snippet.page == page)
    ]


def examples() -> list[Snippet]:
    """List the examples in the docstrings of the public classes, which the page of the constructs shows."""
    return [
        Snippet(page=name, line=number, language="python", title=None, body=f"from cdk_ecrpublic import *\n{body}")
        for name in cdk_ecrpublic.__all__
        for number, body in enumerate(EXAMPLE.findall(inspect.getdoc(getattr(cdk_ecrpublic, name)) or ""), 1)
    ]


def read(path: Path) -> Iterator[Snippet]:
    """
    Yield the snippets of a page.

    Raises:
        ValueError: A fence that cannot be read, or that does not end.
    """
    name = path.relative_to(CHECKOUT).as_posix()
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    for number, line in lines:
        if not line.lstrip().startswith("```"):
            continue
        if (opened := FENCE.match(line)) is None:
            message = f"{name}:{number}: cannot read this fence: {line}"
            raise ValueError(message)
        indent, language, title = opened.groups()
        body = list(_until(f"{indent}```", lines, f"{name}:{number}"))
        text = "".join(f"{each.removeprefix(indent)}\n" for each in body)
        yield Snippet(page=name, line=number, language=language, title=title, body=text)


def _until(end: str, lines: Iterator[tuple[int, str]], place: str) -> Iterator[str]:
    for _, line in lines:
        if line == end:
            return
        yield line
    message = f"{place}: this fence does not end"
    raise ValueError(message)
