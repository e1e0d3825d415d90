"""What is uploaded as the function's code."""

from __future__ import annotations

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


def test_it_is_the_handler_and_nothing_else(code: Path) -> None:
    found = {path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()}

    assert found == {f"lambda_handler/{path.relative_to(HANDLER).as_posix()}" for path in HANDLER.rglob("*.py")}


def test_it_stays_small(code: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in code.rglob("*.py"):
            archive.write(path, path.relative_to(code))

    assert len(buffer.getvalue()) < 170_000
