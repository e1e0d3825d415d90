"""The sizes that a source states are checked, also for blobs that the destination already has."""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Callable, Mapping

import pytest

from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.errors import ImageError, IntegrityError, InvalidArchiveError
from tests.support.archives import saved, tar_of
from tests.support.s3 import Bucket

from .conftest import Publisher
from .test_sparse import entry, index_of

Files = Mapping[str, bytes]


def layer(size: int) -> bytes:
    return tar_of({"noise": random.Random(size).randbytes(size)})  # noqa: S311 - not a secret


def longer(image: Image) -> Image:
    """Return the image with a manifest that states seven bytes more for a layer."""
    manifest = json.loads(image.manifest)
    manifest["layers"][0]["size"] += 7
    return Image(manifest=json.dumps(manifest).encode(), media_type=image.media_type, blobs=image.blobs, children=())


def swapped(files: Files, one: str, two: str) -> Files:
    return {**files, one: files[two], two: files[one]}


def truncated(files: Files, one: str, _: str) -> Files:
    return {**files, one: files[one][:-1024]}


@pytest.mark.parametrize("spoil", [swapped, truncated])
def test_checks_sizes_in_a_docker_save_even_if_the_destination_has_the_layers(
    publisher: Publisher, bucket: Bucket, spoil: Callable[[Files, str, str], Files]
) -> None:
    good = saved(layer(20_000), layer(40_000))
    one, two = (name for name in good if name.endswith("layer.tar"))
    publisher.publish(bucket.put("good.tar", tar_of(good)), "0")

    with pytest.raises(IntegrityError, match=r"states \d+ bytes for sha256:\w+, but in the repository it has \d+"):
        publisher.publish(bucket.put("bad.tar", tar_of(spoil(good, one, two))), "1")


@pytest.mark.parametrize(("compress", "name"), [(lzma.compress, "xz"), (lambda _: b"BZh9", "bzip2")])
def test_refuses_a_layer_with_an_unsupported_compression(
    publisher: Publisher, bucket: Bucket, compress: Callable[[bytes], bytes], name: str
) -> None:
    files = saved(layer(2_000))
    (path,) = (name for name in files if name.endswith("layer.tar"))

    with pytest.raises(InvalidArchiveError, match=rf"{path} in .*image.tar is compressed with {name}"):
        publisher.publish(bucket.put("image.tar", tar_of({**files, path: compress(files[path])})), "1")


def test_checks_sizes_from_a_registry_even_if_the_destination_has_the_layers(publisher: Publisher) -> None:
    good = publisher.push(build_image({"etc/text": b"text" * 99}), "good")
    publisher.copy("good", "0")
    publisher.push(longer(good), "bad")

    with pytest.raises(IntegrityError, match="in the repository it has"):
        publisher.copy("bad", "1")


@pytest.mark.parametrize("first", [True, False], ids=["wrong first", "wrong last"])
def test_refuses_two_children_that_state_different_sizes(publisher: Publisher, *, first: bool) -> None:
    good = build_image({"etc/text": b"text" * 99})
    children = [longer(good), good] if first else [good, longer(good)]
    platforms = ("linux/amd64", "linux/arm64")
    listed = [entry(child, platform) for child, platform in zip(children, platforms, strict=True)]
    publisher.push(index_of(listed, *children), "whole")

    with pytest.raises(ImageError, match="another manifest states"):
        publisher.copy("whole", "1")
    assert publisher.is_empty()
