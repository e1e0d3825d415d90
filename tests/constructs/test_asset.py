"""The asset that contains the function's code."""

from __future__ import annotations

import ast
import io
import zipfile
from pathlib import Path

import pytest
from aws_cdk import App, Stack

from cdk_ecrpublic import PublicImageProvider

HANDLER = Path(__file__).parents[2] / "lambda_handler"


@pytest.fixture
def code() -> Path:
    app = App()
    PublicImageProvider(Stack(app, "Stack"), "Provider")
    (folder,) = Path(app.synth().directory).glob("asset.*")
    return folder


def test_contains_only_the_handler(code: Path) -> None:
    found = {path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()}

    assert found == {f"lambda_handler/{path.relative_to(HANDLER).as_posix()}" for path in HANDLER.rglob("*.py")}


def test_is_the_same_program_without_docstrings(code: Path) -> None:
    for path in HANDLER.rglob("*.py"):
        written, staged = path.read_text(), (code / "lambda_handler" / path.relative_to(HANDLER)).read_text()

        assert program(staged) == program(written), path
        assert staged.count("\n") == written.count("\n"), path


def program(source: str) -> str:
    """Return all nodes with their lines, except the strings that are statements."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name, children in ast.iter_fields(node):
            if isinstance(children, list):
                setattr(node, name, [each for each in children if not is_docstring(each)])
    return "\n".join(
        f"{getattr(node, 'lineno', 0)} {ast.dump(node)}" for node in ast.walk(tree) if isinstance(node, ast.stmt)
    )


def is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_stays_small(code: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in code.rglob("*.py"):
            archive.write(path, path.relative_to(code))

    assert len(buffer.getvalue()) < 200_000
