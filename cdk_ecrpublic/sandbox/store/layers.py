"""Rules for layers and their uploads. Layers are files and are never held in memory."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from .. import errors
from ..settings import MIB, Settings
from .state import Layer, Repository, Upload

PART_SIZE = 10 * MIB
"""The part size that InitiateLayerUpload suggests, which is also the quota: 10 485 760 bytes."""

PARTS_MAX = 1000
"""Amazon ECR Public user guide, "Service quotas"."""

UPLOAD_SECONDS = 3600.0
"""The lifetime of an unfinished upload. That of the service is not known."""


@dataclass(frozen=True, slots=True)
class LayerStore:
    """
    The layers of one repository.

    Attributes:
        registry: The name of the registry in the request, for messages.
        folder: The folder of the files.
        now: Returns seconds since the epoch.
    """

    repository: Repository
    registry: str
    settings: Settings
    folder: Path
    now: float

    def start(self) -> Upload:
        """Start an upload."""
        identity = str(uuid.uuid4())
        upload = Upload(identity=identity, path=self.folder / f"upload-{identity}", started_at=self.now)
        upload.path.touch()
        self.repository.uploads[identity] = upload
        return upload

    def upload(self, identity: str) -> Upload:
        """
        Return an upload in progress.

        Raises:
            ServiceError: It does not exist, or has expired.
        """
        upload = self.repository.uploads.get(identity)
        if upload is None or self.now - upload.started_at > UPLOAD_SECONDS:
            raise errors.UPLOAD_NOT_FOUND.error(upload=identity, **self._where)
        return upload

    def check_part(self, upload: Upload, first: int) -> None:
        """
        Check that a part directly follows the last one.

        Raises:
            ServiceError: It does not, or there are already 1000 parts.
        """
        if first != upload.size:
            self._refuse_part(upload, f"First byte of the layer part is {first} instead of {upload.size}")
        if len(upload.parts) >= PARTS_MAX:
            raise errors.PART_LIMIT.error(upload=upload.identity, limit=PARTS_MAX)

    def add_part(self, identity: str, first: int, last: int, content: bytes) -> Upload:
        """
        Add a part, given the positions of its first and last byte (inclusive).

        Raises:
            ServiceError: It does not directly follow the last part, or its size is wrong.
        """
        upload = self.upload(identity)
        self.check_part(upload, first)
        if len(content) != last - first + 1:
            self._refuse_part(upload, f"The layer part has {len(content)} bytes instead of {last - first + 1}")
        if self.settings.strict_part_size and len(content) > PART_SIZE:
            self._refuse_part(upload, f"The layer part has {len(content)} bytes, more than {PART_SIZE}")
        with PartWriter(upload) as part:
            part.write(content)
        return upload

    def complete(self, identity: str, digests: Sequence[str]) -> Layer:
        """
        Complete an upload, which creates the layer.

        Args:
            digests: The digests in the request; one must match.

        Raises:
            ServiceError: The errors of CompleteLayerUpload.
        """
        upload = self.upload(identity)
        if not upload.size:
            raise errors.EMPTY_UPLOAD.error(upload=identity, **self._where)
        if upload.size > self.settings.layer_max_bytes:
            raise errors.LAYER_LIMIT.error(upload=identity, limit=self.settings.layer_max_bytes)
        if any(size < self.settings.min_part_bytes for size in upload.parts[:-1]):
            raise errors.PART_TOO_SMALL.error()
        digest = Digest("sha256:" + upload.hasher.hexdigest())
        if str(digest) not in digests:
            raise errors.INVALID_LAYER.error()
        if digest in self.repository.layers:
            upload.path.unlink()
            del self.repository.uploads[identity]
            raise errors.LAYER_EXISTS.error(digest=digest, **self._where)
        path = upload.path.replace(self.folder / f"layer-{digest.hex}")
        self.repository.layers[digest] = layer = Layer(digest=digest, size=upload.size, path=path)
        del self.repository.uploads[identity]
        return layer

    @property
    def _where(self) -> dict[str, str]:
        return {"name": self.repository.name, "registry": self.registry}

    def _refuse_part(self, upload: Upload, reason: str) -> None:
        raise errors.INVALID_PART.error(
            reason=reason,
            registryId=self.repository.account,
            repositoryName=self.repository.name,
            uploadId=upload.identity,
            lastValidByteReceived=max(upload.size - 1, 0),
        )


class PartWriter:
    """
    Appends one part to an upload, piece by piece. An interrupted part is discarded.

    Use it as a context manager.
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._hasher = upload.hasher.copy()
        self._size = 0
        self._file = upload.path.open("ab")

    def write(self, piece: bytes) -> None:
        """Append bytes."""
        self._file.write(piece)
        self._hasher.update(piece)
        self._size += len(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None and self._size:
            self._upload.parts.append(self._size)
            self._upload.hasher = self._hasher
        elif kind is not None:
            self._file.truncate(self._upload.size)
        self._file.close()
