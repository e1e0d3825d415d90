"""Refuses JSON that two clients would read differently: a duplicate key, or a key in another case."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from cdk_ecrpublic.sandbox.images import build_image
from lambda_handler.archive import open_archive
from lambda_handler.errors import InvalidArchiveError
from tests.support.archives import MemoryObject, layout_of, saved, tar_of

LAYOUT = layout_of((build_image({"a": b"1"}), {}))
SAVED = saved(tar_of({"a": b"1"}))
CONFIG = json.loads(SAVED["manifest.json"])[0]["Config"]

CASES: Mapping[str, tuple[Mapping[str, bytes], str, bytes, bytes]] = {
    "a duplicate version": (LAYOUT, "oci-layout", b"{", b'{"imageLayoutVersion": "2.0.0", '),
    "a version in another case": (LAYOUT, "oci-layout", b"{", b'{"ImageLayoutVersion": "2.0.0", '),
    "an escaped key": (LAYOUT, "index.json", b'"manifests"', b'"m\\u0061nifests": [], "manifests"'),
    "a key with a long s": (LAYOUT, "index.json", b'"manifests"', '"manife\u017fts": [], "manifests"'.encode()),
    "a config in another case": (SAVED, "manifest.json", b'"Config"', b'"config": "other.json", "Config"'),
    "layers in another case": (SAVED, "manifest.json", b'"Layers"', b'"layers": [], "Layers"'),
    "duplicate layers": (SAVED, "manifest.json", b'"Layers"', b'"Layers": [], "Layers"'),
    "diff ids in another case": (SAVED, CONFIG, b'"diff_ids"', b'"Diff_IDs": [], "diff_ids"'),
    "an os in another case": (SAVED, CONFIG, b"{", b'{"OS": "windows", '),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses_keys_that_other_clients_would_read_differently(case: str) -> None:
    files, name, old, new = CASES[case]
    assert old in files[name]
    changed = tar_of({**files, name: files[name].replace(old, new, 1)})

    with pytest.raises(InvalidArchiveError, match=r"is a key that some clients|is duplicated with different values"):
        open_archive(MemoryObject(changed)).find("")


@pytest.mark.parametrize("files", [LAYOUT, SAVED], ids=["a layout", "a docker save"])
def test_accepts_the_same_archive_without_such_keys(files: dict[str, bytes]) -> None:
    assert open_archive(MemoryObject(tar_of(files))).find("").blobs


def test_accepts_unknown_keys() -> None:
    """Docker has written keys that the specification does not have."""
    config = SAVED[CONFIG].replace(b"{", b'{"docker_version": "20", "Size": 3, "container_config": {"OS": "x"}, ', 1)

    assert open_archive(MemoryObject(tar_of({**SAVED, CONFIG: config}))).find("").blobs
