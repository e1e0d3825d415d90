"""Sources that list images they lack, contradict themselves, or tag something else like a signature."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from cdk_ecrpublic.sandbox.images import Image, build_image, resolve_tags
from lambda_handler.errors import (
    AccessError,
    ImageError,
    InvalidArchiveError,
    InvalidManifestError,
    NotFoundError,
    RuleViolationError,
    UnavailableError,
)
from lambda_handler.oci import Digest
from tests.support.archives import CONTAINERD_NAME, LAYOUT, NAME, layout_of, saved, tar_of
from tests.support.s3 import Bucket
from tests.support.upstream import UpstreamRegistry, upstream_registry
from tests.support.web_server import send

from .conftest import Publisher, two_platforms
from .test_referrers import artifact, list_of, referrers, tag_of

INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
ATTESTED = "vnd.docker.reference.digest"


@pytest.fixture
def upstream() -> Iterator[UpstreamRegistry]:
    with upstream_registry() as registry:
        yield registry


def entry(image: Image, platform: str, **more: object) -> dict[str, object]:
    os, architecture, *variant = platform.split("/")
    found = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
    return {
        "mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest), "platform": found, **more,
    }  # fmt: skip


def index_of(entries: list[dict[str, object]], *children: Image) -> Image:
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    return Image(manifest=content, media_type=INDEX, children=children)


def as_docker_saves() -> tuple[Image, Image]:
    """
    Make a docker save of a daemon with the containerd image store, and the one image that it contains.

    The index is the publisher's, with two platforms and their attestations.
    """
    held, other = two_platforms().children
    attestations = [artifact("attestation", text) for text in (b"1", b"2")]
    whole = index_of(
        [
            entry(held, "linux/amd64"),
            entry(other, "linux/arm64/v8"),
            *(
                entry(attestation, "unknown/unknown", annotations={ATTESTED: image.digest})
                for attestation, image in zip(attestations, (held, other), strict=True)
            ),
        ],
        held,
    )
    return whole, held


NAMES = {CONTAINERD_NAME: "docker.io/library/agent:1.4", NAME: "1.4"}


def test_publishes_the_existing_images_of_a_docker_save_and_reports_the_others(
    publisher: Publisher, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, held = as_docker_saves()

    publisher.publish(bucket.put("saved.tar", tar_of(layout_of((whole, NAMES)))), "1")

    assert publisher.pull("1").children == (held,)
    said = capsys.readouterr().out
    assert "left out, because the source lists but does not have it: linux/arm64/v8 (sha256:" in said
    assert f"an attestation of {held.digest} (sha256:" in said


@pytest.mark.parametrize("platforms", [["linux/amd64"], ["linux/amd64", "linux/amd64"]])
def test_can_request_the_platform_that_a_docker_save_contains(
    publisher: Publisher, bucket: Bucket, platforms: list[str]
) -> None:
    whole, held = as_docker_saves()

    publisher.publish(bucket.put("saved.tar", tar_of(layout_of((whole, NAMES)))), "1", Platforms=platforms)

    assert publisher.pull("1").children == (held,)


def test_cannot_request_a_platform_that_is_only_listed(publisher: Publisher, bucket: Bucket) -> None:
    whole, _ = as_docker_saves()

    with pytest.raises(RuleViolationError, match="lists an image for linux/arm64, but does not have it"):
        publisher.publish(bucket.put("saved.tar", tar_of(layout_of((whole, NAMES)))), "1", Platforms=["linux/arm64"])

    assert publisher.is_empty()


@pytest.mark.parametrize("which", ["index", "image"])
def test_can_select_both_index_and_image_of_a_docker_save_by_digest(
    publisher: Publisher, bucket: Bucket, which: str
) -> None:
    whole, held = as_docker_saves()
    source = bucket.put("saved.tar", tar_of(layout_of((whole, NAMES))))["Archive"]
    assert isinstance(source, Mapping)
    digest = whole.digest if which == "index" else held.digest

    publisher.publish({"Archive": {**source, "Reference": digest}}, "1")

    pulled = publisher.pull("1")
    assert pulled.children == (held,) if which == "index" else pulled == held


def test_refuses_an_archive_that_has_no_image_of_its_index(publisher: Publisher, bucket: Bucket) -> None:
    whole, _ = as_docker_saves()
    empty = Image(manifest=whole.manifest, media_type=INDEX)

    with pytest.raises(NotFoundError, match="lists 4 manifests, but its source has no image of them"):
        publisher.publish(bucket.put("saved.tar", tar_of(layout_of((empty, NAMES)))), "1")


def test_an_image_without_its_layers_counts_as_missing(publisher: Publisher, bucket: Bucket) -> None:
    first, second = build_image({"a": b"1"}), build_image({"b": b"2"}, platforms=("linux/arm64",))
    shell = Image(manifest=second.manifest, media_type=second.media_type)
    whole = index_of([entry(first, "linux/amd64"), entry(second, "linux/arm64")], first, shell)
    files = layout_of((whole, {}))

    publisher.publish(bucket.put("saved.tar", tar_of(files)), "1")

    assert publisher.pull("1").children == (first,)


@pytest.mark.parametrize("manifests", [b"null", b"[]"])
def test_reads_the_docker_manifest_if_the_layout_is_empty(
    publisher: Publisher, bucket: Bucket, manifests: bytes
) -> None:
    """If an image is saved by digest, Docker 25.0.0 lists nothing in the layout (moby/moby#47210)."""
    index = b'{"schemaVersion": 2, "mediaType": "%s", "manifests": %s}' % (INDEX.encode(), manifests)
    files = {"oci-layout": LAYOUT, "index.json": index, **saved(tar_of({"a": b"1"}))}

    publisher.publish(bucket.put("saved.tar", tar_of(files)), "1")

    assert len(publisher.pull("1").blobs) == 2


def test_publishes_the_mirrored_part_of_an_index_by_tag(publisher: Publisher, upstream: UpstreamRegistry) -> None:
    whole, held = as_docker_saves()
    upstream.push(whole, "1")

    publisher.publish({"Image": {"Reference": f"{upstream.host}/team/app:1"}}, "1")

    assert publisher.pull("1").children == (held,)


def test_refuses_the_mirrored_part_of_an_index_by_digest(publisher: Publisher, upstream: UpstreamRegistry) -> None:
    whole, held = as_docker_saves()
    upstream.push(whole)
    reference = f"{upstream.host}/team/app@{whole.digest}"

    with pytest.raises(NotFoundError) as failure:
        publisher.publish({"Image": {"Reference": reference}}, "1")
    publisher.publish({"Image": {"Reference": reference}}, "2", Platforms=["linux/amd64"])

    assert failure.value.message.startswith(f"{reference} lists images that its registry does not have")
    assert "linux/arm64/v8 (sha256:" in failure.value.message
    assert failure.value.hint == "request only platforms that it has: linux/amd64"
    assert publisher.pull("2").children == (held,)


def out_of_order() -> Image:
    """Return an image as Docker 25.0.0 saved it: uncompressed layers, in another order than in the config."""
    layers = [tar_of({name: name.encode()}) for name in "abc"]
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer)) for layer in layers]},
        }
    ).encode()

    def described(content: bytes, kind: str) -> dict[str, object]:
        return {"mediaType": kind, "digest": str(Digest.of(content)), "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(config, CONFIG),
        "layers": [described(layer, "application/vnd.oci.image.layer.v1.tar") for layer in reversed(layers)],
    }
    blobs = {str(Digest.of(content)): content for content in (config, *layers)}
    return Image(manifest=json.dumps(manifest).encode(), media_type=str(manifest["mediaType"]), blobs=blobs)


@pytest.mark.parametrize("inside", [False, True])
def test_refuses_an_archive_that_contradicts_itself(
    publisher: Publisher,
    bucket: Bucket,
    inside: bool,  # noqa: FBT001 - a table
) -> None:
    image = out_of_order()
    root = index_of([entry(image, "linux/amd64")], image) if inside else image

    with pytest.raises(InvalidArchiveError, match="contradicts itself") as failure:
        publisher.publish(bucket.put("saved.tar", tar_of(layout_of((root, {})))), "1")

    assert failure.value.hint == "Docker 25.0.0 wrote such archives; save the image again with another version"
    assert publisher.is_empty()


def test_ignores_referrer_tags_that_resolve_to_the_image_itself(
    publisher: Publisher, upstream: UpstreamRegistry
) -> None:
    """GitLab's registry resolves them so. No bogus tags are published."""
    image = upstream.push(two_platforms(), "1")
    for each in (image, *image.children):
        for suffix in ("", ".sig", ".att", ".sbom"):
            upstream.manifests[tag_of(each, suffix)] = (each.manifest, each.media_type)

    publisher.publish({"Image": {"Reference": f"{upstream.host}/team/app:1"}}, "1", IncludeReferrers="true")

    assert resolve_tags(publisher.sandbox, "acme/agent") == {"1": image.digest}


@pytest.mark.parametrize("what", ["another image", "another index", "a manifest", "a Docker list", "others' referrers"])
def test_a_referrers_tag_counts_only_if_it_is_a_list_of_referrers(
    publisher: Publisher, upstream: UpstreamRegistry, what: str
) -> None:
    image = upstream.push(two_platforms(), "1")
    signature = artifact("signature", b"1", subject=image)
    other = build_image({"other": b"image"})
    docker = "application/vnd.docker.distribution.manifest.list.v2+json"
    bogus = {
        "another image": other,
        "another index": two_platforms("another"),
        "a manifest": signature,
        "a Docker list": Image(
            manifest=list_of(signature).manifest.replace(INDEX.encode(), docker.encode()),
            media_type=docker,
            children=(signature,),
        ),
        "others' referrers": list_of(artifact("signature", b"1", subject=other)),
    }[what]
    upstream.push(bogus, tag_of(image))

    publisher.publish({"Image": {"Reference": f"{upstream.host}/team/app:1"}}, "1", IncludeReferrers="true")

    assert resolve_tags(publisher.sandbox, "acme/agent") == {"1": image.digest}


def test_copies_the_referrers_of_a_mixed_list_without_its_tag(publisher: Publisher, upstream: UpstreamRegistry) -> None:
    image = upstream.push(two_platforms(), "1")
    signature = artifact("signature", b"1", subject=image)
    upstream.push(list_of(signature, build_image({"other": b"image"})), tag_of(image))

    publisher.publish({"Image": {"Reference": f"{upstream.host}/team/app:1"}}, "1", IncludeReferrers="true")

    assert referrers(publisher, image) == {signature.digest}
    assert resolve_tags(publisher.sandbox, "acme/agent") == {"1": image.digest}


@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom"])
def test_a_signature_tag_counts_only_if_it_is_a_manifest(
    publisher: Publisher, upstream: UpstreamRegistry, suffix: str
) -> None:
    image = upstream.push(two_platforms(), "1")
    upstream.push(two_platforms("another"), tag_of(image, suffix))

    publisher.publish({"Image": {"Reference": f"{upstream.host}/team/app:1"}}, "1", IncludeReferrers="true")

    assert resolve_tags(publisher.sandbox, "acme/agent") == {"1": image.digest}


def test_the_plan_has_the_tags_of_referrers(publisher: Publisher, capsys: pytest.CaptureFixture[str]) -> None:
    image = publisher.push(two_platforms(), "v1")
    publisher.push(artifact("signature", b"1"), tag_of(image, ".sig"))

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert f"put 1 manifests that refer to it (tags {tag_of(image, '.sig')})" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "status", "error", "said"),
    [
        (
            "/manifests/{child}",
            403,
            AccessError,
            "registry {host} returned 403 (the index {root} lists {child})",
        ),
        ("/manifests/{child}", 503, UnavailableError, "registry {host} returned 503 (the index {root} lists {child})"),
        ("/manifests/{root}", 403, AccessError, "registry {host} returned 403 ({host}/team/app@{root})"),
        ("/blobs/{blob}", 404, NotFoundError, "registry {host} returned 404 ({host}/team/app@{blob})"),
        ("/referrers/{root}", 503, UnavailableError, "registry {host} returned 503 ({host}/team/app@{root})"),
    ],
)
def test_the_error_names_the_child_and_its_parent(
    publisher: Publisher, upstream: UpstreamRegistry, path: str, status: int, error: type[ImageError], said: str
) -> None:
    image = upstream.push(two_platforms(), "1")
    child = image.children[1]
    names = {"host": upstream.host, "root": image.digest, "child": child.digest, "blob": next(iter(child.blobs))}

    def behaviour(request: object) -> bool:
        broken = str(request.path).endswith(path.format(**names))  # type: ignore[attr-defined]
        if broken:
            send(request, status)  # type: ignore[arg-type]
        return broken

    upstream.behaviour = behaviour
    reference = f"{upstream.host}/team/app@{image.digest}"

    with pytest.raises(error) as failure:
        publisher.publish({"Image": {"Reference": reference}}, "1", IncludeReferrers="true")

    assert said.format(**names) in failure.value.message
    assert publisher.is_empty()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            b'"digest": "',
            b'"digest": "sha256:00", "digest": "',
            "the key 'digest' is duplicated with different values",
        ),
        (b'"manifests"', b'"Manifests": [], "manifests"', "'Manifests' is a key that some clients read as manifests"),
        (b'"digest": "', b'"DIGEST": "sha256:00", "digest": "', r"DIGEST' is a key that some clients read as digest"),
        (b'"os": ', b'"O\xc5\xbf": "windows", "os": ', "is a key that some clients read as os"),
        (
            b'"mediaType": ',
            b'"MediaType": "x", "mediaType": ',
            "MediaType' is a key that some clients read as mediaType",
        ),
    ],
)
def test_refuses_a_key_that_clients_read_differently(
    publisher: Publisher, upstream: UpstreamRegistry, old: bytes, new: bytes, said: str
) -> None:
    content = two_platforms().manifest.replace(old, new, 1)
    assert content != two_platforms().manifest
    upstream.manifests["1"] = (content, INDEX)

    with pytest.raises(InvalidManifestError, match=said):
        publisher.publish({"Image": {"Reference": f"{upstream.host}/team/app:1"}}, "1")


def test_accepts_a_duplicate_key_with_the_same_value(publisher: Publisher, upstream: UpstreamRegistry) -> None:
    image = upstream.push(two_platforms(), "1")
    twice = Image(
        manifest=image.manifest.replace(b'"schemaVersion"', b'"schemaVersion": 2, "schemaVersion"', 1),
        media_type=INDEX,
        children=image.children,
    )
    upstream.push(twice, "2")

    publisher.publish({"Image": {"Reference": f"{upstream.host}/team/app:2"}}, "1")

    assert publisher.pull("1").manifest == twice.manifest
