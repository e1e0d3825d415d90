"""The images of an archive, the selection of one, and clear messages about invalid archives."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.archive import Archive, docker, open_archive
from lambda_handler.errors import ImageError, IntegrityError, InvalidArchiveError, NotFoundError
from lambda_handler.oci import Descriptor, Digest, Manifest
from tests.support.archives import CONTAINERD_NAME, NAME, MemoryObject, layout_of, saved, tar_of

ONE, TWO, THREE = (build_image({"etc/n": text}) for text in (b"1", b"2", b"3"))
BOTH = build_image({"a": b"1"}, platforms=("linux/amd64", "linux/arm64"))
OCI = "application/vnd.oci.image.manifest.v1+json"
GZIP, ZSTD = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"


def opened(files: Mapping[str, bytes], pack: Callable[[bytes], bytes] = bytes, **more: Any) -> Archive:
    return open_archive(MemoryObject(pack(tar_of(files, **more))))


def referrer_of(image: Image, **more: Any) -> Image:
    """Return, for example, a signature of *image*."""
    subject = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    content = json.dumps({**json.loads(THREE.manifest), "subject": subject, **more}).encode()
    return Image(manifest=content, media_type=OCI, blobs=THREE.blobs)


def blob(archive: Archive, descriptor: Descriptor) -> bytes:
    return b"".join(archive.blob(descriptor))


def layer(content: bytes = b"layer") -> bytes:
    return tar_of({"file": content})


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_reads_manifests_and_blobs_of_a_layout_byte_for_byte(pack: Callable[[bytes], bytes], prefix: str) -> None:
    files = {prefix + path: content for path, content in layout_of((BOTH, {})).items()}

    archive = opened(files, pack)
    root = archive.find("")

    assert (root.content, root.media_type) == (BOTH.manifest, BOTH.media_type)
    for child, image in zip(root.children, BOTH.children, strict=True):
        manifest = archive.listed(child)
        assert manifest.content == image.manifest
        assert [blob(archive, found) for found in manifest.blobs] == list(image.blobs.values())


def test_a_manifest_without_a_media_type_takes_that_of_its_index_entry() -> None:
    data = json.loads(ONE.manifest)
    del data["mediaType"]
    child = Image(manifest=json.dumps(data).encode(), media_type=OCI, blobs=ONE.blobs)
    entry = {"mediaType": OCI, "digest": child.digest, "size": len(child.manifest)}
    index = {"schemaVersion": 2, "manifests": [entry]}
    whole = Image(
        manifest=json.dumps(index).encode(), media_type="application/vnd.oci.image.index.v1+json", children=(child,)
    )

    archive = opened(layout_of((whole, {})))

    assert archive.listed(archive.find("").children[0]).media_type == OCI


FULL = "docker.io/library/agent:1.4"
SEVERAL = layout_of(
    (ONE, {CONTAINERD_NAME: FULL, NAME: "1.4"}),
    (TWO, {CONTAINERD_NAME: "docker.io/library/other:1.4", NAME: "1.4"}),
    (BOTH, {NAME: "ghcr.io/acme/agent:edge"}),
    (BOTH, {NAME: "agent"}),
)


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        (FULL, ONE),
        ("agent:1.4", ONE),
        ("library/other:1.4", TWO),
        (TWO.digest, TWO),
        ("edge", BOTH),
        ("agent:edge", BOTH),
        ("ghcr.io/acme/agent:edge", BOTH),
        ("agent", BOTH),
    ],
)
def test_finds_an_image_by_name_by_the_end_of_a_name_or_by_digest(reference: str, image: Image) -> None:
    assert opened(SEVERAL).find(reference).content == image.manifest


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (
            "",
            "contains 3 images, and no reference selects one of them; its images are: docker",
        ),
        ("1.4", "contains 2 images named '1.4'; its images are"),
        ("4", "contains no image named '4'"),
        ("gent:1.4", "contains no image named 'gent:1.4'"),
        ("sha256:" + "0" * 64, "contains no image named 'sha256:000"),
    ],
)
def test_refuses_a_reference_that_matches_no_image_or_several(reference: str, said: str) -> None:
    with pytest.raises(InvalidArchiveError, match=said) as failure:
        opened(SEVERAL).find(reference)

    for listed in (ONE.digest, TWO.digest, f"ghcr.io/acme/agent:edge = agent ({BOTH.digest})"):
        assert listed in str(failure.value)


def test_truncates_a_long_list_of_images() -> None:
    images = [build_image({"etc/n": str(number).encode()}) for number in range(13)]

    with pytest.raises(InvalidArchiveError, match=r"contains 13 images.* and 3 more"):
        opened(layout_of(*((image, {NAME: "x"}) for image in images))).find("")


def test_the_same_image_under_two_names_counts_once() -> None:
    archive = opened(layout_of((ONE, {NAME: "1.4"}), (ONE, {NAME: "latest"}), (ONE, {})))

    assert archive.find("").content == archive.find("latest").content == ONE.manifest


def test_never_selects_a_referrer_instead_of_its_image() -> None:
    signature = referrer_of(ONE)
    tagged = {NAME: ONE.digest.replace(":", "-") + ".sig"}
    archive = opened(layout_of((signature, {}), (ONE, {}), (TWO, tagged)))

    assert archive.find("").content == ONE.manifest
    assert archive.find(signature.digest).content == signature.manifest


def test_finds_the_referrers_of_an_image() -> None:
    signature, tag = referrer_of(ONE), ONE.digest.replace(":", "-")
    archive = opened(layout_of((ONE, {NAME: "1"}), (signature, {}), (TWO, {NAME: tag})))

    assert [entry.digest for entry in archive.referrers(Digest(ONE.digest))] == [Digest(signature.digest)]
    assert archive.referrers(Digest(TWO.digest)) == ()
    found = archive.tagged(tag)
    assert found is not None
    assert found.content == TWO.manifest
    assert archive.tagged("none") is None
    assert (archive.has_tag(tag), archive.has_tag("none")) == (True, False)


def test_selects_a_referrer_if_it_is_the_only_image() -> None:
    signature = referrer_of(ONE)

    assert opened(layout_of((signature, {}))).find("").content == signature.manifest


def test_ignores_index_entries_of_other_media_types() -> None:
    files = layout_of((ONE, {}))
    index = json.loads(files["index.json"])
    index["manifests"].append({**index["manifests"][0], "mediaType": "text/xml", "digest": "sha256:" + "1" * 64})
    files["index.json"] = json.dumps(index).encode()

    assert opened(files).find("").content == ONE.manifest


def without(files: Mapping[str, bytes], text: str) -> dict[str, bytes]:
    return {path: content for path, content in files.items() if text not in path}


def with_index(**fields: Any) -> dict[str, bytes]:
    files = layout_of((ONE, {}))
    return {**files, "index.json": json.dumps({**json.loads(files["index.json"]), **fields}).encode()}


def with_manifest(image: Image) -> bytes:
    return tar_of({**layout_of((ONE, {})), f"blobs/sha256/{ONE.digest[7:]}": image.manifest})


def with_saved(**fields: Any) -> bytes:
    files = saved(layer())
    return tar_of(
        {**files, "manifest.json": json.dumps([{**json.loads(files["manifest.json"])[0], **fields}]).encode()}
    )


CONFIG = next(iter(saved(layer())))
BROKEN: dict[str, tuple[Callable[[], bytes], type[ImageError], str]] = {
    "other files": (
        lambda: tar_of({"a": b"1"}),
        InvalidArchiveError,
        "contains neither an OCI image layout .* nor docker save output",
    ),
    "no layout file": (lambda: tar_of(without(layout_of((ONE, {})), "oci-l")), InvalidArchiveError, "contains neither"),
    "zstd": (lambda: b"\x28\xb5\x2f\xfd" + b"0" * 99, InvalidArchiveError, "is compressed with zstd; expected a tar"),
    "xz": (lambda: b"\xfd7zXZ\0" + b"0" * 99, InvalidArchiveError, "is compressed with xz"),
    "zip": (lambda: b"PK\x03\x04" + b"0" * 99, InvalidArchiveError, "is a zip file"),
    "gzip of something else": (lambda: gzip.compress(b"text" * 999), InvalidArchiveError, "is not a tar file"),
    "truncated gzip": (
        lambda: gzip.compress(tar_of(SEVERAL))[:-900],
        IntegrityError,
        "is truncated: the gzip stream is incomplete",
    ),
    "version": (
        lambda: tar_of({**SEVERAL, "oci-layout": b'{"imageLayoutVersion": "2"}'}),
        InvalidArchiveError,
        "has the version '2'; only 1.0.0 is supported",
    ),
    "no version": (lambda: tar_of({**SEVERAL, "oci-layout": b"[]"}), InvalidArchiveError, "has no imageLayoutVersion"),
    "long version": (
        lambda: tar_of({**SEVERAL, "oci-layout": b" " * 5000}),
        InvalidArchiveError,
        "oci-layout in s3://bucket/image.tar has 5000 bytes; at most 4096",
    ),
    "long index": (
        lambda: tar_of({**SEVERAL, "index.json": b" " * (2**22 + 1)}),
        InvalidArchiveError,
        "index.json in s3://bucket/image.tar has 4194305 bytes",
    ),
    "invalid index": (
        lambda: tar_of({**SEVERAL, "index.json": b"{"}),
        InvalidArchiveError,
        "index.json in .*: the mani",
    ),
    "huge index": (
        lambda: tar_of(with_index(manifests=json.loads(with_index()["index.json"])["manifests"] * 2001)),
        InvalidArchiveError,
        "index.json in s3://bucket/image.tar lists 2001 images",
    ),
    "sha512": (
        lambda: tar_of(with_index(manifests=[{"mediaType": OCI, "digest": "sha512:" + "0" * 128, "size": 1}])),
        InvalidArchiveError,
        r"index.json in .*manifests\[0\].digest: 'sha512:",
    ),
    "missing manifest": (
        lambda: tar_of(without(layout_of((ONE, {})), ONE.digest[7:])),
        NotFoundError,
        "does not contain blobs/",
    ),
    "wrong manifest": (lambda: with_manifest(TWO), IntegrityError, f"the manifest has the digest {TWO.digest}"),
    "not a list": (
        lambda: tar_of({"manifest.json": b'{"a": 1}'}),
        InvalidArchiveError,
        "is not a list of images in the format of docker",
    ),
    "config that is not a string": (
        lambda: tar_of({"manifest.json": b'[{"Config": 1}]'}),
        InvalidArchiveError,
        "is not a list of images",
    ),
    "missing config": (lambda: tar_of(without(saved(layer()), CONFIG)), NotFoundError, "does not contain"),
    "missing layer": (lambda: tar_of(without(saved(layer()), "layer.tar")), NotFoundError, "does not contain"),
    "too few layers": (lambda: with_saved(Layers=[]), InvalidArchiveError, "has 1 diff ids, but manifest.json lists 0"),
    "layers in a string": (lambda: with_saved(Layers="a"), InvalidArchiveError, "is not a list of images"),
    "too many layers": (
        lambda: with_saved(Layers=["a"] * 1001),
        InvalidArchiveError,
        "or an image with more than 1000 layers",
    ),
    "invalid config": (
        lambda: tar_of({**saved(layer()), CONFIG: b'{"rootfs": {"diff_ids": ["x"]}}'}),
        InvalidArchiveError,
        "is not an image config: it has no diff ids",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_refuses_an_invalid_archive(kind: str) -> None:
    make, error, said = BROKEN[kind]

    with pytest.raises(error, match=said) as failure:
        open_archive(MemoryObject(make())).find("")

    assert type(failure.value) is error


def test_says_if_the_images_are_one_folder_down() -> None:
    files = {f"image/{path}": content for path, content in layout_of((ONE, {})).items()}

    with pytest.raises(InvalidArchiveError) as failure:
        opened(files)

    assert "archive the content of that folder: tar -C image -cf image.tar ." in failure.value.explain()


def test_refuses_a_blob_that_is_missing_or_has_the_wrong_size() -> None:
    files = layout_of((ONE, {}))
    config, packed = Manifest.parse(ONE.manifest).blobs
    files[f"blobs/sha256/{packed.digest.hex}"] += b"more"
    archive = opened(without(files, config.digest.hex))

    with pytest.raises(IntegrityError, match=f"has {packed.size + 4} bytes, but its descriptor says {packed.size}"):
        blob(archive, packed)
    with pytest.raises(NotFoundError, match="does not contain blobs/sha256/"):
        blob(archive, config)


def test_refuses_a_blob_that_is_truncated_by_the_end_of_the_archive() -> None:
    """Headers show where a tar file ends, so this happens only if the object shrinks."""
    stored = MemoryObject(tar_of(layout_of((ONE, {}))))
    archive = open_archive(stored)
    config = archive.find("")
    stored.content = stored.content[: stored.content.index(b"diff_ids")]

    with pytest.raises(IntegrityError, match=r"is truncated: .* bytes of blobs/sha256/.* are missing"):
        blob(archive, config.blobs[0])


def test_converts_a_docker_save_archive_as_documented() -> None:
    first, second = layer(b"1"), layer(b"2")
    files = saved(first, second)
    config = files[next(iter(files))]

    archive = opened(files)
    manifest = archive.find("agent:1.4")

    assert json.loads(manifest.content) == {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": str(Digest.of(config)),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": str(Digest.of(content)),
                "size": len(content),
            }
            for content in (first, second)
        ],
    }
    assert [blob(archive, found) for found in manifest.blobs] == [config, first, second]
    assert archive.manifest(manifest.digest) == manifest
    assert manifest == opened(files, gzip.compress).find("")


def test_the_digest_of_a_docker_save_image_never_changes() -> None:
    """If a new release of this package wrote a different manifest, every such image would be published again."""
    config = b'{"rootfs":{"type":"layers","diff_ids":[]}}'
    files = {"c.json": config, "manifest.json": b'[{"Config":"c.json","RepoTags":null,"Layers":[]}]'}

    found = str(opened(files).find("").digest)

    assert found == "sha256:4a95c5206158659aa592292ca9134b3e30e2dc7f0283c8b63c95e4c6a5223bfa"


@pytest.mark.parametrize(("magic", "media_type"), [(None, GZIP), (b"\x28\xb5\x2f\xfd rest", ZSTD)])
def test_a_compressed_layer_stays_compressed_and_is_hashed(magic: bytes | None, media_type: str) -> None:
    files = saved(layer(), packed=True)
    path = next(name for name in files if name.endswith(".tar.gz"))
    files[path] = magic or files[path]

    (found,) = opened(files).find("").blobs[1:]

    digest = f"sha256:{hashlib.sha256(files[path]).hexdigest()}"
    assert (found.media_type, str(found.digest), found.size) == (media_type, digest, len(files[path]))


def test_a_link_to_another_layer_is_followed() -> None:
    """Docker wrote such links if an image had the same layer twice."""
    same, other = layer(b"same"), layer(b"other")
    files = saved(same, other)
    first, second = json.loads(files["manifest.json"])[0]["Layers"]
    twice = saved(same, other, same)
    listed = json.loads(twice["manifest.json"])[0]
    listed["Layers"] = [first, second, "again/layer.tar"]
    twice["manifest.json"] = json.dumps([listed]).encode()

    archive = opened(twice, links={"again/layer.tar": f"../{first}"})

    assert [blob(archive, found) for found in archive.find("").blobs[1:]] == [same, other, same]


@pytest.mark.parametrize(
    ("in_list", "in_tar"), [("./{}", "{}"), ("{}", "./{}"), ("x/../{}", "{}"), (".//{}", "./././{}"), ("/{}", "{}")]
)
def test_accepts_different_spellings_of_the_same_path(in_list: str, in_tar: str) -> None:
    files = saved(layer(b"1"), layer(b"2"))
    (listed,) = json.loads(files["manifest.json"])
    listed["Config"] = in_list.format(listed["Config"])
    listed["Layers"] = [in_list.format(path.replace("/", "//")) for path in listed["Layers"]]
    written = {in_tar.format(path): content for path, content in files.items() if path != "manifest.json"}

    archive = opened({**written, "manifest.json": json.dumps([listed]).encode()})

    assert archive.find("") == opened(files).find("")
    assert [blob(archive, found) for found in archive.find("").blobs[1:]] == [layer(b"1"), layer(b"2")]


def test_finds_docker_save_images_by_tag_or_id() -> None:
    one, two = saved(layer(b"1"), tags=["agent:1", "agent:latest"]), saved(layer(b"2"), tags=["acme/other:1"])
    listed = [*json.loads(one["manifest.json"]), *json.loads(two["manifest.json"])]
    archive = opened({**one, **two, "manifest.json": json.dumps(listed).encode()})
    ids = [str(Digest.of(files[next(iter(files))])) for files in (one, two)]

    assert archive.find("agent:latest") == archive.find("latest") == archive.find(ids[0])
    assert archive.find("other:1") == archive.find(ids[1]) != archive.find(ids[0])
    with pytest.raises(
        InvalidArchiveError, match=f"contains 2 images, .* agent:1 = agent:latest .{ids[0]}., acme/other"
    ):
        archive.find("")
    with pytest.raises(InvalidArchiveError, match="contains 2 images named '1'"):
        archive.find("1")


def test_prefers_an_oci_layout_to_the_docker_save_manifest() -> None:
    both = {**saved(layer()), **layout_of((ONE, {}))}

    assert opened(both).find("").content == ONE.manifest


def test_docker_save_images_have_no_children_and_no_referrers() -> None:
    archive = opened(saved(layer()))

    assert (archive.referrers(Digest(ONE.digest)), archive.tagged("1.4")) == ((), None)
    with pytest.raises(NotFoundError, match="contains no manifests"):
        archive.manifest(Digest(ONE.digest))
    with pytest.raises(NotFoundError, match="does not contain sha256:"):
        blob(archive, Manifest.parse(ONE.manifest).blobs[0])


def test_refuses_too_many_docker_save_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "IMAGES_MAX", 0)

    with pytest.raises(InvalidArchiveError, match="lists more than 0 images"):
        opened(saved(layer()))
