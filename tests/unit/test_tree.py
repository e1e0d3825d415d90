"""The manifests below an image: reads are limited by the declared sizes, and by limits in total."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from lambda_handler.errors import IntegrityError, InvalidManifestError
from lambda_handler.oci import Descriptor, Digest, Manifest
from lambda_handler.publish import tree
from lambda_handler.publish.content import content_to_copy
from lambda_handler.publish.referrers import with_referrers
from lambda_handler.publish.tree import Allowance, collect_descendants
from tests.support.memory import OCI_INDEX, OCI_MANIFEST, MemoryRepository, image_of


@dataclass
class WatchedRepository(MemoryRepository):
    """Records what was read from it, and how many bytes at once."""

    reads: list[Digest] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    lists: dict[Digest, list[Descriptor]] = field(default_factory=dict)

    def listed(self, entry: Descriptor) -> Manifest:
        with self.lock:
            self.reads.append(entry.digest)
            self.at_once += entry.size
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return super().listed(entry)
        finally:
            with self.lock:
                self.at_once -= entry.size

    def referrers(self, subject: Digest) -> list[Descriptor]:
        return self.lists.get(subject, [])


@pytest.fixture
def origin() -> WatchedRepository:
    return WatchedRepository()


def entry(manifest: Manifest, size: int | None = None) -> dict[str, object]:
    return {
        "mediaType": manifest.media_type.value,
        "digest": str(manifest.digest),
        "size": manifest.size if size is None else size,
    }


def index(*entries: dict[str, object], **more: object) -> Manifest:
    data = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, **more}
    return Manifest.parse(json.dumps(data).encode())


def padded(origin: MemoryRepository, number: int, length: int) -> Manifest:
    """Add an image whose manifest has that length."""
    config = {"mediaType": "a", "digest": str(Digest.of(b"")), "size": 0}
    data = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "number": number, "padding": ""}
    short = json.dumps(data)
    manifest = Manifest.parse(f'{short[:-2]}{"x" * (length - len(short))}"}}'.encode())
    origin.images[manifest.digest] = manifest
    return manifest


@pytest.mark.parametrize("change", [lambda size: size - 1, lambda size: size + 1, lambda _: 2, lambda _: 2**62])
def test_t5_refuses_a_child_of_the_wrong_size_and_names_it_and_its_index(
    origin: WatchedRepository, change: Callable[[int], int]
) -> None:
    child = origin.add(b"config")
    root = index(entry(child, change(child.size)))

    with pytest.raises((IntegrityError, InvalidManifestError)) as failure:
        content_to_copy(root, origin, [])

    if change(0) != 2**62:
        assert failure.value.message.startswith(
            f"the index {root.digest} lists {child.digest} with {change(child.size)} bytes: {child.size} bytes"
        )


def test_t5_the_error_for_a_nested_child_names_its_direct_parent(origin: WatchedRepository) -> None:
    child = origin.add(b"config")
    inner = index(entry(child, 2))
    origin.images[inner.digest] = inner

    with pytest.raises(IntegrityError, match=f"the index {inner.digest} lists {child.digest} with 2 bytes"):
        content_to_copy(index(entry(inner)), origin, [])


def test_t5_refuses_two_sizes_for_one_manifest_before_reading_it(origin: WatchedRepository) -> None:
    child = origin.add(b"config")
    root = index(entry(child), entry(child, 2))

    with pytest.raises(IntegrityError, match=f"with 2 bytes, and elsewhere it has {child.size}"):
        content_to_copy(root, origin, [])

    assert origin.reads == []


def test_t5_refuses_another_size_for_a_manifest_that_was_already_read(origin: WatchedRepository) -> None:
    child = origin.add(b"config")
    inner = index(entry(child, 2))
    origin.images[inner.digest] = inner

    with pytest.raises(IntegrityError, match=f"the index {inner.digest} lists .* and elsewhere it has {child.size}"):
        content_to_copy(index(entry(child), entry(inner)), origin, [])


def test_refuses_too_many_bytes_before_reading_any(origin: WatchedRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MANIFESTS_MAX_BYTES", 2999)
    children = [padded(origin, number, 1000) for number in range(3)]

    with pytest.raises(InvalidManifestError, match="the image has more than 2000 manifests, or 2999 bytes of them"):
        content_to_copy(index(*map(entry, children)), origin, [])

    assert origin.reads == []


def test_counts_the_bytes_of_all_indexes_together(origin: WatchedRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    """That includes siblings of the current index that are read and not yet processed."""
    inner = [index(entry(padded(origin, number, 1000))) for number in range(3)]
    origin.images.update({each.digest: each for each in inner})
    monkeypatch.setattr(tree, "MANIFESTS_MAX_BYTES", sum(each.size for each in inner) + 2999)

    with pytest.raises(InvalidManifestError, match="bytes of them"):
        content_to_copy(index(*map(entry, inner)), origin, [])

    assert len(origin.reads) == 3 + 2


def test_counts_the_layers_of_all_images_together(origin: WatchedRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "REFERENCES_MAX", 10)
    children = [image_of(b"config", b"layer", bytes([number])) for number in range(3)]
    origin.images.update({child.digest: child for child in children})

    with pytest.raises(InvalidManifestError, match="more than 10 layers, configs and manifests in total"):
        content_to_copy(index(*map(entry, children)), origin, [])


def test_does_not_read_long_manifests_concurrently(origin: WatchedRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "BATCH_BYTES", 2500)
    children = [padded(origin, number, length) for number, length in enumerate([1000] * 7 + [4000] + [1000] * 3)]

    collect_descendants(index(*map(entry, children)), origin, {}, Allowance())

    assert origin.reads.index(children[7].digest) == 7
    assert origin.most_at_once <= 4000
    assert len(origin.reads) == len(children)


@pytest.mark.parametrize("sizes", [[], [1], [1] * 9, [5], [5, 1, 5], [9, 9], [1, 1, 1, 1, 1, 1]])
def test_batches_contain_all_entries_in_order(sizes: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "BATCH_BYTES", 5)
    entries = [
        Descriptor(media_type="a", digest=Digest.of(bytes([number])), size=size) for number, size in enumerate(sizes)
    ]

    batches = list(tree._batches(entries))  # noqa: SLF001 - what is read at once

    assert [each for batch in batches for each in batch] == entries
    assert all(batch and (len(batch) == 1 or sum(each.size for each in batch) <= 5) for batch in batches)


def referring(origin: WatchedRepository, image: Manifest, sizes: Sequence[int | None]) -> list[Manifest]:
    """Add signatures of *image* with these declared sizes."""
    signatures = [origin.add(bytes([number])) for number in range(len(sizes))]
    origin.lists[image.digest] = [
        Descriptor(media_type=OCI_MANIFEST, digest=each.digest, size=each.size if size is None else size)
        for each, size in zip(signatures, sizes, strict=True)
    ]
    return signatures


def test_t5_refuses_a_referrer_of_the_wrong_size_and_names_it_and_its_subject(origin: WatchedRepository) -> None:
    image = origin.add(b"config")
    signature, *_ = referring(origin, image, [2])

    with pytest.raises(IntegrityError) as failure:
        with_referrers(content_to_copy(image, origin, []))

    said = f"the list of referrers of {image.digest} lists {signature.digest} with 2 bytes: {signature.size} bytes"
    assert failure.value.message.startswith(said)


def test_counts_the_referrers_of_all_subjects_before_reading_them(
    origin: WatchedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MANIFESTS_MAX", 4)
    images = [origin.add(f"config {number}".encode()) for number in range(3)]
    for image in images:
        referring(origin, image, [None, None])

    with pytest.raises(InvalidManifestError, match="the set of referrers of the image has more than 4 manifests"):
        with_referrers(content_to_copy(index(*map(entry, images)), origin, []))

    assert len(origin.reads) <= 3 + 4


def test_counts_the_manifests_of_referrer_tags_as_soon_as_they_are_read(
    origin: WatchedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = origin.add(b"config")
    for number, suffix in enumerate(("", ".sig", ".att", ".sbom")):
        origin.tags[f"sha256-{image.digest.hex}{suffix}"] = padded(origin, number, 1000).digest
    monkeypatch.setattr(tree, "MANIFESTS_MAX_BYTES", 1999)

    with pytest.raises(InvalidManifestError, match=r"the set of referrers of the image has more than .* 1999 bytes"):
        with_referrers(content_to_copy(image, origin, []))
