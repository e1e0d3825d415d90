"""The content of the gallery's pages, which never change anything."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import urllib3

from cdk_ecrpublic.sandbox import Fault, Sandbox, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from cdk_ecrpublic.sandbox.store.state import StoredTag
from cdk_ecrpublic.sandbox.store.timeline import Timeline

from .conftest import REPOSITORY, Api
from .gallery import GALLERY, attested, descriptor, digest_of, helm_chart, open_page, sbom, signature, signature_tag

ALIAS = "acme"


@pytest.fixture
def sandbox() -> Any:
    with Sandbox(settings=Settings(alias=ALIAS)) as sandbox:
        yield sandbox


@pytest.fixture
def index() -> Image:
    return build_image({"etc/release": b"1\n"}, platforms=("linux/amd64", "linux/arm64"), labels={"stage": "test"})


def page_of_image(image: Image) -> str:
    return f"/{ALIAS}/{REPOSITORY}@{image.digest}"


def test_an_empty_sandbox_shows_what_to_do(sandbox: Sandbox) -> None:
    page = open_page(sandbox)

    assert page.status == 200
    assert f"export AWS_ENDPOINT_URL={sandbox.url}" in page.text
    assert "aws ecr-public create-repository --repository-name demo" in page.text
    assert f"docker://{sandbox.registry_host}/{ALIAS}/demo:1.0" in page.text


def test_shows_the_default_alias_without_a_custom_one() -> None:
    with Sandbox() as sandbox:
        shown = open_page(sandbox).text
        created = sandbox.client("ecr-public").create_repository(repositoryName="demo")

    assert created["repository"]["repositoryUri"] in shown


def test_lists_all_repositories_of_all_registries(sandbox: Sandbox, api: Api, index: Image) -> None:
    api.put_repository_catalog_data(repositoryName=REPOSITORY, catalogData={"description": "Collects metrics"})
    push_image(sandbox, REPOSITORY, index, ["1", "latest"])
    other = sandbox.client("ecr-public", aws_access_key_id="210987654321")
    alias = other.create_repository(repositoryName="tools")["repository"]["repositoryUri"].split("/")[1]

    page = open_page(sandbox)

    assert "2 repositories in 2 registries" in page.text
    assert page.row(REPOSITORY) == f"{ALIAS}/ {REPOSITORY} Collects metrics 2 3 just now"
    assert page.row("tools") == f"{alias}/ tools 0 0 never"
    assert f"{GALLERY}/{alias}/tools" in page.links


def test_finds_a_repository_by_a_part_of_its_name(sandbox: Sandbox, api: Api) -> None:
    api.create_repository(repositoryName="tools/router")

    found = open_page(sandbox, "/?search=ROUT")

    assert "1 repository with “ROUT” in the name" in found.text
    assert REPOSITORY not in found.text
    assert "No repository has this in its name" in open_page(sandbox, "/?search=nothing").text


def test_shows_where_each_tag_points(sandbox: Sandbox, api: Api, index: Image) -> None:
    push_image(sandbox, REPOSITORY, index, ["1", "latest"])
    single = build_image({"etc/release": b"2\n"}, platforms=("linux/arm64/v8",))
    push_image(sandbox, REPOSITORY, single, ["2"])
    api.put(single, "latest")

    page = open_page(sandbox, f"/{ALIAS}/{REPOSITORY}")

    assert f"docker pull {sandbox.registry_host}/{ALIAS}/{REPOSITORY}:latest" in page.text
    assert f"latest {single.digest} image linux/arm64/v8" in page.row("latest")
    assert f"1 {index.digest} index linux/amd64 linux/arm64" in page.row("1 sha256")
    assert f"{GALLERY}{page_of_image(single)}" in page.links


@pytest.mark.usefixtures("api")
def test_shows_referrers_below_their_image(sandbox: Sandbox, index: Image) -> None:
    release = attested(index)
    push_image(sandbox, REPOSITORY, release, ["1"])
    push_image(sandbox, REPOSITORY, signature(release), [signature_tag(release)])
    push_image(sandbox, REPOSITORY, sbom(release))
    untagged = build_image({"etc/release": b"0\n"})
    push_image(sandbox, REPOSITORY, untagged)

    page = open_page(sandbox, f"/{ALIAS}/{REPOSITORY}")

    levels = re.findall(r'<tr role="row" class="level-(\d)">.*?<span class="type">(.*?)</span>', page.source, re.DOTALL)
    assert levels == [
        ("0", "image"),
        ("0", "index"),
        ("1", "image"),
        ("1", "image"),
        ("1", "in-toto attestation"),
        ("1", "cosign signature"),
        ("1", "SPDX SBOM"),
    ]
    assert "untagged" in page.row(untagged.digest)
    assert f"sha256-{release.digest[7:19]}….sig" in page.row("cosign signature")
    assert "Tags 1 " in page.section("tags")


@pytest.mark.usefixtures("api")
def test_shows_a_referrer_without_its_subject_separately(sandbox: Sandbox, index: Image) -> None:
    push_image(sandbox, REPOSITORY, sbom(index))

    assert "SPDX SBOM" in open_page(sandbox, f"/{ALIAS}/{REPOSITORY}").section("images")
    assert "Attached to" in open_page(sandbox, page_of_image(sbom(index))).text


def test_shows_the_catalog_data_of_a_repository(sandbox: Sandbox, api: Api) -> None:
    data = {"description": "Collects", "architectures": ["ARM 64"], "operatingSystems": ["Linux"], "aboutText": "# It"}
    api.put_repository_catalog_data(repositoryName=REPOSITORY, catalogData=data)

    page = open_page(sandbox, f"/{ALIAS}/{REPOSITORY}")

    assert "Collects Linux ARM 64" in page.text
    assert "About # It" in page.text
    assert "Nothing has been pushed." in page.text


@pytest.mark.usefixtures("api")
def test_shows_the_images_of_an_index_and_their_referrers(sandbox: Sandbox, index: Image) -> None:
    push_image(sandbox, REPOSITORY, index, ["1"])
    push_image(sandbox, REPOSITORY, sbom(index))

    page = open_page(sandbox, page_of_image(index))

    assert f"index linux/amd64 linux/arm64 {index.digest}" in page.text
    assert [child.digest in page.section("children") for child in index.children] == [True, True]
    assert "SPDX SBOM" in page.section("attached")
    assert "1 since just now" in page.section("tags")
    assert '"schemaVersion" : 2' in page.section("manifest")


@pytest.mark.usefixtures("api")
def test_shows_config_layers_labels_and_parents_of_an_image(sandbox: Sandbox, index: Image) -> None:
    push_image(sandbox, REPOSITORY, index, ["1"])
    child = index.children[0]
    layer = json.loads(child.manifest)["layers"][0]

    page = open_page(sandbox, page_of_image(child))

    assert f"image linux/amd64 {child.digest}" in page.text
    assert f"docker pull {sandbox.registry_host}/{ALIAS}/{REPOSITORY}@{child.digest}" in page.text
    assert "Created 1970-01-01T00:00:00Z" in page.text
    assert f"{layer['digest']} {layer['mediaType']} {layer['size']} B" in page.section("layers")
    assert "stage test" in page.section("labels")
    assert f"index linux/amd64 linux/arm64 {index.digest}" in page.section("parents")
    assert "No tag points to this image." in page.text


@pytest.mark.usefixtures("api")
def test_shows_the_command_of_an_image(sandbox: Sandbox) -> None:
    image = build_image({"bin/agent": b""})
    manifest, blobs = json.loads(image.manifest), dict(image.blobs)
    config = json.loads(blobs.pop(manifest["config"]["digest"]))
    config["config"] = {"Entrypoint": ["/bin/agent"], "Cmd": ["--name", "two words"], "ExposedPorts": {"80/tcp": {}}}
    content = json.dumps(config).encode()
    manifest["config"] = descriptor(content, manifest["config"]["mediaType"])
    changed = replace(image, manifest=json.dumps(manifest).encode(), blobs={**blobs, digest_of(content): content})
    push_image(sandbox, REPOSITORY, changed, ["1"])

    text = open_page(sandbox, page_of_image(changed)).text

    assert "Command /bin/agent --name 'two words'" in text
    assert "Ports 80/tcp" in text


@pytest.mark.usefixtures("api")
def test_shows_the_common_name_of_an_artifact(sandbox: Sandbox) -> None:
    chart = helm_chart()
    push_image(sandbox, REPOSITORY, chart, ["1.4.2"])

    page = open_page(sandbox, page_of_image(chart))

    assert f"Helm chart {chart.digest}" in page.text
    assert f"helm pull oci://{sandbox.registry_host}/{ALIAS}/{REPOSITORY} --version 1.4.2 --plain-http" in page.text
    assert "version 1.4.2" in page.text


@pytest.mark.usefixtures("api")
def test_sends_the_exact_bytes_of_a_manifest(sandbox: Sandbox) -> None:
    image = build_image({"etc/release": b"1\n"})
    spaced = replace(image, manifest=image.manifest.replace(b'"size": ', b'"size":\n\t ') + b"\n \n")
    push_image(sandbox, REPOSITORY, spaced, ["1"])

    (raw,) = {link for link in open_page(sandbox, page_of_image(spaced)).links if link.endswith("/manifest")}
    answer = urllib3.request("GET", f"{sandbox.url}{raw}")

    assert answer.data == spaced.manifest
    assert (answer.headers["Content-Type"], answer.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")


def test_the_journal_shows_requests_and_the_tags_that_they_moved(sandbox: Sandbox, api: Api, image: Image) -> None:
    api.put(image, "1")
    api.refused_put(image, "1")
    api.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}])
    api.describe_registries()

    every, changes = open_page(sandbox, "/journal"), open_page(sandbox, "/journal?show=changes")
    moves = open_page(sandbox, "/journal?show=moves")

    assert "DescribeRegistries" in every.text
    assert "DescribeRegistries" not in changes.text
    assert "400 ImageAlreadyExistsException" in changes.row("400")
    assert f"1 {REPOSITORY} new {image.digest} PutImage" in moves.row("PutImage")
    assert f"1 {REPOSITORY} {image.digest} deleted BatchDeleteImage" in moves.row("BatchDeleteImage")
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3}", moves.row("PutImage"))


def test_the_journal_can_be_filtered_by_repository(sandbox: Sandbox, api: Api) -> None:
    api.create_repository(repositoryName="other")

    page = open_page(sandbox, f"/journal?repository={REPOSITORY}&show=changes")

    assert len(re.findall(r'<th role="rowheader"', page.source)) == 1
    assert "CreateRepository" in page.row(REPOSITORY)


@pytest.mark.usefixtures("api")
def test_ten_thousand_tags_are_paginated(sandbox: Sandbox, index: Image) -> None:
    push_image(sandbox, REPOSITORY, index)
    repository = sandbox.store.registry_of(sandbox.account).repositories[REPOSITORY]
    digest = next(image.digest for image in repository.all_images() if image.children)
    for number in range(10_000):
        timeline = Timeline[StoredTag]()
        timeline.set(StoredTag(digest=digest, created_at=1_800_000_000 - number), 0)
        repository.tags[f"tag-{number:05}"] = timeline

    first = open_page(sandbox, f"/{ALIAS}/{REPOSITORY}")
    (second,) = {link for link in first.links if "tags=2" in link}
    last = open_page(sandbox, f"/{ALIAS}/{REPOSITORY}?tags=999999")

    assert len(first.source) < 200_000
    assert "1\u201350 of 10,000" in first.text
    assert "tag-00050" in open_page(sandbox, f"/{ALIAS}/{REPOSITORY}{second}").section("tags")
    assert "9,951\u201310,000 of 10,000" in last.text
    assert "tag-09999" in open_page(sandbox, f"/{ALIAS}/{REPOSITORY}?search=9999").section("tags")


@pytest.mark.parametrize("page", ["abc", "-1", "0", "9" * 30, "%C2%B2", ""])
def test_an_invalid_page_number_shows_the_first_page(sandbox: Sandbox, api: Api, page: str) -> None:
    api.create_repository(repositoryName="other")

    assert "other" in open_page(sandbox, f"/?page={page}").text


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/acme/nothing",
        f"/nothing/{REPOSITORY}",
        f"/acme/{REPOSITORY}@sha256:{'0' * 64}",
        f"/acme/{REPOSITORY}@sha256:{'0' * 64}/manifest",
        f"/acme/{REPOSITORY}@latest",
        "/acme/..%2f..%2fetc",
        "/static/../application.py",
        "/%00",
    ],
)
@pytest.mark.usefixtures("api")
def test_unknown_paths_are_not_found(sandbox: Sandbox, path: str) -> None:
    page = open_page(sandbox, path)

    assert page.status == 404
    assert "Not found" in page.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "", "/journal", f"/{ALIAS}/{REPOSITORY}", "/style.css"])
def test_accepts_only_get_and_head(sandbox: Sandbox, method: str, path: str) -> None:
    assert open_page(sandbox, path, method).status == 405


@pytest.mark.parametrize("path", ["/", "", "/journal", f"/{ALIAS}/{REPOSITORY}", "/style.css", "/icon.svg"])
@pytest.mark.usefixtures("api")
def test_responds_to_head_like_get_without_the_body(sandbox: Sandbox, path: str) -> None:
    head = open_page(sandbox, path, "HEAD")

    assert (head.status, head.source) == (200, "")
    assert int(head.headers["Content-Length"]) == len(open_page(sandbox, path).source.encode())


def test_reading_leaves_no_trace(sandbox: Sandbox, api: Api, image: Image) -> None:
    api.put(image, "1")
    sandbox.settings = replace(sandbox.settings, describe_images_per_second=0.0, anonymous_pulls_per_second=0.0)
    sandbox.faults.add(Fault(times=1, code="ServerException"))
    before = (sandbox.requests.all(), repr(sandbox.store.registries), sandbox.faults.all())

    pages = ["", "/journal", f"/{ALIAS}/{REPOSITORY}", page_of_image(image), f"{page_of_image(image)}/manifest"]

    assert [open_page(sandbox, path).status for path in pages] == [200] * 5
    assert (sandbox.requests.all(), repr(sandbox.store.registries), sandbox.faults.all()) == before
    assert api.refusal("describe_registries").code == "ServerException"


def test_a_page_waits_for_a_change_in_progress(sandbox: Sandbox) -> None:
    done = threading.Event()

    def change() -> None:
        with sandbox.store.lock:
            done.set()
            time.sleep(0.3)
            sandbox.store.create_repository(sandbox.account, "slow")

    thread = threading.Thread(target=change)
    thread.start()
    done.wait()

    assert "slow" in open_page(sandbox).text
    thread.join()


@pytest.mark.parametrize("path", ["", "/journal", "/nothing", f"/{ALIAS}/{REPOSITORY}"])
@pytest.mark.usefixtures("api")
def test_a_page_may_load_only_its_style_sheet_and_icon(sandbox: Sandbox, path: str) -> None:
    page = open_page(sandbox, path)
    loaded = re.findall(r'\b(?:src|action)="([^"]*)"|<link\b[^>]*href="([^"]*)"', page.source)

    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; img-src 'self';")
    assert {address for pair in loaded for address in pair if address} <= {
        f"{GALLERY}/style.css",
        f"{GALLERY}/icon.svg",
        f"{GALLERY}/journal",
    }
    assert "<script" not in page.source
    assert " style=" not in page.source
    assert '<html lang="en">' in page.source
