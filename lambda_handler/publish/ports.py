"""The ports: protocols for what publishing needs from outside. Adapters satisfy them without importing them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Protocol

from ..oci import Descriptor, Digest, Manifest, PrivateEcr, Reference, Repository

if TYPE_CHECKING:
    from ..archive.stored import StoredObject
    from .findings import Scan

PUT_SECONDS = 15.0
"""How long to wait for an image that may just have been put. Longer than any lag of reads that was reported."""

GONE_SECONDS = 5.0
"""How long to wait for an image that a removal is about to put back, or that a build has just pushed."""


class Origin(Protocol):
    """A place from which content can be read: a repository or an archive."""

    def manifest(self, digest: Digest) -> Manifest:
        """
        Read a manifest, byte for byte.

        Raises:
            NotFoundError: It does not exist.
        """

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """
        Stream a blob in pieces of at most 1 MiB.

        The caller checks its size and digest, and closes the stream.

        Raises:
            NotFoundError: It does not exist.
            UnavailableError: The stream broke and could not be resumed. Any piece may raise it.
        """


class ChildReader(Protocol):
    """A place from which the children of an index can be read."""

    def listed(self, entry: Descriptor) -> Manifest:
        """
        Read a manifest that an index lists, byte for byte, and at most as much as *entry* says.

        Raises:
            NotFoundError: It does not exist.
            IntegrityError: It has another size or digest than *entry* says.
        """


class Upstream(Origin, ChildReader, Protocol):
    """An origin to copy from; it also has tags and referrers."""

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """Return the manifests whose subject is *subject*; none if the registry has no referrers API."""

    def has_tag(self, tag: str) -> bool:
        """Whether a tag exists, without reading its manifest."""

    def tagged(self, tag: str) -> Manifest | None:
        """Read the manifest that *tag* points to; None if the tag does not exist."""


class PublicRepository(Origin, Protocol):
    """The destination: an ECR Public repository. Its content can also be read, as from any origin."""

    @property
    def registry_id(self) -> str:
        """The account id of its registry, or the alias if only that is known."""

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
        Read a manifest, byte for byte.

        Args:
            wait_seconds: How long to wait for a manifest that is not visible:
                ``PUT_SECONDS`` if it may just have been put, ``GONE_SECONDS``
                if another resource may be removing its last tag.

        Raises:
            NotFoundError: It does not exist.
        """

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """Return the digests of tags. Tags that do not exist are omitted."""

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return the digests of which the repository has no image, with or without a tag."""

    def blob_sizes(self, digests: Iterable[Digest]) -> Mapping[Digest, int | None]:
        """Return the digests of which the repository has a blob, each with its size in bytes; None if not known."""

    def upload(self, blob: Descriptor, content: Callable[[], Generator[bytes, None, None]]) -> None:
        """
        Upload a blob as a stream.

        Args:
            content: Opens the stream. It is called again if the upload starts over.

        Raises:
            IntegrityError: The content has another size or digest than *blob* says; nothing was stored.
        """

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        """
        Store a manifest, and point *tag* to it if it is not None.

        If that is already so, the call succeeds.

        Returns:
            Whether this call made the change, as far as that is known.

        Raises:
            MissingContentError: The repository lacks a layer or child.
        """

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of images. Images that do not exist are omitted."""

    def tags_read(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of images, each read once, so that they may be old; none without the right to see all."""

    def known_tags(self, digest: Digest) -> frozenset[str]:
        """Return those tags of an image that were read so far; without a request."""

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[str]]:
        """
        Remove tags from an image. ECR Public deletes the image with its last tag.

        It is not an error if they do not exist.

        Returns:
            The removed pairs of image and tag, which may be more than were
            requested; and the tags that stay, because an index lists their
            image.
        """

    def remove_images(self, digests: Sequence[Digest]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[Digest]]:
        """
        Delete images. It is not an error if they do not exist.

        Returns:
            The removed pairs of image and tag, with an empty tag for an image
            without tags; and the images that stay, because an index lists them.
        """


class RemoteRepository(Upstream, Protocol):
    """A repository of any registry."""

    def resolve(self, reference: Reference) -> Manifest:
        """
        Read the manifest of a tag or digest.

        Raises:
            NotFoundError: The image does not exist.
        """


class ObjectReader(Protocol):
    """Objects in S3."""

    def read(self, bucket: str, key: str, limit: int) -> bytes:
        """
        Read a whole object of at most *limit* bytes.

        Raises:
            NotFoundError: The object does not exist.
            IntegrityError: It is longer.
        """

    def open(self, bucket: str, key: str) -> StoredObject:
        """
        Open the current version of an object for range requests.

        Raises:
            NotFoundError: The object does not exist.
            IntegrityError: It is empty.
        """


class ScanReader(Protocol):
    """The scan findings of images in private ECR."""

    def scan(self, registry: PrivateEcr, name: str, image: Digest) -> Scan:
        """
        Return the scan of an image, by the digest of the image of one platform. A scan that is under way is awaited.

        Args:
            registry: The registry.
            name: The name of the repository.

        Raises:
            NotFoundError: The repository or the image does not exist.
            UnavailableError: The scan is not over in time.
        """


class ParameterStore(Protocol):
    """Short strings that outlive an invocation, by name."""

    def read(self, name: str) -> str | None:
        """Return a string; None if it does not exist."""

    def write(self, name: str, text: str) -> bool:
        """Store a string of at most 4096 bytes; return whether it did not exist before."""

    def delete(self, name: str) -> None:
        """Delete a string. It is not an error if it does not exist."""

    def list(self, path: str) -> Mapping[str, str]:
        """Return the strings directly below *path*, by name."""


class StackHistory(Protocol):
    """
    The status and events of a stack.

    Raises:
        RemoteError: They cannot be read; each method may raise it.
    """

    @property
    def is_rolling_back(self) -> bool:
        """Whether the stack, or a stack that it is nested in, is rolling back."""

    def has_succeeded_since(self, sent: float, *, before_this: bool = False) -> bool | None:
        """
        Whether a deployment of the stack has succeeded since *sent*; None if that is not known.

        Args:
            sent: In seconds since the epoch.
            before_this: Ignore the operation that is in progress.
        """

    def has_been_updated_since(self, logical_resource_id: str, sent: float) -> bool:
        """
        Whether a resource was updated since an earlier request for it; False: not known.

        Args:
            sent: When that request was sent, in seconds since the epoch.
        """

    def has_update_failed(self, logical_resource_id: str) -> bool:
        """Whether an update of a resource has failed in the operation that is in progress; False: not known."""

    def has_created_since(self, logical_resource_id: str, sent: float) -> bool | None:
        """Whether a creation has succeeded since a request, and had begun when it was sent; None: not known."""


class SigningServices(Protocol):
    """
    The services of AWS that sign and verify.

    Raises:
        RemoteError: The service refused, or did not answer; each method may raise it.
    """

    def public_key(self, key_arn: str) -> tuple[str, bytes]:
        """Return the type of a KMS key, such as ``ECC_NIST_P256``, and its public key in DER (SubjectPublicKeyInfo)."""

    def sign(self, key_arn: str, algorithm: str, digest: bytes) -> bytes:
        """Sign a digest with a KMS key."""

    def verify(self, key_arn: str, algorithm: str, digest: bytes, signature: bytes) -> bool:
        """Whether a KMS key made the signature of a digest."""

    def sign_payload(self, profile_arn: str, payload: bytes) -> bytes:
        """Sign a payload of the Notary Project with a profile of AWS Signer; return the JWS envelope."""

    def status(self, registry: PrivateEcr, repository: str, image: Digest, profile_arn: str) -> tuple[str, str]:
        """
        Return the status of an image's signature by private ECR, and why it is not complete.

        While it is in progress, wait for at most half of the time that the
        request has, because the image has yet to be copied. A review does not wait.

        Args:
            repository: Its name in the registry.

        Returns:
            ``COMPLETE``, ``IN_PROGRESS`` or ``FAILED``; an empty status if no
            rule of the registry signs the image with this profile.
        """


class MissingSignature(Protocol):
    """A signature that an image in the destination lacks."""

    @property
    def image(self) -> Descriptor:
        """The image."""

    def attach(self, repository: PublicRepository, put: Mapping[str, Manifest]) -> str:
        """
        Sign the image, and store the signature; return what was stored, for the log.

        Args:
            put: The manifests that were just put under tags, which reads may not show yet.

        Raises:
            ImageError: That failed.
        """


class SourcePorts(Protocol):
    """All ports that a source or a rule needs."""

    @property
    def destination(self) -> PublicRepository:
        """The destination repository."""

    @property
    def objects(self) -> ObjectReader:
        """Objects in S3."""

    @property
    def scans(self) -> ScanReader:
        """Scan findings in private ECR."""

    @property
    def now(self) -> float:
        """The current time, in seconds since the epoch."""

    @property
    def signing(self) -> SigningServices:
        """The services that sign and verify."""

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RemoteRepository:
        """
        Open a repository of any registry for reading.

        Args:
            credentials_secret_arn: The ARN of a secret with credentials for this
                registry; empty to use only the function's role.
        """


class Ports(SourcePorts, Protocol):
    """All ports that a request needs."""

    @property
    def undoing(self) -> PublicRepository:
        """The destination repository with a later deadline, to undo writes when the time is up."""

    @property
    def restoring(self) -> PublicRepository:
        """The same, to put back what must stay: also if CloudFormation no longer waits for the request."""

    @property
    def parameters(self) -> ParameterStore:
        """The parameters with records, in the Region of the registry."""

    @property
    def undoing_parameters(self) -> ParameterStore:
        """The same parameters with a later deadline, to record that the time is up."""

    @property
    def first_parameters(self) -> ParameterStore:
        """The parameters with records of version 0.1, in the function's own Region."""

    def history(self, stack_id: str) -> StackHistory:
        """Return the history of a stack."""

    def settle(self) -> None:
        """Wait until reads show what others have just put: ``PUT_SECONDS``, or half of the time that is left."""
