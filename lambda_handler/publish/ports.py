"""What publishing needs from the world. Adapters have these shapes; they import nothing from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..oci import Digest, Manifest, Repository


class PublicRepository(Protocol):
    """The ECR Public repository that is published to."""

    @property
    def registry_id(self) -> str:
        """The account id of its registry, or the alias where only that is known."""

    @property
    def name(self) -> str:
        """Its name in that registry, without the alias: ``acme/agent``."""

    @property
    def repository(self) -> Repository:
        """Its address: ``public.ecr.aws/<alias>/<name>``."""

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """Where *tags* point; a tag that does not exist is left out."""

    def has(self, digest: Digest) -> bool:
        """Whether an image of that digest is there, with or without a tag."""

    def read(self, digest: Digest) -> Manifest:
        """
        Read a manifest, exact to the byte.

        Raises:
            NotFoundError: It is not in the repository.
        """

    def put(self, manifest: Manifest, tag: str | None) -> None:
        """
        Store *manifest*, and let *tag* (if any) point to it.

        Succeeds as well when that is so already.

        Raises:
            MissingContentError: A layer or child manifest is not there.
        """


class ObjectReader(Protocol):
    """Objects in S3."""

    def read(self, bucket: str, key: str, limit: int) -> bytes:
        """
        Read a whole object of at most *limit* bytes.

        Raises:
            NotFoundError: There is no such object.
            IntegrityError: It is longer.
        """


class Ports(Protocol):
    """All that a source may resolve itself with."""

    @property
    def destination(self) -> PublicRepository:
        """The repository that is published to."""

    @property
    def objects(self) -> ObjectReader:
        """Objects in S3."""
