"""The ports of retention: protocols for what it needs from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from ..oci import Digest, Manifest
from .decision import Declared
from .inventory import Image


class RetainedRepository(Protocol):
    """A repository of the caller's own registry. Each method may raise RemoteError."""

    @property
    def registry_id(self) -> str:
        """The account id of its registry."""

    @property
    def name(self) -> str:
        """Its name, without the alias: ``acme/agent``."""

    @property
    def unanswered(self) -> AbstractSet[Digest]:
        """The images whose removal was sent without getting a response."""

    def images(self) -> Iterator[Image]:
        """Yield all images, with and without tags."""

    def manifest(self, digest: Digest) -> Manifest:
        """
        Read a manifest.

        Raises:
            NotFoundError: It does not exist.
        """

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of images. Images that do not exist are omitted."""

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """Return the images that tags point to. Tags that do not exist are omitted."""

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        """Store a manifest, and point *tag* to it if it is not None."""

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[str]]:
        """
        Remove tags from an image, which is deleted with its last tag; tags at other images stay.

        Returns:
            The removed pairs of image and tag; and the tags that stay, because
            an index lists their image.
        """

    def remove_images(self, digests: Sequence[Digest]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[Digest]]:
        """
        Delete images. It is not an error if they do not exist.

        Returns:
            The removed pairs of image and tag, with an empty tag for an image
            without tags; and the images that stay, because an index lists them.
        """


class Declarations(Protocol):
    """What the stacks of the account declare."""

    def read(self) -> Declared:
        """
        Read what is declared in the repository now.

        Raises:
            RemoteError: Something could not be read, or a deployment is in
                progress, so that more may be declared.
        """


class Storage(Protocol):
    """Objects that outlive a run."""

    def read(self, key: str) -> tuple[bytes | None, str]:
        """Return an object and its version; None and an empty version if it does not exist."""

    def write(self, key: str, content: bytes, version: str | None = None) -> bool:
        """
        Store an object.

        Args:
            version: Store it only if the object still has this version.

        Returns:
            Whether it was stored.
        """
