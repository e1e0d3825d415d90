"""The home page links to every page, and the page about the architecture matches the source."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from cdk_ecrpublic.catalog.foreign import PAGE as PAGE_ABOUT_OTHER_TOOLS
from tests.architecture.source import CHECKOUT
from tests.architecture.test_dependencies import HANDLER, LAYERS, Layer

DOCS = CHECKOUT / "docs"
PAGE = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
PICTURE = DOCS / "explanation" / "architecture.svg"

ROOTS = (CHECKOUT, CHECKOUT / HANDLER, CHECKOUT / "cdk_ecrpublic")
"""What the paths on the page are relative to."""


def linked(page: str) -> set[str]:
    return set(re.findall(r"\]\(([^)#:]+\.md)", page))


def rows(page: str) -> dict[str, set[str]]:
    """Read the allowed imports of each layer from the table."""
    _, _, rest = page.partition("| layer |")
    table, _, _ = rest.partition("\n\n")
    lines = re.findall(r"^\| `([\w.]+)` \| .* \| (.*) \|$", table, re.MULTILINE)
    return {name: set(re.findall(r"`([\w.]+)`", cell)) for name, cell in lines}


def told(layer: Layer) -> set[str]:
    """Return the allowed imports of *layer* as the page lists them. The page describes the whole function in words."""
    ours = {name.removeprefix(f"{HANDLER}.") for name in layer.ours if name != HANDLER}
    return ours | layer.others


def names(page: str) -> set[str]:
    """List the files and folders that *page* names."""
    return set(re.findall(r"`([\w/]+(?:\.py|/))`", page))


def missing(paths: set[str]) -> list[str]:
    return sorted(path for path in paths if not any((root / path).exists() for root in ROOTS))


def test_the_home_page_links_to_every_page() -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    decisions = {page for page in pages if page.startswith("decisions/0")}

    assert pages - decisions - {"index.md"} == linked((DOCS / "index.md").read_text(encoding="utf-8"))


def test_the_build_counts_warnings() -> None:
    """With ``--quiet``, mkdocs does not count them, so a broken link would pass ``--strict``."""
    commands = re.findall(r"/mkdocs (.*)", (CHECKOUT / "Makefile").read_text(encoding="utf-8"))

    assert [("--strict" in command, "--quiet" in command) for command in commands] == [(True, False)]


def test_the_layers_match_the_source() -> None:
    layers = {name.removeprefix(f"{HANDLER}."): layer for name, layer in LAYERS.items() if f"{HANDLER}." in name}

    assert rows(PAGE) == {name: told(layer) for name, layer in layers.items() if "cdk_ecrpublic" not in name}


def test_every_file_that_the_page_names_exists() -> None:
    assert len(names(PAGE)) > 20
    assert missing(names(PAGE)) == []


def test_detects_a_file_that_does_not_exist() -> None:
    assert missing({"sources/digest.py", "sources/none.py"}) == ["sources/none.py"]


@pytest.mark.parametrize(
    "section",
    re.split(r"^### ", PAGE.partition("## Where to add something new")[2], flags=re.MULTILINE)[1:],
    ids=lambda text: text.split("\n")[0],
)
def test_every_name_in_a_section_is_defined_in_a_file_of_that_section(section: str) -> None:
    """Names of code are in the files that the page names next to them, for example ``SOURCES``."""
    files = [root / path for path in names(section) for root in ROOTS if (root / path).exists()]
    texts = [text for path in files for text in _texts(path)]
    words = set(re.findall(r"`((?:self\.)?[A-Za-z_]{3,})`", section)) - {"plan", "cdk"}

    assert files
    assert words
    assert [word for word in sorted(words) if not any(word in text for text in texts)] == []


def _texts(path: Path) -> list[str]:
    found = sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [each.read_text(encoding="utf-8") for each in found]


def test_the_picture_has_text_and_no_external_resources() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    kinds = {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}  # noqa: S314 - our own

    assert "text" in kinds
    assert kinds.isdisjoint({"script", "image", "foreignObject", "font"})
    assert re.findall(r"(?:href|src|url\()=?[\"']?(?!#)\w[^\"')]*", text) == []
    assert "prefers-color-scheme: dark" in text


def test_a_message_names_a_page_by_its_title() -> None:
    (title,) = re.findall("'(.+)'", PAGE_ABOUT_OTHER_TOOLS)
    page = (DOCS / "how-to" / "migrate-from-sync-tools.md").read_text(encoding="utf-8")

    assert page.startswith(f"# {title}\n")
