"""Manifests and indexes from a hostile registry are read, or refused with a typed error."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.errors import ImageError, InvalidManifestError
from lambda_handler.oci import MANIFEST_MAX_BYTES, Descriptor, Digest, Manifest, ManifestMediaType, Platform
from lambda_handler.oci.assemble import ATTESTED, assemble_index, filter_index
from tests.fuzz.hostile import JSON, OBJECTS, TEXTS, changed, damaged, outcome, written

DIGESTS = st.binary(max_size=2).map(Digest.of)
PLATFORMS = st.builds(
    Platform,
    st.sampled_from(["linux", "windows", "unknown"]),
    st.sampled_from(["amd64", "arm64", "unknown"]),
    st.sampled_from(["", "v7", "v8"]),
    st.sampled_from(["", "10.0.1"]),
    st.sampled_from([(), ("win32k",)]),
)
ENTRIES = st.builds(
    Descriptor,
    media_type=st.sampled_from(list(ManifestMediaType)).map(str),
    digest=DIGESTS,
    size=st.integers(0, 2**40),
    platform=st.none() | PLATFORMS,
    artifact_type=st.sampled_from(["", "application/x"]),
    annotations=st.dictionaries(st.sampled_from([ATTESTED, "a"]), DIGESTS.map(str) | TEXTS, max_size=2),
)
OCI_INDEXES = st.lists(ENTRIES, min_size=1, max_size=6, unique_by=lambda entry: entry.digest).map(assemble_index)


def descriptor(content: bytes, **more: object) -> dict[str, Any]:
    return {"mediaType": "application/x", "digest": str(Digest.of(content)), "size": len(content), **more}


IMAGE = {
    "schemaVersion": 2,
    "mediaType": ManifestMediaType.OCI_MANIFEST.value,
    "config": descriptor(b"config"),
    "layers": [descriptor(b"one", urls=["https://example.com/one"]), descriptor(b"two", annotations={"a": "b"})],
    "subject": descriptor(b"subject", artifactType="application/y"),
    "annotations": {"a": "b"},
}
INDEX = {
    "schemaVersion": 2,
    "mediaType": ManifestMediaType.OCI_INDEX.value,
    "manifests": [
        descriptor(b"one", platform={"os": "linux", "architecture": "arm64", "variant": "v8"}),
        descriptor(b"two", platform={"os": "windows", "architecture": "amd64", "os.features": ["win32k"]}),
    ],
    "annotations": {"a": "b"},
}
MANIFESTS = st.sampled_from([IMAGE, INDEX])
MEDIA_TYPES = st.sampled_from(["", *ManifestMediaType]) | TEXTS


@settings(max_examples=400)
@given(written(JSON) | written(changed(MANIFESTS)) | damaged(written(MANIFESTS)) | st.binary(), MEDIA_TYPES)
def test_any_bytes_are_parsed_as_a_manifest_or_refused(content: bytes, media_type: str) -> None:
    result = outcome(lambda: Manifest.parse(content, media_type))

    assert isinstance(result, Manifest | InvalidManifestError)
    assert isinstance(result, InvalidManifestError) or result.content == content


@settings(max_examples=300)
@given(changed(st.just(IMAGE["config"])) | OBJECTS)
def test_any_object_is_parsed_as_a_descriptor_or_refused(data: dict[str, object]) -> None:
    assert isinstance(outcome(lambda: Descriptor.from_json(data, "layers[0].")), Descriptor | InvalidManifestError)


@pytest.mark.parametrize("place", ["mediaType", "schemaVersion", "config", "layers", "subject", "x"])
def test_refuses_nesting_of_any_depth(place: str) -> None:
    """Near the interpreter's limit, a value that can still be parsed may be too deep to be printed."""
    limit = sys.getrecursionlimit()
    for depth in (*range(limit - 200, limit), 100_000):
        text = json.dumps({**IMAGE, place: 0}).replace(f'"{place}": 0', f'"{place}": {"[" * depth}{"]" * depth}')
        result = outcome(lambda text=text: Manifest.parse(text.encode()))  # type: ignore[misc]

        assert isinstance(result, InvalidManifestError) or (place == "x" and depth < limit)


@pytest.mark.parametrize(
    "text",
    [
        '{"schemaVersion": 2' + "0" * 5000 + "}",
        '{"schemaVersion": 2, "x": NaN}',
        '{"schemaVersion": 2, "x": -Infinity}',
        "\ufeff{}",
        "[" * MANIFEST_MAX_BYTES,
        "[" + "0," * (MANIFEST_MAX_BYTES // 2 - 1) + "0]",
        " " * (MANIFEST_MAX_BYTES + 1),
    ],
    ids=["number", "nan", "infinity", "bom", "nested", "list", "long"],
)
def test_refuses_json_that_is_nonstandard_or_excessive(text: str) -> None:
    with pytest.raises(InvalidManifestError):
        Manifest.parse(text.encode(), ManifestMediaType.OCI_INDEX)


@pytest.mark.parametrize("size", [2**63, 10**4299, -1, 1.0, True])
def test_refuses_an_impossible_size(size: float) -> None:
    """Python can add such numbers, but cannot print the sum."""
    with pytest.raises(InvalidManifestError, match=r"config\.size is .*; expected a size in bytes"):
        Manifest.parse(json.dumps({**IMAGE, "config": {**descriptor(b"config"), "size": size}}).encode())


@given(st.lists(ENTRIES, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_change_an_index(entries: list[Descriptor], chance: random.Random) -> None:
    shuffled = [*entries, *entries]
    chance.shuffle(shuffled)

    assert assemble_index(entries).content == assemble_index(shuffled).content


@given(OCI_INDEXES)
def test_an_index_lists_its_entries(index: Manifest) -> None:
    assert assemble_index(index.children).content == index.content


@given(st.just(INDEX) | changed(st.just(INDEX)), st.sampled_from(["linux", "windows"]))
def test_filtering_an_index_gives_an_index_or_an_error_and_keeps_the_bytes_if_nothing_changes(
    data: object, os: str
) -> None:
    index = outcome(lambda: Manifest.parse(json.dumps(data).encode()))
    if isinstance(index, ImageError) or not index.is_index:
        return
    filtered = outcome(lambda: filter_index(index, lambda platform: platform.os == os))
    if isinstance(filtered, ImageError):
        return

    assert all(child in index.children for child in filtered.children)
    assert (filtered.content == index.content) == (len(filtered.children) == len(index.children))


@given(OCI_INDEXES, st.sampled_from(["linux", "windows"]))
def test_filtering_keeps_only_the_chosen_platforms_and_their_attestations(index: Manifest, os: str) -> None:
    images = [
        child
        for child in index.children
        if child.platform and child.platform.os == os and not child.platform.is_unknown
    ]
    digests = {str(image.digest) for image in images}
    filtered = outcome(lambda: filter_index(index, lambda platform: platform.os == os))

    kept = () if isinstance(filtered, ImageError) else filtered.children
    assert [child for child in index.children if child in images or child.annotations.get(ATTESTED) in digests] == list(
        kept
    )
