"""The gallery with hostile content."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic.sandbox import Sandbox, Settings
from cdk_ecrpublic.sandbox.gallery.manifest_text import SHOWN_CHARACTERS, layout
from cdk_ecrpublic.sandbox.gallery.relations import Relations
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image

from .conftest import REPOSITORY, Api, changed
from .gallery import OCI_CONFIG, artifact, open_page, signature, signature_tag

ALIAS = "acme"
ATTACK = "</code></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"
PAGE_BYTES = 1_000_000


@pytest.fixture
def sandbox() -> Any:
    with Sandbox(settings=Settings(alias=ALIAS)) as sandbox:
        yield sandbox


def pushed(sandbox: Sandbox, image: Image, manifest: bytes, tag: str = "1") -> str:
    """Push an image with another manifest; return the path of its page."""
    other = replace(image, manifest=manifest)
    push_image(sandbox, REPOSITORY, other, [tag])
    return f"/{ALIAS}/{REPOSITORY}@{other.digest}"


def assert_harmless(source: str) -> None:
    assert "<script" not in source
    assert "<img src=x" not in source
    assert len(source) < PAGE_BYTES


@pytest.mark.usefixtures("api")
def test_html_in_annotations_labels_and_media_types_is_escaped(sandbox: Sandbox) -> None:
    config = json.dumps(
        {
            "os": ATTACK,
            "architecture": ATTACK,
            "rootfs": {},
            "author": ATTACK,
            "config": {"Labels": {ATTACK: ATTACK}, "Cmd": [ATTACK]},
        }
    ).encode()
    image = artifact((config, OCI_CONFIG), [(b"x", ATTACK)], annotations={ATTACK: ATTACK}, artifactType=ATTACK)

    path = pushed(sandbox, image, image.manifest)

    for page in (open_page(sandbox, path), open_page(sandbox, f"/{ALIAS}/{REPOSITORY}")):
        assert page.status == 200
        assert ATTACK in page.text.replace(" ", "") or ATTACK in page.text
        assert_harmless(page.source)


def test_html_in_catalog_data_and_requests_is_escaped(sandbox: Sandbox, api: Api) -> None:
    api.put_repository_catalog_data(repositoryName=REPOSITORY, catalogData={"description": ATTACK, "aboutText": ATTACK})
    api.refusal("describe_images", repositoryName=REPOSITORY, imageIds=[{"imageTag": ATTACK}])

    for path in (
        "",
        f"/{ALIAS}/{REPOSITORY}",
        "/journal",
        f"/?search={ATTACK}",
        f"/journal?repository={ATTACK}",
        f"/{ATTACK}",
    ):
        assert_harmless(open_page(sandbox, path).source)
    assert ATTACK in open_page(sandbox, "/journal").text


@pytest.mark.usefixtures("api")
def test_half_a_surrogate_pair_does_not_break_the_page(sandbox: Sandbox, image: Image) -> None:
    path = pushed(sandbox, image, changed(image, annotations={"half": "\ud83d"}))

    page = open_page(sandbox, path)

    assert page.status == 200
    assert r"half \ud83d" in page.text


def test_the_longest_tag_is_shown(sandbox: Sandbox, api: Api, image: Image) -> None:
    longest = "t" * 128
    api.put(image, longest)

    assert longest in open_page(sandbox, f"/{ALIAS}/{REPOSITORY}").text


@pytest.mark.parametrize(
    "extra",
    [
        {"annotations": {"long": "x" * 4_000_000}},
        {"annotations": {f"key-{number}": "x" * 40 for number in range(40_000)}},
        {"annotations": {"not a string": {"a": [{"b": 1}] * 100}}},
        {"other": json.loads("[" * 400 + "]" * 400)},
        {"other": [0] * 90_000},
    ],
    ids=["long", "many", "not a string", "deep", "wide"],
)
def test_a_huge_or_deep_manifest_results_in_a_small_page(sandbox: Sandbox, image: Image, extra: dict[str, Any]) -> None:
    path = pushed(sandbox, image, changed(image, **extra))

    page, list_of_images = open_page(sandbox, path), open_page(sandbox, f"/{ALIAS}/{REPOSITORY}")

    assert (page.status, list_of_images.status) == (200, 200)
    assert len(page.source) < PAGE_BYTES
    assert len(list_of_images.source) < PAGE_BYTES


@pytest.mark.usefixtures("api")
def test_many_layers_and_labels_are_truncated_with_a_note(sandbox: Sandbox) -> None:
    labels = {f"label-{number}": "x" for number in range(500)}
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {}, "config": {"Labels": labels}}).encode()
    layer = (b"x", "application/vnd.oci.image.layer.v1.tar")
    image = artifact((config, OCI_CONFIG), [layer] * 5000)

    page = open_page(sandbox, pushed(sandbox, image, image.manifest))

    assert "Layers 5,000" in page.section("layers")
    assert "4,900 more are not shown." in page.section("layers")
    assert "label-99" in page.text
    assert "label-100 " not in page.section("labels")


@pytest.mark.parametrize(
    "config", [b"no json", b"[]", b'{"rootfs": {}, "config": 7}', b"[" * 100_000, b"\xff", b"null"]
)
@pytest.mark.usefixtures("api")
def test_omits_an_invalid_config(sandbox: Sandbox, config: bytes) -> None:
    image = artifact((config, OCI_CONFIG), [(b"x", "application/vnd.oci.image.layer.v1.tar")])

    assert open_page(sandbox, pushed(sandbox, image, image.manifest)).status == 200


def test_a_manifest_of_schema_1_is_shown(sandbox: Sandbox, api: Api) -> None:
    sandbox.settings = replace(sandbox.settings, schema1="accept")
    content = json.dumps({"schemaVersion": 1, "name": "x", "fsLayers": [], "history": []}).encode()
    api.put(content, "old")

    assert "old" in open_page(sandbox, f"/{ALIAS}/{REPOSITORY}").text
    assert '"fsLayers" : []' in open_page(sandbox, f"/{ALIAS}/{REPOSITORY}@{Digest.of(content)}").text


@pytest.mark.usefixtures("api")
def test_every_image_is_shown_even_if_tags_form_a_cycle(sandbox: Sandbox) -> None:
    one, two = build_image({"n": b"1"}), build_image({"n": b"2"})
    push_image(sandbox, REPOSITORY, one, [signature_tag(two)])
    push_image(sandbox, REPOSITORY, two, [signature_tag(one)])
    own = signature(one)
    push_image(sandbox, REPOSITORY, own, [signature_tag(own)])

    images = open_page(sandbox, f"/{ALIAS}/{REPOSITORY}").section("images")

    assert [image.digest in images for image in (one, two, own)] == [True, True, True]


@pytest.mark.usefixtures("api")
def test_a_long_chain_of_referrers_is_shown_in_parts(sandbox: Sandbox) -> None:
    image = build_image({"n": b"1"})
    push_image(sandbox, REPOSITORY, image)
    digests = [image.digest]
    for number in range(30):
        subject = {"mediaType": image.media_type, "digest": digests[-1], "size": 1}
        link = artifact((str(number).encode(), "application/x"), [(b"x", "application/y")], subject=subject)
        push_image(sandbox, REPOSITORY, link)
        digests.append(link.digest)

    images = open_page(sandbox, f"/{ALIAS}/{REPOSITORY}").section("images")

    repository = sandbox.store.registry_of(sandbox.account).repositories[REPOSITORY]
    assert len(Relations.of(repository).roots) > 1
    assert [digest for digest in digests if digest not in images] == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            b'{"a":{},"b":[1,{"c":"x:\\"y"}],"e":1.0e2}',
            '{\n  "a": {},\n  "b": [\n    1,\n    {\n      "c": "x:\\"y"\n    }\n  ],\n  "e": 1.0e2\n}',
        ),
        (b'{ "a" : 1,\n"a":2 }', '{\n  "a": 1,\n  "a": 2\n}'),
        (b"[]", "[]"),
        (b"", ""),
    ],
)
def test_formatting_changes_only_the_space_between_tokens(content: bytes, text: str) -> None:
    found = layout(content)

    assert "".join(piece.text for piece in found.pieces) == text
    assert found.is_whole


@pytest.mark.parametrize(
    "content", [b"[" * 4_000_000, b'"' + b"\\\\" * 2_000_000 + b'"', b"1," * 2_000_000, b'"' * 4_000_000]
)
def test_formatted_content_is_bounded(content: bytes) -> None:
    found = layout(content)

    assert not found.is_whole
    assert sum(len(piece.text) for piece in found.pieces) < 30 * SHOWN_CHARACTERS
