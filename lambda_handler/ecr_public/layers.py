"""
Upload blobs through the layer API of ECR Public.

Configs are uploaded like layers. The parts of one upload must follow on from
each other, so several blobs go up at once, but never several parts of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore import xform_name
from botocore.exceptions import ClientError

from ..aws.errcode import translated
from ..errors import AlreadyThereError, IntegrityError, RejectedError
from ..oci import Descriptor, Digest
from ..retry import Retry
from .parts import GROUP_BYTES, Part, cut, stream_parts

T = TypeVar("T")

LAYER_DIGESTS_MAX = 100
"""The most that one BatchCheckLayerAvailability takes: botocore's ecr-public model."""

PART_MIN_BYTES = 5 * 1024 * 1024
PART_MAX_BYTES = 10 * 1024 * 1024
PARTS_MAX = 1_000
"""Quotas of Amazon ECR Public: parts of 5 MiB (but the last) to 10 MiB, 1,000 for a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The blobs of one repository; others' blobs do not count, wherever they are."""

    client: Any
    registry_id: str
    name: str
    retry: Retry

    def missing(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that the repository does not have."""
        wanted = sorted(set(digests))
        missing: frozenset[Digest] = frozenset()
        for start in range(0, len(wanted), LAYER_DIGESTS_MAX):
            batch = wanted[start : start + LAYER_DIGESTS_MAX]
            missing |= set(batch) - self._available(batch)
        return missing

    def upload(self, blob: Descriptor, content: Iterable[bytes]) -> None:
        """
        Store a blob, whose bytes are read once and never held whole.

        Args:
            blob: Size and digest are checked on the way.
            content: Pieces of any length.

        Raises:
            IntegrityError: The bytes are not what *blob* says; nothing is stored.
            UploadLostError: The service lost the upload; it may be begun again.
            RejectedError: A blob of no bytes, which ECR Public cannot store.
        """
        if blob.size == 0:
            message = f"the blob {blob.digest} is empty, and ECR Public stores no empty blobs"
            raise RejectedError(message, operation="ecr-public:InitiateLayerUpload")
        stream_parts(self.client)
        upload_id = self._call("InitiateLayerUpload", "beginning an upload", lambda answer: str(answer["uploadId"]))
        for part in cut(_verified(blob, content), _part_size(blob.size)):
            self._upload_part(blob, upload_id, part)
        self._complete(blob, upload_id)

    def _upload_part(self, blob: Descriptor, upload_id: str, part: Part) -> None:
        last = part.first + part.size - 1
        parameters = {
            "uploadId": upload_id,
            "partFirstByte": part.first,
            "partLastByte": last,
            "layerPartBlob": part.text,
        }

        def call() -> None:
            with translated("ecr-public:UploadLayerPart"):
                try:
                    self.client.upload_layer_part(**self._repository, **parameters)
                except ClientError as error:
                    # Refused because it arrived before: only the answer to the first attempt was lost.
                    if error.response.get("lastValidByteReceived") != last:
                        raise

        self.retry.call(f"uploading {blob.digest}", call, settle=True)

    def _complete(self, blob: Descriptor, upload_id: str) -> None:
        # Where it is there already, another function or the attempt before this one stored the same bytes.
        with suppress(AlreadyThereError):
            self._call(
                "CompleteLayerUpload",
                f"completing {blob.digest}",
                lambda _: None,
                uploadId=upload_id,
                layerDigests=[str(blob.digest)],
            )

    def _available(self, batch: list[Digest]) -> set[Digest]:
        def read(answer: Mapping[str, Any]) -> set[Digest]:
            layers = answer["layers"]
            return {Digest.parse(each["layerDigest"]) for each in layers if each["layerAvailability"] == "AVAILABLE"}

        digests = [str(digest) for digest in batch]
        return self._call("BatchCheckLayerAvailability", "checking blobs", read, layerDigests=digests)

    def _call(self, operation: str, doing: str, read: Callable[[Mapping[str, Any]], T], **parameters: object) -> T:
        def call() -> T:
            with translated(f"ecr-public:{operation}"):
                return read(getattr(self.client, xform_name(operation))(**self._repository, **parameters))

        return self.retry.call(doing, call, settle=True)

    @property
    def _repository(self) -> dict[str, str]:
        return {"registryId": self.registry_id, "repositoryName": self.name}


def _part_size(size: int) -> int:
    """Return the smallest part that still fits a blob of *size* into 1,000 of them; base64 takes three bytes each."""
    needed = min(size, max(PART_MIN_BYTES, -(-size // PARTS_MAX)))
    return -(-needed // GROUP_BYTES) * GROUP_BYTES


def _verified(blob: Descriptor, content: Iterable[bytes]) -> Iterator[bytes]:
    """Pass *content* on, and refuse it before its last piece is taken if it is not what *blob* says."""
    hasher, size = hashlib.sha256(), 0
    for piece in content:
        hasher.update(piece)
        size += len(piece)
        if size > blob.size:
            message = f"the blob {blob.digest} is longer than the {blob.size} bytes that its manifest says"
            raise IntegrityError(message)
        yield piece
    found = f"sha256:{hasher.hexdigest()}"
    if (size, found) != (blob.size, str(blob.digest)):
        message = f"the blob {blob.digest} of {blob.size} bytes came as {found} of {size} bytes"
        raise IntegrityError(message)
