"""Removal, when somebody else acts in the same moment."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

from lambda_handler.log import Log
from lambda_handler.oci import Digest
from lambda_handler.publish.remove import Owned, untag
from tests.support.memory import MemoryRepository


@dataclass
class Stale(MemoryRepository):
    """Shows a tag that has just been removed by somebody else."""

    shown: str = "other"

    def tags_of(self, digests: Iterable[Digest]) -> dict[Digest, frozenset[str]]:
        return {digest: tags | {self.shown} for digest, tags in super().tags_of(digests).items()}


def test_an_image_that_loses_its_last_tag_although_it_should_not_is_put_back() -> None:
    repository, stream = Stale(), io.StringIO()
    image = repository.add(b"config", b"layer")
    repository.put(image, "1")

    untag(["1"], Owned(digests=frozenset({image.digest})), repository, Log(stream=stream))

    assert repository.tags == {"1": image.digest}
    assert f"image {image.digest} was put back under 1: it had lost its last tag" in stream.getvalue()
