"""Entries of an index: one image may have several platforms, and an index may have other entries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.errors import RuleViolationError

from .conftest import Publisher
from .test_referrers import artifact
from .test_sparse import entry, index_of

SOCI = "application/vnd.amazon.soci.index.v2+json"


def entries(image: Image) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(image.manifest)["manifests"]
    return found


def _one(platform: str) -> Image:
    built = build_image({"etc/text": platform.encode()}, platforms=(platform,))
    return built.children[0] if built.children else built


def test_one_image_under_two_platforms_has_two_entries(publisher: Publisher) -> None:
    image = _one("linux/arm")
    publisher.push(index_of([entry(image, f"linux/arm/{variant}") for variant in ("v7", "v6")], image), "whole")
    source = {"Image": {"Reference": f"{publisher.uri('up/stream')}:whole"}}
    parts = [{"Source": source, "Platform": f"linux/arm/{variant}"} for variant in ("v6", "v7")]

    publisher.publish({"Index": {"Manifests": parts}}, "both")

    found = entries(publisher.pull("both"))
    assert [each["digest"] for each in found] == [image.digest] * 2
    assert [each["platform"]["variant"] for each in found] == ["v6", "v7"]


@pytest.mark.parametrize(
    ("platforms", "variants"),
    [(["linux/arm/v7"], ["v7"]), (["linux/arm/v6"], ["v6"]), (["linux/arm"], ["v6", "v7"])],
)
def test_keeps_only_the_requested_platform_of_an_image_that_has_two(
    publisher: Publisher, platforms: list[str], variants: list[str]
) -> None:
    image, other = _one("linux/arm"), _one("linux/amd64")
    listed = [entry(image, "linux/arm/v6"), entry(image, "linux/arm/v7"), entry(other, "linux/amd64")]
    publisher.push(index_of(listed, image, other), "whole")

    publisher.copy("whole", "1", Platforms=platforms)

    assert [each["platform"].get("variant") for each in entries(publisher.pull("1"))] == variants


def windows(*versions: str) -> tuple[list[dict[str, object]], Image]:
    image = _one("windows/amd64")
    found = [
        entry(image, "windows/amd64") | {"platform": {"os": "windows", "architecture": "amd64", "os.version": version}}
        for version in versions
    ]
    return found, image


def test_keeps_both_entries_of_one_image_for_two_versions_of_windows(publisher: Publisher) -> None:
    listed, image = windows("10.0.17763.1", "10.0.20348.1")
    other = _one("linux/amd64")
    publisher.push(index_of([*listed, entry(other, "linux/amd64")], image, other), "whole")
    uri = publisher.uri("up/stream")
    parts = [
        {"Source": {"Image": {"Reference": f"{uri}:whole"}}, "Platform": "windows/amd64"},
        {"Source": {"Image": {"Reference": f"{uri}:whole"}}, "Platform": "linux/amd64"},
    ]

    publisher.copy("whole", "windows", Platforms=["windows/amd64"])
    publisher.publish({"Index": {"Manifests": parts}}, "both")

    versions = ["10.0.17763.1", "10.0.20348.1"]
    assert [each["platform"]["os.version"] for each in entries(publisher.pull("windows"))] == versions
    found = [each["platform"] for each in entries(publisher.pull("both"))]
    assert [each.get("os.version") for each in found] == [None, *versions]


def with_soci() -> tuple[Image, Image, Image]:
    """Return an image and its SOCI index (v2), which has the same platform and an artifact type."""
    image, soci = _one("linux/amd64"), artifact("soci", b"ztoc")
    whole = index_of(
        [
            entry(image, "linux/amd64", annotations={"com.amazon.soci.index-digest": soci.digest}),
            entry(soci, "linux/amd64", artifactType=SOCI),
        ],
        image,
        soci,
    )
    return whole, image, soci


def test_a_soci_index_does_not_count_as_an_image(publisher: Publisher) -> None:
    whole, image, soci = with_soci()
    other = publisher.push(_one("linux/arm64"), "arm")
    publisher.push(whole, "whole")
    uri = publisher.uri("up/stream")
    parts = [{"Source": {"Image": {"Reference": f"{uri}:{tag}"}}} for tag in ("whole", "arm")]

    publisher.publish({"Index": {"Manifests": parts}}, "both")
    publisher.copy("whole", "1", Platforms=["linux/amd64"], RequiredPlatforms=["linux/amd64"])

    assert {each["digest"] for each in entries(publisher.pull("both"))} == {image.digest, soci.digest, other.digest}
    assert publisher.pull("1") == whole


def test_an_artifact_does_not_count_as_the_image_of_a_platform(publisher: Publisher) -> None:
    soci = artifact("soci", b"ztoc")
    publisher.push(index_of([entry(soci, "linux/amd64", artifactType=SOCI)], soci), "whole")

    with pytest.raises(RuleViolationError, match="has no image for linux/amd64; its platforms are: none"):
        publisher.copy("whole", "1", Platforms=["linux/amd64"])


def test_an_image_config_as_artifact_type_does_not_make_an_artifact(publisher: Publisher) -> None:
    image = _one("linux/amd64")
    kind = "application/vnd.oci.image.config.v1+json"
    whole = publisher.push(index_of([entry(image, "linux/amd64", artifactType=kind)], image), "whole")

    publisher.copy("whole", "1", Platforms=["linux/amd64"])

    assert publisher.pull("1") == whole


def test_refuses_two_images_for_one_platform(publisher: Publisher) -> None:
    first, second = build_image({"a": b"1"}), build_image({"a": b"2"})
    for image, tag in ((first, "a"), (second, "b")):
        publisher.push(image, tag)
    uri = publisher.uri("up/stream")
    parts = [{"Source": {"Image": {"Reference": f"{uri}:{tag}"}}} for tag in "ab"]

    with pytest.raises(RuleViolationError, match="the index would have two images for"):
        publisher.publish({"Index": {"Manifests": parts}}, "both")
