"""A program follows the tutorial: it writes the files, runs the commands in order, and checks the output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import CHECKOUT

from .pages import Snippet, snippets

pytestmark = pytest.mark.cdk

PAGE = "docs/tutorial.md"
SANDBOX = "cdk-ecrpublic sandbox -- bash"
MARK = "=== snippet of line"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Put this checkout's command and the Python of the tests first in the path of the shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, arguments in {"cdk-ecrpublic": "-m cdk_ecrpublic.cli ", "python3": ""}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        (folder / name).chmod(0o755)
    return folder


def script(before: list[Snippet]) -> Iterator[str]:
    """Yield what a reader types in the shell of the sandbox; this checkout replaces the setup before it."""
    yield "set -e"
    for snippet in before:
        if snippet.title:
            yield f"cat > {snippet.title} <<'END OF FILE'\n{snippet.body}END OF FILE"
        elif snippet.language == "sh":
            yield f'echo "{MARK} {snippet.line}"\n{snippet.body}'


def printed(output: str) -> dict[int, str]:
    """Return the output of each snippet, by the line of the snippet."""
    _, *parts = re.split(rf"^{MARK} (\d+)$", output, flags=re.MULTILINE)
    return {int(line): text for line, text in zip(parts[::2], parts[1::2], strict=True)}


def missing(expected: str, output: str) -> list[str]:
    """List the lines of a page that a program did not print; ``…`` matches any text."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    patterns = {line: ".*".join(map(re.escape, " ".join(line.split()).split("…"))) for line in expected.splitlines()}
    return [line for line, pattern in patterns.items() if not any(re.fullmatch(pattern, each) for each in lines)]


def test_the_tutorial_works_as_described(tmp_path: Path, tools: Path) -> None:
    page = snippets(page=PAGE)
    (start,) = [number for number, snippet in enumerate(page) if SANDBOX in snippet.body]
    inside = page[start + 1 :]
    project = tmp_path / "agent"
    project.mkdir()
    (tmp_path / "script").write_text("\n".join(script(inside)))

    result = subprocess.run(
        [str(tools / "cdk-ecrpublic"), "sandbox", "--port", "0", "--", "bash", str(tmp_path / "script")],
        cwd=project,
        env={
            **os.environ,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "NO_COLOR": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )

    assert result.returncode == 0, result.stdout
    outputs, last, untrue = printed(result.stdout), 0, {}
    for snippet in inside:
        if snippet.line in outputs:
            last = snippet.line
        elif snippet.language == "text":
            untrue[snippet.line] = missing(snippet.body.replace("127.0.0.1:4566", "127.0.0.1:…"), outputs[last])
    assert len(untrue) >= 8
    assert {line: lines for line, lines in untrue.items() if lines} == {}, result.stdout


def test_detects_a_line_that_was_not_printed() -> None:
    assert missing("a … c\nx\n", "  a b  c\n") == ["x"]
