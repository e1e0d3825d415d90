"""Catalogs in the formats of the image promoter, and files of other tools."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cdk_ecrpublic import CatalogError
from cdk_ecrpublic.catalog.reader import Arguments, read_catalog

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
ACME = "public.ecr.aws/acme"
TO_ACME = Arguments(source="gcr.io/staging", destination=ACME)

Listing = dict[str, dict[str, list[str]]]


def read(folder: Path, text: str, arguments: Arguments = TO_ACME) -> Listing:
    """Return the tags by digest, by repository."""
    path = folder / "images.yaml"
    path.write_text(text, encoding="utf-8")
    return {
        repository.name: {str(image.digest): [tag.text for tag in image.tags] for image in repository.images}
        for repository in read_catalog(path, arguments).repositories
    }


def refused(folder: Path, text: str, arguments: Arguments = TO_ACME) -> str:
    with pytest.raises(CatalogError) as failure:
        read(folder, text, arguments)
    return str(failure.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# images are still to come\n", {}),
        ("", {}),
        ("---\n", {}),
        ("- name: ab\n  dmap: {}\n", {"ab": {}}),
        ("- name: ab\n  dmap:\n", {"ab": {}}),
        ("- name: ab\n", {"ab": {}}),
        (f"- name: ab\n  dmap:\n    {A}:\n    {B}: ~\n    {C}: []\n", {"ab": {A: [], B: [], C: []}}),
        (f"- name: ab\n  dmap: {{{A}: [1.0, 1.10, 1e3, 0x1F]}}", {"ab": {A: ["1.0", "1.10", "1e3", "0x1F"]}}),
        (f"- name: ab\n  dmap: {{{A}: [20200101, 2020-10-01, 1_0]}}", {"ab": {A: ["20200101", "2020-10-01", "1_0"]}}),
        (f"- name: ab\n  dmap: {{{A}: [on, yes, true]}}", {"ab": {A: ["on", "yes", "true"]}}),
        (f"- name: 1.0\n  dmap: {{{A}: [x]}}", {"1.0": {A: ["x"]}}),
        (f"- name: ab\n  dmap: {{{A}: [x, x]}}", {"ab": {A: ["x"]}}),
    ],
)  # fmt: skip
def test_reads_a_list_like_the_promoter(tmp_path: Path, text: str, expected: Listing) -> None:
    assert read(tmp_path, text) == expected


def test_merges_items_with_the_same_name(tmp_path: Path) -> None:
    """Tools append an item for each release without looking for an existing one with the same name."""
    text = f"""
- name: agent
  dmap: {{{A}: ["1.0"], {B}: []}}
- name: other
  dmap: {{{A}: ["1.0"]}}
- name: agent
  dmap: {{{C}: ["1.1"], {A}: ["1.0", "1.0.0"]}}
"""

    assert read(tmp_path, text) == {"agent": {A: ["1.0", "1.0.0"], B: [], C: ["1.1"]}, "other": {A: ["1.0"]}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"- name: ab\n  dmap: {{{A}: [x]}}\n- name: ab\n  dmap: {{{B}: [x]}}",
            "images.yaml:4:84: tag 'x' of repository 'ab' is already used on line 2; a tag points to one",
        ),
        (f"- name: ab\n  dmap:\n    {A}: [x]\n    {A}: [y]", "images.yaml:4:5: the key 'sha256:aaaa"),
        (f"- name: ab\n  dmap: {{{A}0: [x]}}", "images.yaml:2:10: images[0].dmap: 'sha256:aaaa"),
        (f"- name: ab\n  name: b\n  dmap: {{{A}: []}}", "images.yaml:2:3: the key 'name' is duplicated, first on"),
        (f"- name: ab\n  dmap: {{{A}: [~]}}", "[0]: YAML reads ~ as nothing, not as a string; quote it"),
        (f"- name: ab\n  dmap: {{{A}: [-1]}}", "'-1' is not a tag; expected 1 to 128 letters"),
        (f"- name: ab\n  dmap: {{{A}: x}}", "images[0].dmap.sha256:aaaaaaaaaaaa…: is x (a string); expected a list of"),
        ("- dmap: {}", "images.yaml:1:3: images[0]: 'name' is missing; add it"),
        ("- name:\n", "images[0].name: YAML reads an empty value as nothing"),
        ("- name: ab\n  dmpa: {}", "images.yaml:2:3: images[0]: 'dmpa' is an unknown key; allowed: name, dmap"),
    ],
)  # fmt: skip
def test_refuses_mistakes(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_accepts_the_former_location_of_images(tmp_path: Path) -> None:
    manifest = tmp_path / "promoter-manifest.yaml"
    manifest.write_text(f"registries:\n- name: gcr.io/staging\n  src: yes\n- name: {ACME}\nimagesPath: images.yaml\n")

    found = read(tmp_path, f"- name: ab\n  dmap: {{{A}: [x]}}", Arguments(registries=manifest))
    whole = read(tmp_path, f"{manifest.read_text()}images:\n", Arguments())

    assert (found, whole) == ({"ab": {A: ["x"]}}, {})


@pytest.mark.parametrize("destination", [ACME, f"{ACME}/tools"])
def test_publishes_a_file_of_another_project_to_a_registry_that_it_does_not_name(
    tmp_path: Path, destination: str
) -> None:
    text = f"""
registries: [{{name: gcr.io/staging, src: true}}, {{name: us.gcr.io/prod}}, {{name: eu.gcr.io/prod}}]
images: [{{name: agent, dmap: {{{A}: [x]}}}}]
"""

    found = read(tmp_path, text, Arguments(destination=destination))

    assert list(found) == ["tools/agent" if destination.endswith("tools") else "agent"]
    assert "there is no destination in Amazon ECR Public; set destination= or add" in refused(
        tmp_path, text, Arguments()
    )


def test_chooses_the_only_destination_in_ecr_public(tmp_path: Path) -> None:
    text = f"registries: [{{name: eu.gcr.io/prod}}, {{name: {ACME}}}]\nimages: [{{name: agent, dmap: {{{A}: [x]}}}}]"

    assert read(tmp_path, text, Arguments()) == {"agent": {A: ["x"]}}


@pytest.mark.parametrize("name", ["ecr-public.aws.com/acme", "Public.ECR.aws/acme", "public.ecr.aws:443/acme"])
def test_recognizes_ecr_public_as_the_destination_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    images = f"[{{name: agent, dmap: {{{A}: [x]}}}}]"
    listed = f"registries: [{{name: gcr.io/staging, src: true}}, {{name: '{name}'}}]\nimages: {images}"

    assert read(tmp_path, listed, Arguments()) == {"agent": {A: ["x"]}}
    assert read(tmp_path, listed, Arguments(destination=ACME)) == {"agent": {A: ["x"]}}
    assert read(tmp_path, listed, Arguments(destination=f"{ACME}/tools")) == {"tools/agent": {A: ["x"]}}
    assert read(tmp_path, listed.replace(name, ACME), Arguments(destination=name)) == {"agent": {A: ["x"]}}
    assert read(tmp_path, images, Arguments(destination=name)) == {"agent": {A: ["x"]}}
    both = listed.replace("}]\n", f"}}, {{name: {ACME}}}]\n", 1)
    assert read(tmp_path, both, Arguments()) == {"agent": {A: ["x"]}}, "the usual name comes first"


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["agent"], {"agent": {A: ["1.0", "latest"], B: []}}),
        (["ag*"], {"agent": {A: ["1.0", "latest"], B: []}}),
        (["agent:1.*"], {"agent": {A: ["1.0"]}}),
        (["tools/*", "agent:?.0"], {"agent": {A: ["1.0"]}, "tools/web": {C: ["2.0"]}}),
    ],
)
def test_selects_a_part_of_a_file(tmp_path: Path, only: list[str], expected: Listing) -> None:
    text = f"""
- name: agent
  dmap: {{{A}: ["1.0", latest], {B}: []}}
- name: tools/web
  dmap: {{{C}: ["2.0"]}}
"""

    assert read(tmp_path, text, Arguments(destination=ACME, only=tuple(only))) == expected


def test_ignores_mistakes_in_what_is_not_selected(tmp_path: Path) -> None:
    text = f"- name: theirs\n  dmap: {{{A}: [x], {B}: [x], zzz: []}}\n- name: ours\n  dmap: {{{A}: [x]}}\n"

    assert read(tmp_path, text, Arguments(destination=ACME, only=("ours",))) == {"ours": {A: ["x"]}}


def test_selects_a_part_of_a_catalog_in_our_format(tmp_path: Path) -> None:
    text = (
        f"repositories: {{acme/a: {{images: [{{digest: {A}, tags: [x, y]}}]}}, acme/b: {{images: [{{digest: {B}}}]}}}}"
    )

    assert read(tmp_path, text, Arguments(only=("acme/a:y",))) == {"acme/a": {A: ["y"]}}


@pytest.mark.parametrize("only", ["agnt", "agent:2.*", "other:*"])
def test_a_pattern_that_selects_nothing_is_an_error(tmp_path: Path, only: str) -> None:
    text = f"- name: agent\n  dmap: {{{A}: ['1.0']}}\n- name: web\n  dmap: {{{A}: []}}\n"

    said = refused(tmp_path, text, Arguments(destination=ACME, only=("agent", only)))

    assert said == f"images.yaml: only=: nothing in the file matches '{only}'; its images are: agent, web"


REGSYNC = """
version: 1
creds: [{registry: registry.example.com}]
sync: [{source: busybox, target: "registry.example.com/busybox", type: repository}]
"""
DREGSY = "relay: skopeo\ntasks: [{name: a}]\n"
SKOPEO = "quay.io: {tls-verify: false, images: {coreos/etcd: [latest]}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (REGSYNC, "images.yaml:2:1: this is a file of regsync, which copies what tags point to now; a"),
        ("quay.io/a/b:v1: registry.example.com/a/b\n", "1:1: this is a file of image-syncer, which copies what tags"),
        ("quay.io/a/b: [registry.example.com/a/b, docker.io/a/b]\n", "this is a file of image-syncer"),
        ("auth: {quay.io: {username: x}}\nimages: {quay.io/a/b: x.io/a/b}\n", "this is a file of image-syncer"),
        ("images: {quay.io/a/b: x.io/a/b}\n", "this is a file of image-syncer"),
        ("alpine: x.io/alpine\nnginx:1.27: [x.io/nginx, y.io/nginx]\n", "this is a file of image-syncer"),
        (DREGSY, "this is a file of dregsy"),
        (SKOPEO, "this is a file of skopeo sync"),
        ("filestores: []\nfiles: []\n", "this is a manifest of the promoter for files, not for images"),
        (f"registries: [{{name: {ACME}}}]\n", "has no images; pass the file with the images as path, and"),
        ("repositorys: {}\n", "this is not a catalog: 'repositorys' is an unknown key; did you mean 'repositories'?"),
        ("a: 1\nb: 2\n", "this is not a catalog: it has the keys 'a', 'b'; expected a mapping with repositories"),
    ],
)  # fmt: skip
def test_recognizes_files_that_are_not_catalogs(tmp_path: Path, text: str, said: str) -> None:
    """The error is one sentence, even if the file has more problems."""
    found = refused(tmp_path, text)

    assert said in found
    assert len(found.splitlines()) == 1


def test_reads_ten_thousand_images_in_seconds(tmp_path: Path) -> None:
    """This took about 1.1 s for 1 MB when it was written; the limit leaves room for busy machines."""
    digests = (f"sha256:{number:064x}" for number in range(9_990))
    items = "".join(
        f'    "{digest}": ["v1.{number}.0", "v1.{number}", "1.{number}"]\n' for number, digest in enumerate(digests)
    )
    text = f"- name: agent\n  dmap:\n{items}"
    started = time.process_time()

    found = read(tmp_path, text)

    assert len(text) > 1024 * 1024
    assert len(found["agent"]) == 9_990
    assert time.process_time() - started < 20
