"""Any file is a valid catalog, or is refused with a location and a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic import CatalogError
from cdk_ecrpublic.catalog.model import Catalog
from cdk_ecrpublic.catalog.reader import Arguments, read_catalog
from tests.fuzz.hostile import JSON, TEXTS, changed, damaged

CATALOGS = Path(__file__).parents[1] / "constructs" / "catalogs"

FILES = [path.read_bytes() for path in sorted(CATALOGS.glob("*.yaml"))]

DIGEST = "sha256:" + "a" * 64
IMAGES = {"images": [{"digest": DIGEST, "tags": ["1"]}, {"manifest_file": "a", "id": "x", "platforms": ["a/b"]}]}
DOCUMENTS = [
    {"repositories": {"acme/agent": IMAGES}, "defaults": {"include_referrers": True}, "registry": "acme"},
    {"registries": [{"name": "h/a", "src": True}, {"name": "h/b"}], "images": [{"name": "a", "dmap": {DIGEST: ["1"]}}]},
]

PIECES = st.sampled_from(
    [
        *("repositories:", "images:", "- ", "\n", "  ", "\t", ": ", "? ", "[", "]", "{", "}", ", ", "#", "| ", "> "),
        *("&a ", "*a", "<<: ", "!!str ", "!!binary ", "!x ", "!<tag:x> ", "---\n", "...\n", "%YAML 1.1\n"),
        *('"', "'", '"\\ud800"', '"\\UFFFFFFFF"', '"\\x00"', "1.10", "~", "on", "0o7", "=", "\ufeff", "\x85", "\u2028"),
        *(DIGEST, "digest: ", "tags: ", "ab", "acme/agent:", "dmap:", "name: a", "registries:"),
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("catalogs")


def read(content: bytes, folder: Path, **arguments: str) -> Catalog | CatalogError:
    """Read a file. If it is refused, every problem has a printable message and a place in the file."""
    path = folder / "catalog.yaml"
    path.write_bytes(content)
    try:
        return read_catalog(path, Arguments(**arguments))  # type: ignore[arg-type]
    except CatalogError as error:
        failure = error
    str(failure).encode()
    lines = len(content.decode("utf-8", "replace").splitlines()) + 1
    assert failure.problems
    assert all(problem.text and problem.file == str(path) for problem in failure.problems)
    assert all(problem.at is None or problem.at.line <= lines for problem in failure.problems)
    return failure


@settings(max_examples=300)
@given(st.binary(max_size=200) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_parsed_as_a_catalog_or_refused(folder: Path, content: bytes) -> None:
    read(content, folder)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=25).map("".join))
@example("? ? ? a")
@example("*a : b")
@example("!!omap [a: b]")
@example("- !!int x")
@example("%YAML 2." + "9" * 5000 + "\n--- a")
@example("!!%FF a")
@example("&a [*a]")
def test_any_yaml_is_parsed_as_a_catalog_or_refused(folder: Path, text: str) -> None:
    read(text.encode(), folder)
    read(f"repositories:\n  acme/agent:\n    images:\n      - {text}".encode(), folder)


@settings(max_examples=300)
@given(damaged(st.sampled_from(FILES)))
def test_any_damaged_file_is_parsed_or_refused(folder: Path, content: bytes) -> None:
    read(content, folder)
    read(content, folder, destination="public.ecr.aws/acme")


@settings(max_examples=300)
@given(changed(st.sampled_from(DOCUMENTS)) | JSON)
def test_any_document_is_parsed_as_a_catalog_or_refused(folder: Path, document: object) -> None:
    read(json.dumps(document).encode(), folder)


@settings(max_examples=100)
@given(TEXTS | PIECES, TEXTS | PIECES)
def test_any_source_and_destination_are_parsed_as_registries_or_refused(
    folder: Path, source: str, destination: str
) -> None:
    read(b"[]", folder, source=source, destination=destination)
    read(b"[]", folder, source="h", destination=f"public.ecr.aws/{destination}")


def test_the_damaged_files_are_originally_almost_valid(folder: Path) -> None:
    found = {path.name: read(path.read_bytes(), folder) for path in sorted(CATALOGS.glob("*.yaml"))}

    assert [name for name, each in found.items() if isinstance(each, Catalog)] == ["promoter.yaml"]
    few = [name for name, each in found.items() if isinstance(each, CatalogError) and len(each.problems) == 1]
    assert few == ["images.yaml", "promoter-manifest.yaml", "repositories.yaml", "several-destinations.yaml"]
