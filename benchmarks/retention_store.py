"""A sandbox with a repository of very many images, which are written directly into its store."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.journal import Journal
from cdk_ecrpublic.sandbox.operations import Call
from cdk_ecrpublic.sandbox.store.registries import Caller
from cdk_ecrpublic.sandbox.store.state import Repository, StoredImage, StoredTag

from .registries import CONFIG, IMAGE, INDEX, LAYER

REPOSITORY = "acme/agent"

OLDEST_DAYS = 400

_SIZE = 4_000_000
_NOTHING = {"digest": f"sha256:{0:064x}", "size": 2}


@dataclass(slots=True)
class _Tally(Journal):
    """A journal that only counts requests, because there are too many to store."""

    counts: Counter[str] = field(default_factory=Counter)

    def record(self, call: Call, **_others: object) -> None:
        """Count a request."""
        self.counts[call.operation] += 1


class Store:
    """The sandbox. Used as a context manager."""

    def __init__(self) -> None:
        self._sandbox = Sandbox()
        self._tally = _Tally()

    def __enter__(self) -> Self:
        self._sandbox.__enter__()
        self._sandbox.world.requests = self._tally
        self._sandbox.client("ecr-public").create_repository(repositoryName=REPOSITORY)
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.__exit__()

    @property
    def url(self) -> str:
        """The address of its APIs."""
        return self._sandbox.url

    def count_from_now(self) -> None:
        """Discard the counts of requests."""
        self._tally.counts.clear()

    def counted(self) -> Counter[str]:
        """Return the number of requests since then, by operation."""
        return self._tally.counts

    def fill(self, images: int) -> None:
        """Store this number of images, the oldest first: indexes with two children and a signature each."""
        store = self._sandbox.store
        with store.lock:
            repository = store.repository(Caller(account=self._sandbox.account), REPOSITORY)
            for number in range(images // 4):
                pushed = time.time() - 86_400 * OLDEST_DAYS * (1 - number * 4 / images) - 86_400
                children = [_put(repository, _image(f"{number} {each}"), IMAGE, pushed) for each in ("amd64", "arm64")]
                index = _put(repository, _index(children), INDEX, pushed, f"build-{number}", tuple(children))
                _put(repository, _image(f"signature {number}"), IMAGE, pushed, f"sha256-{index.hex}.sig")


def _put(
    repository: Repository,
    content: bytes,
    media_type: str,
    pushed: float,
    tag: str = "",
    children: tuple[Digest, ...] = (),
) -> Digest:
    image = StoredImage(
        content=content,
        digest=Digest.of(content),
        media_type=media_type,
        layers=(),
        children=children,
        subject=None,
        artifact_type="",
        artifact_media_type="",
        annotations={},
        size=_SIZE,
        pushed_at=pushed,
    )
    repository.add_image(image, pushed)
    if tag:
        repository.point(tag, StoredTag(digest=image.digest, created_at=pushed), pushed)
    return image.digest


def _image(name: str) -> bytes:
    blobs = {"config": {"mediaType": CONFIG, **_NOTHING}, "layers": [{"mediaType": LAYER, **_NOTHING}]}
    return json.dumps({"schemaVersion": 2, "mediaType": IMAGE, **blobs, "annotations": {"name": name}}).encode()


def _index(children: list[Digest]) -> bytes:
    listed = [{"mediaType": IMAGE, "digest": str(child), "size": 400} for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
