"""Reading the file of a catalog, and reporting all its problems with their lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from cdk_ecrpublic import CatalogError, ImageSettings
from cdk_ecrpublic.catalog.model import Catalog, ManifestFile
from cdk_ecrpublic.catalog.reader import CATALOG_MAX_BYTES, Arguments, read_catalog

CATALOGS = Path(__file__).parent / "catalogs"

A, B, C, D = ("sha256:" + letter * 64 for letter in "abcd")
ACME = "public.ecr.aws/acme"


def read(text: str, tmp_path: Path, **arguments: str) -> Catalog:
    path = tmp_path / "catalog.yaml"
    path.write_text(text, encoding="utf-8")
    return read_catalog(path, Arguments(**arguments))  # type: ignore[arg-type]


def refused(text: str, tmp_path: Path, **arguments: str) -> str:
    """Return the message about a refused catalog, without the path of the file."""
    with pytest.raises(CatalogError) as failure:
        read(text, tmp_path, **arguments)
    return str(failure.value).replace(f"{tmp_path / 'catalog.yaml'}:", "")


def listing(catalog: Catalog) -> dict[str, list[tuple[str, list[str]]]]:
    """List sources and tags by repository."""
    return {
        repository.name: [
            (str(image.source), [tag.text for tag in image.tags])
            for image in repository.images
            if not isinstance(image.source, ManifestFile)
        ]
        for repository in catalog.repositories
    }


def test_reads_registries_and_images_of_the_promoter() -> None:
    catalog = read_catalog(CATALOGS / "promoter.yaml")

    assert catalog.registry == "acme"
    assert listing(catalog) == {
        "tools/agent": [
            (f"ghcr.io/acme-staging/agent@{A}", ["1.4.2", "1.4", "latest"]),
            (f"ghcr.io/acme-staging/agent@{B}", ["1.3.9"]),
        ],
        "tools/agent/sidecar": [(f"ghcr.io/acme-staging/agent/sidecar@{C}", [])],
    }


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        ({"registries": CATALOGS / "promoter-manifest.yaml"}, "us-docker.pkg.dev/acme/staging/agent@"),
        ({"source": "ghcr.io", "destination": ACME}, "ghcr.io/agent@"),
        ({"source": "localhost:5000/x", "destination": f"{ACME}"}, "localhost:5000/x/agent@"),
        ({"destination": ACME}, ""),
        ({"source": ACME, "destination": ACME}, ""),
    ],
)
def test_reads_a_bare_list_of_images(arguments: dict[str, str], source: str) -> None:
    """Images are only tagged if they have no source or if their source is their destination."""
    catalog = read_catalog(CATALOGS / "images.yaml", Arguments(**arguments))  # type: ignore[arg-type]

    assert catalog.registry == "acme"
    assert listing(catalog)["agent"] == [(f"{source}{A}", ["1.4.2", "latest"])]


@pytest.mark.parametrize(
    ("destination", "registry", "name"),
    [("public.ecr.aws/acme/tools", "acme", "tools/agent"), ("public.ecr.aws/acme-preview", "acme-preview", "agent")],
)
def test_chooses_one_of_several_destinations(destination: str, registry: str, name: str) -> None:
    catalog = read_catalog(CATALOGS / "several-destinations.yaml", Arguments(destination=destination))

    assert (catalog.registry, [repository.name for repository in catalog.repositories]) == (registry, [name])


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        (None, "4:3|2:3: registries: there are several destinations; select one with destination=: ghcr.io/"),
        ("public.ecr.aws/other", "destination='public.ecr.aws/other' is not one of them; registries: ghcr.io/acme-"),
        ("gcr.io/acme", "6:5: 'gcr.io/acme' is not a registry of Amazon ECR Public; expected public.ecr.aws/<alias>"),
    ],
)
def test_refuses_an_ambiguous_destination(destination: str | None, said: str) -> None:
    with pytest.raises(CatalogError) as failure:
        read_catalog(CATALOGS / "several-destinations.yaml", Arguments(destination=destination))

    assert said.rpartition("|")[2] in str(failure.value)


def test_reads_our_own_format() -> None:
    catalog = read_catalog(CATALOGS / "repositories.yaml")

    agent, index = catalog.repositories
    first, second, third = agent.images
    assert catalog.registry == "acme"
    assert listing(catalog)["acme/agent"] == [
        (A, ["1.4.2", "1.4", "latest"]),
        (f"ghcr.io/acme/agent:1.5.0-rc.1@{B}", ["preview"]),
        (f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/agent@{C}", ["1.3.9"]),
    ]
    assert first.settings == ImageSettings(required_platforms=("linux/amd64", "linux/arm64"), immutable_tags=("*.*.*",))
    assert (second.name, second.settings.immutable_tags, second.settings.include_referrers) == ("preview", (), True)
    assert (third.settings.platforms, str(third.expected_digest)) == (("linux/amd64",), D)
    assert index.images[0].source == ManifestFile(CATALOGS / "manifests/index.json")


def test_reads_every_example_of_the_page(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/catalog.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)

    whole = [re.sub(r"sha256:([0-9a-f]+)…", lambda found: f"sha256:{found[1]:0<64}", text) for text in examples]

    assert [list(listing(read(text, tmp_path))) for text in whole] == [["acme/agent", "acme/base"], ["tools/agent"]]


def test_a_file_takes_precedence_over_the_defaults_of_the_app() -> None:
    given = ImageSettings(required_platforms=("linux/s390x",), platforms=("linux/amd64",))

    (agent, _) = read_catalog(CATALOGS / "repositories.yaml", Arguments(defaults=given)).repositories
    promoter = read_catalog(CATALOGS / "promoter.yaml", Arguments(defaults=given)).repositories[0]

    assert agent.images[0].settings.required_platforms == ("linux/amd64", "linux/arm64")
    assert agent.images[0].settings.platforms == ("linux/amd64",)
    assert promoter.images[0].settings == given


@pytest.mark.parametrize("name", ["broken-promoter.yaml", "broken-repositories.yaml"])
def test_reports_all_problems_of_a_file_with_their_lines(name: str) -> None:
    """A line with a problem ends with ``#!`` and the expected message."""
    lines = (CATALOGS / name).read_text(encoding="utf-8").splitlines()
    expected = [
        (number, text.strip())
        for number, line in enumerate(lines, 1)
        for text in line.partition("#!")[2].split(" | ")
        if text
    ]

    with pytest.raises(CatalogError) as failure:
        read_catalog(CATALOGS / name)

    said = [(problem.at.line, problem.text) for problem in failure.value.problems if problem.at]
    assert Counter(line for line, _ in said) == Counter(line for line, _ in expected)
    for line, text in expected:
        assert any(text in each for at, each in said if at == line), (line, text, [e for at, e in said if at == line])
    assert re.match(rf"^{re.escape(str(CATALOGS / name))}:\d+:\d+: ", str(failure.value))


def test_an_error_has_the_column_of_the_value(tmp_path: Path) -> None:
    text = f'- name: agent\n  dmap: {{"{A}": ["1.0", a/b]}}\n'

    assert refused(text, tmp_path, destination=ACME).startswith("2:93: images[0].dmap.sha256:aaaaaaaaaaaa…[1]: 'a/b'")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            " the file is empty; expected a mapping with repositories, one with registries and images, or a list of",
        ),
        ("# nothing\n", " the file is empty"),
        ("images", "1:1: this is not a catalog; expected a mapping with repositories, one with registries and images"),
        ("{}", "1:1: this is not a catalog"),
        ("images: []", "1:1: the catalog: 'registries' is missing; add it"),
        ("registry: acme\n", "1:1: this is not a catalog: it has 'registry', but no 'repositories'"),
        ("defaults: {}\n", "1:1: this is not a catalog: it has 'defaults', but no 'repositories'"),
        ("repositories: {}\nimages: []", "1:1: the catalog: 'repositories' is an unknown key; allowed: registries"),
        ("repositories: {}\n---\na: 1\n", "2:1: the file has a second document; remove the '---'"),
        (
            "repositories:\n  - a: [\n",
            "3:1: is not YAML: while parsing a flow node expected the node content, but found",
        ),
        (
            "repositories:\n\t- a",
            "2:1: is not YAML: while scanning for the next token found character '\\t' that cannot",
        ),
        ('repositories: "\\UFFFFFFFF"', "1:18: is not YAML: a number is not a valid character or version"),
        ("%YAML " + "9" * 5000 + ".1\n---\na", "is not YAML: a number is not a valid character or version"),
        ("repositories:\n  \x01: 1", "2:3: '\\x01' is a character that YAML does not allow"),
        ("? [a]\n: b\n? {c: d}\n: e", "1:3: a list or mapping cannot be a key; expected a string"),
        ("repositories: " + "[" * 5000, "1:30: nested deeper than 16 levels, the limit"),
        ("repositories: " + "{a: " * 5000, "nested deeper than 16 levels, the limit"),
        ("x" * (CATALOG_MAX_BYTES + 1), " is larger than 16777216 bytes, the limit; split it into several catalogs"),
        ("repositories:\n  <<: {a: b}", "2:3: repositories: YAML reads << as a merge key, not as a string"),
    ],
)
def test_refuses_files_that_are_not_catalogs(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(text, tmp_path)


def test_refuses_exponentially_nested_aliases_immediately(tmp_path: Path) -> None:
    levels = "".join(f"- &l{n} [{', '.join([f'*l{n - 1}'] * 9) if n else 'x'}]\n" for n in range(10))

    assert "2:8: *l0 is an alias; aliases are not allowed: repeat the value" in refused(levels, tmp_path)


def test_refuses_files_that_are_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_bytes(b"repositories:\n  \xff: 1")

    with pytest.raises(CatalogError, match=r"catalog\.yaml:2:3: is not UTF-8 from here; save the file as UTF-8"):
        read_catalog(tmp_path / "catalog.yaml")


def test_ignores_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_bytes(b"\xef\xbb\xbfrepositories: {}")

    assert read_catalog(tmp_path / "catalog.yaml") == Catalog()


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no\.yaml: cannot be read: No such file or directory"):
        read_catalog(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("[]", {}, " a list of images has no destination; set destination='public.ecr.aws/<alias>' or"),
        ("[]", {"destination": "ghcr.io/acme"}, " 'ghcr.io/acme' is not a registry of Amazon ECR Public; expected"),
        ("[]", {"destination": "public.ecr.aws"}, " 'public.ecr.aws' is not a registry of Amazon ECR Public"),
        ("[]", {"destination": "public.ecr.aws/A"}, " 'public.ecr.aws/A': 'A' is not a registry"),
        ("[]", {"destination": ACME, "source": "a b"}, " source='a b': 'a b' is not a registry host"),
        ("repositories: {}", {"destination": ACME}, " destination= is for other formats: this file has its own"),
        ("repositories: {}", {"source": ACME}, " source= is for other formats"),
        (f"registries: [{{name: {ACME}}}]\nimages: []", {"source": ACME}, " source= is for other formats"),
        (
            "registries: []\nimages: []",
            {},
            "1:13: registries: there is no destination in Amazon ECR Public; set destination= or add",
        ),
        (
            f"registries: [{{name: {ACME}/{'x' * 200}}}]\nimages: [{{name: {'y' * 9}, dmap: {{{A}: []}}}}]",
            {},
            "2:10: 'xxxx",
        ),
        (
            f"repositories: {{ab: {{images: [{{digest: {A}}}, {{digest: {A}}}]}}}}",
            {},
            "'ab'; give one of the",
        ),
        (
            f"repositories: {{ab: {{images: [{{digest: {A}, id: x}}, {{digest: {B}, tags: [x]}}]}}}}",
            {},
            "'x' also identifies the image on line 1 of repository 'ab'; give one of the two another id",
        ),
    ],
)
def test_refuses_contradictory_files_and_arguments(
    tmp_path: Path, text: str, arguments: dict[str, str], said: str
) -> None:
    assert said in refused(text, tmp_path, **arguments)


def test_reports_problems_of_both_files_of_a_bare_list(tmp_path: Path) -> None:
    (tmp_path / "registries.yaml").write_text("registries: []\nimages: []\n")
    (tmp_path / "images.yaml").write_text("- name: X\n")

    with pytest.raises(CatalogError) as failure:
        read_catalog(tmp_path / "images.yaml", Arguments(registries=tmp_path / "registries.yaml", source="ghcr.io"))

    said = str(failure.value).replace(f"{tmp_path}/", "").splitlines()
    assert [line.split(": ")[0] for line in said] == [
        "images.yaml", "images.yaml:1:9", "registries.yaml:1:13", "registries.yaml:2:1",
    ]  # fmt: skip


def test_the_registries_of_a_bare_list_must_be_registries(tmp_path: Path) -> None:
    (tmp_path / "registries.yaml").write_text("imagesPath: x\nimages: []\n")

    said = refused("[]", tmp_path, registries=tmp_path / "registries.yaml")  # type: ignore[arg-type]

    assert "registries.yaml:2:1: the registries: 'images' is an unknown key; allowed: registries, imagesPath" in said
    assert "registries.yaml:1:1: the registries: 'registries' is missing; add it" in said


def test_an_invalid_tag_does_not_cause_a_second_error_about_the_digest(tmp_path: Path) -> None:
    text = f'repositories: {{ab: {{images: [{{digest: "{A}"}}, {{digest: "{A}", tags: [1.0]}}]}}}}'

    assert len(refused(text, tmp_path).splitlines()) == 1


def test_counts_many_problems(tmp_path: Path) -> None:
    text = "repositories: {}\n" + "".join(f"x{number}: 1\n" for number in range(250))

    lines = refused(text, tmp_path).splitlines()

    assert (len(lines), lines[-1]) == (101, "and 150 more")


CATALOG = f"""\
registry: acme
repositories:
  agent:
    images:
      - {{digest: "{A}", tags: ["1"]}}
"""


@pytest.mark.parametrize("end", ["---\n", "---\n# the end\n", "...\n"])
def test_reads_a_catalog_followed_by_an_empty_document(tmp_path: Path, end: str) -> None:
    assert listing(read(f"{CATALOG}{end}", tmp_path)) == listing(read(CATALOG, tmp_path))


def test_reads_json_that_is_indented_with_tabs(tmp_path: Path) -> None:
    text = json.dumps(yaml.safe_load(CATALOG), indent="\t")

    assert "\t" in text
    assert listing(read(text, tmp_path)) == listing(read(CATALOG, tmp_path))
