"""Images from archives in S3, over real sockets: published completely and byte for byte, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Callable, Mapping

import pytest

from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.errors import (
    AccessError,
    IntegrityError,
    InvalidArchiveError,
    NotFoundError,
    RuleViolationError,
    UnavailableError,
)
from tests.support.archives import NAME, layout_of, saved, tar_of
from tests.support.s3 import BUCKET, Bucket

from .conftest import Publisher, two_platforms
from .test_referrers import artifact, referrers, tag_of

NOISE = random.Random(1).randbytes(3_000_000)  # noqa: S311 - the same bytes in every run


def large() -> Image:
    """Return an index with a layer of about 3 MB that does not compress."""
    return build_image({"noise": NOISE}, platforms=("linux/amd64", "linux/arm64/v8"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_publishes_an_index_of_a_layout_completely(
    publisher: Publisher, bucket: Bucket, pack: Callable[[bytes], bytes]
) -> None:
    image = large()

    outcome = publisher.publish(bucket.put("image.tar", pack(tar_of(layout_of((image, {}))))), "1", "latest")

    assert publisher.pull("1") == publisher.pull("latest") == image
    assert outcome.data["ImageDigest"] == image.digest


@pytest.mark.parametrize("packed", [False, True])
def test_publishes_a_docker_save_archive_layer_by_layer(publisher: Publisher, bucket: Bucket, *, packed: bool) -> None:
    layers = [tar_of({"a": NOISE}), tar_of({"b": b"2"})]
    files = saved(*layers, packed=packed)

    outcome = publisher.publish(bucket.put("saved.tar", tar_of(files)), "1")

    image = publisher.pull("1")
    assert image.digest == outcome.data["ImageDigest"]
    manifest = json.loads(image.manifest)
    config, *blobs = [image.blobs[blob["digest"]] for blob in (manifest["config"], *manifest["layers"])]
    assert config == files[next(iter(files))]
    assert [gzip.decompress(blob) for blob in blobs] == layers if packed else blobs == layers


def test_publishing_the_same_archive_again_writes_nothing(publisher: Publisher, bucket: Bucket) -> None:
    source = bucket.put("saved.tar", tar_of(saved(tar_of({"a": b"1"}))))
    publisher.publish(source, "1")
    publisher.sandbox.requests.clear()

    publisher.publish(source, "1")

    assert publisher.sandbox.requests.count("StartUpload") == 0
    assert publisher.puts() == [("1", "ImageAlreadyExistsException")]


def test_publishes_the_selected_image_of_an_archive_with_several(publisher: Publisher, bucket: Bucket) -> None:
    first, second = two_platforms("1"), two_platforms("2")
    source = bucket.put("two.tar", tar_of(layout_of((first, {NAME: "agent:1"}), (second, {NAME: "agent:2"}))))

    publisher.publish({"Archive": {**as_mapping(source["Archive"]), "Reference": "agent:2"}}, "2")

    assert publisher.pull("2") == second
    with pytest.raises(InvalidArchiveError, match="agent:1"):
        publisher.publish(source, "1")


def test_platforms_can_be_selected_and_required(publisher: Publisher, bucket: Bucket) -> None:
    image = two_platforms()
    source = bucket.put("image.tar", tar_of(layout_of((image, {}))))

    publisher.publish(source, "arm", Platforms=["linux/arm64"])

    assert publisher.pull("arm").children == image.children[1:]
    with pytest.raises(RuleViolationError, match="lacks linux/s390x"):
        publisher.publish(source, "1", RequiredPlatforms=["linux/s390x"])


def test_two_archives_make_an_index(publisher: Publisher, bucket: Bucket) -> None:
    amd, arm = two_platforms().children
    parts = [{"Source": bucket.put(f"{image.digest}.tar", tar_of(layout_of((image, {}))))} for image in (amd, arm)]

    publisher.publish({"Index": {"Manifests": parts}}, "both")

    assert publisher.pull("both").children == (amd, arm)


def test_copies_referrers_from_the_archive(publisher: Publisher, bucket: Bucket) -> None:
    image = two_platforms()
    signature, sbom = artifact("signature", b"1", subject=image), artifact("sbom", b"2")
    tag = tag_of(image, ".sbom")
    source = bucket.put("signed.tar", tar_of(layout_of((image, {NAME: "1"}), (signature, {}), (sbom, {NAME: tag}))))

    publisher.publish(source, "1", IncludeReferrers="true")

    assert publisher.pull("1") == image
    assert publisher.pull(tag) == sbom
    assert referrers(publisher, image) == {signature.digest}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_resumes_a_broken_download(publisher: Publisher, bucket: Bucket, pack: Callable[[bytes], bytes]) -> None:
    image = large()
    source = bucket.put("image.tar", pack(tar_of(layout_of((image, {})))))
    # More failures than one position is retried: progress in between resets the limit.
    bucket.cuts[:] = [0, 70_000] * 10

    publisher.publish(source, "1")

    assert publisher.pull("1") == image
    assert bucket.cuts == []
    assert publisher.clock.slept


def test_a_permanently_broken_download_moves_no_tag(publisher: Publisher, bucket: Bucket) -> None:
    source = bucket.put("image.tar", tar_of(layout_of((large(), {}))))
    bucket.cuts[:] = [0] * 1000

    with pytest.raises(UnavailableError, match="s3:GetObject failed"):
        publisher.publish(source, "1")

    assert publisher.is_empty()


@pytest.mark.parametrize("get", [2, 6])
def test_refuses_an_object_that_is_replaced_during_the_download(publisher: Publisher, bucket: Bucket, get: int) -> None:
    source = bucket.put("image.tar", tar_of(layout_of((large(), {}))))
    other = tar_of(layout_of((two_platforms(), {})))

    def replace(number: int) -> None:
        if number == get:
            bucket.put("image.tar", other)

    bucket.before_get = replace

    with pytest.raises(IntegrityError, match="tar was replaced while it was being read") as failure:
        publisher.publish(source, "1")

    assert failure.value.hint == "deploy again"
    assert publisher.is_empty()


def corrupt(content: bytes) -> bytes:
    """Change a byte in the middle of the layer."""
    place = content.index(gzip.compress(b"", mtime=0)[:4]) + len(NOISE) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def without_a_blob(image: Image) -> Mapping[str, bytes]:
    files = layout_of((image, {}))
    lost = f"blobs/sha256/{next(iter(image.children[1].blobs)).removeprefix('sha256:')}"
    return {path: content for path, content in files.items() if path != lost}


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (
            lambda: corrupt(tar_of(layout_of((large(), {})))),
            IntegrityError,
            "the blob sha256:.* received as sha256:",
        ),
        (
            lambda: tar_of(without_a_blob(large())),
            NotFoundError,
            "s3://archives/bad.tar does not contain blobs/sha256/",
        ),
        (lambda: tar_of(layout_of((large(), {})))[:2_000_000], InvalidArchiveError, "is truncated"),
        (lambda: gzip.compress(tar_of(layout_of((large(), {}))))[:-500_000], IntegrityError, "is truncated"),
        (lambda: b"", IntegrityError, "s3://archives/bad.tar is empty"),
        (lambda: b"no archive", InvalidArchiveError, "s3://archives/bad.tar is not a tar file"),
        (
            lambda: tar_of({**saved(b"other"), f"{hashlib.sha256(b'other').hexdigest()}/layer.tar": b"swapped"}),
            IntegrityError,
            "was received as sha256:",
        ),
    ],
    ids=["corrupt", "lost blob", "cut tar", "cut gzip", "empty", "no archive", "swapped layer"],
)
def test_publishes_nothing_from_a_corrupt_archive(
    publisher: Publisher, bucket: Bucket, make: Callable[[], bytes], error: type[Exception], said: str
) -> None:
    source = bucket.put("bad.tar", make())

    with pytest.raises(error, match=said):
        publisher.publish(source, "1")

    assert publisher.is_empty()


@pytest.mark.parametrize("place", [{"Bucket": BUCKET, "Key": "none"}, {"Bucket": "nobody-s-bucket", "Key": "k"}])
def test_reports_a_missing_object(publisher: Publisher, bucket: Bucket, place: Mapping[str, str]) -> None:
    del bucket
    with pytest.raises(NotFoundError, match="s3:GetObject failed: NoSuch"):
        publisher.publish({"Archive": place}, "1")


def test_downloads_only_the_needed_parts(publisher: Publisher, bucket: Bucket) -> None:
    """It opens the object, then reads the format, the list of members, and each file once."""
    image = two_platforms("x", 200_000)
    files = layout_of((image, {}))
    source = bucket.put("image.tar", tar_of({"unused": bytes(5_000_000), **files}))

    publisher.publish(source, "1")

    read = sum(int(last) - int(first) + 1 for first, last in (text[6:].split("-") for text in bucket.ranges))
    assert read < 500_000
    assert bucket.ranges[0] == "bytes=0-0"


def as_mapping(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value


def test_the_error_for_a_denied_object_says_that_it_may_be_missing(publisher: Publisher, bucket: Bucket) -> None:
    """S3 does not distinguish the two for a role without ``s3:ListBucket``."""
    source = bucket.put("image.tar", b"")
    bucket.denies = True

    with pytest.raises(AccessError, match="AccessDenied") as failure:
        publisher.publish(source, "1")

    assert failure.value.hint == (
        "allow s3:GetObject in the role of the handler function; without s3:ListBucket, S3 also denies access to "
        "objects that do not exist"
    )
