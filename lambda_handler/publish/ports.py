"""What publishing needs from the world. Adapters have these shapes; they import nothing from here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from ..archive.stored import StoredObject
from ..oci import Descriptor, Digest, Manifest, Reference, Repository

PUT_SECONDS = 15.0
"""How long an image is waited for that was put a moment ago, and perhaps never was: longer than any lag reported."""

GONE_SECONDS = 5.0
"""As long as a removal of the last tag takes to put its image back, or a build's last push to be seen."""


class Origin(Protocol):
    """Where content comes from: a repository, or an archive."""

    def manifest(self, digest: Digest) -> Manifest:
        """
        Read a manifest, exact to the byte.

        Raises:
            NotFoundError: It is not there.
        """

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """
        Stream a blob's bytes, in pieces of at most 1 MiB.

        Whoever reads them checks size and digest, and closes the stream.

        Raises:
            NotFoundError: It is not there.
            UnavailableError: The stream broke off for good; at any piece.
        """


class Lists(Protocol):
    """Holds what indexes list."""

    def listed(self, entry: Descriptor) -> Manifest:
        """
        Read the manifest that an index lists, exact to the byte.

        Raises:
            NotFoundError: It is not there.
            IntegrityError: It has another size, or another digest. No more of it was read than *entry* says.
        """


class Upstream(Origin, Lists, Protocol):
    """An origin other than the destination; it also knows what refers to a manifest."""

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """Return the manifests whose subject is *subject*; none if the registry keeps no list of them."""

    def has_tag(self, tag: str) -> bool:
        """Whether there is such a tag; much less is read than for its manifest."""

    def tagged(self, tag: str) -> Manifest | None:
        """Read the manifest that *tag* points to; None if the tag does not exist."""


class PublicRepository(Origin, Protocol):
    """The ECR Public repository that is published to; as an origin it gives what it holds."""

    @property
    def registry_id(self) -> str:
        """The account id of its registry, or the alias where only that is known."""

    @property
    def name(self) -> str:
        """Its name in that registry, without the alias: ``acme/agent``."""

    @property
    def repository(self) -> Repository:
        """Its address: ``public.ecr.aws/<alias>/<name>``."""

    @property
    def is_own(self) -> bool:
        """Whether its registry is the caller's own, so that all tags of an image can be seen."""

    def manifest(self, digest: Digest, *, wait_seconds: float = 0.0) -> Manifest:
        """
        Read a manifest, exact to the byte.

        Args:
            wait_seconds: How long it is waited for, where it is not seen:
                ``PUT_SECONDS`` if it was put a moment ago, ``GONE_SECONDS``
                if another declaration may be removing its last tag.

        Raises:
            NotFoundError: It is not there.
        """

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """Where *tags* point; a tag that does not exist is left out."""

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that no image of the repository has, with or without a tag."""

    def missing_blobs(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that no blob of the repository has."""

    def upload(self, blob: Descriptor, content: Callable[[], Generator[bytes, None, None]]) -> None:
        """
        Store a blob whose bytes are never held whole.

        Args:
            content: Opens its bytes; asked again when an upload begins again.

        Raises:
            IntegrityError: They are not what *blob* says; nothing is stored.
        """

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        """
        Store *manifest*, and let *tag* (if any) point to it.

        Succeeds as well when that is so already.

        Returns:
            Whether this put it, as far as that is known.

        Raises:
            MissingContentError: A layer or child manifest is not there.
        """

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of those of *digests* that images of the repository have."""

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[str]]:
        """
        Remove tags from an image, which goes with the last of its tags; gone already is fine.

        Returns:
            What was removed, each tag with its image, which may be more than
            what was asked for; and the tags that stay, because an index lists
            their image.
        """

    def remove_images(self, digests: Sequence[Digest]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[Digest]]:
        """
        Delete images; gone already is fine.

        Returns:
            What was removed, each image with each of its tags or an empty
            one; and the images that stay, because an index lists them.
        """


class RemoteRepository(Upstream, Protocol):
    """A repository of any registry."""

    def resolve(self, reference: Reference) -> Manifest:
        """
        Read the manifest that a tag or digest stands for now.

        Raises:
            NotFoundError: There is no such image.
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

    def open(self, bucket: str, key: str) -> StoredObject:
        """
        Open an object to be read by ranges, as it is now.

        Raises:
            NotFoundError: There is no such object.
            IntegrityError: It is empty.
        """


class ParameterStore(Protocol):
    """Small texts that outlive an invocation, by name."""

    def read(self, name: str) -> str | None:
        """Return the text; None when there is none."""

    def write(self, name: str, text: str) -> None:
        """Store a string of at most 4096 bytes."""

    def delete(self, name: str) -> None:
        """Delete a string. It is not an error if it does not exist."""

    def list(self, path: str) -> Mapping[str, str]:
        """Return name and text of all that is directly below *path*."""


class StackHistory(Protocol):
    """What CloudFormation says of a stack; a status may raise a RemoteError."""

    @property
    def is_rolling_back(self) -> bool:
        """Whether a deployment of it, or of the one that it is nested in, is being rolled back."""

    def has_succeeded_since(self, sent: float, *, before_this: bool = False) -> bool | None:
        """
        Whether a deployment of it has succeeded since then; None: not known.

        Args:
            sent: In seconds since the epoch.
            before_this: Ignore the operation that is in progress.
        """


class SourcePorts(Protocol):
    """All that a source is read through."""

    @property
    def destination(self) -> PublicRepository:
        """The repository that is published to."""

    @property
    def objects(self) -> ObjectReader:
        """Objects in S3."""

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RemoteRepository:
        """
        Open a repository of any registry for reading.

        Args:
            credentials_secret_arn: Of a secret with credentials for this very
                registry; empty for none but the function's own role.
        """


class Ports(SourcePorts, Protocol):
    """All that a declaration is resolved, published and remembered with."""

    @property
    def undoing(self) -> PublicRepository:
        """The same repository, with time left to undo when time for the work has run out."""

    @property
    def parameters(self) -> ParameterStore:
        """What is remembered, in the Region of the registry."""

    @property
    def first_parameters(self) -> ParameterStore:
        """What version 0.1 remembered, in the function's own Region."""

    def history(self, stack_id: str) -> StackHistory:
        """Ask about a stack."""
