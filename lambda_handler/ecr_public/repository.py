"""
A repository of Amazon ECR Public.

The control-plane API puts images and describes them. It cannot read a manifest,
and takes layers only as base64 in JSON, so both go through the registry API.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeVar

from ..aws.errcode import translated
from ..concurrency import MAX_CONNECTIONS, ask_each
from ..errors import (
    AlreadyExistsError,
    DeadlineError,
    ImageNotFoundError,
    IntegrityError,
    MissingContentError,
    NotFoundError,
    NotYetVisibleError,
    RejectedError,
    UnavailableError,
    UnconfirmedError,
)
from ..oci import Descriptor, Digest, Manifest, Repository
from ..retry import Retry

T = TypeVar("T")
_Deletion = tuple[list[tuple[Digest, str]], list[tuple[Digest, str]], list[str]]

_BATCH_DELETE = "ecr-public:BatchDeleteImage"
_LISTED = "ImageReferencedByManifestList"
_GONE = frozenset({"ImageNotFound", "ImageTagDoesNotMatchDigest"})

_EXISTING = re.compile(r"Image with digest '([^']*)' and tag '([^']*)' already exists ")
"""The message of ImageAlreadyExistsException, which has no fields. An untagged image has the tag ``null`` there."""

BATCH_MAX = 100
"""The limit of DescribeImages, BatchDeleteImage and BatchCheckLayerAvailability in botocore's model."""

REMOVAL_SECONDS = 15.0
"""The longest time that a removal takes. With less time left, a mistake could not be undone, so none is started."""

BlobOpener = Callable[[], Generator[bytes, None, None]]
"""Opens a stream of the bytes of a blob."""


class RegistryApi(Protocol):
    """The repository in the registry API (OCI distribution), which does what the control-plane API cannot."""

    def read(self, digest: Digest) -> Manifest:
        """Read a manifest, byte for byte; without retries."""

    def digest_of(self, reference: str) -> Digest | None:
        """Resolve a tag or digest; None if the image does not exist; without retries."""

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob."""

    def upload(self, blob: Descriptor, content: BlobOpener) -> None:
        """Upload a blob; see ``registry.uploads``."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class EcrPublicRepository:
    """
    One repository in the caller's own registry, for one invocation.

    Attributes:
        registry_id: The account id; for another account's registry, the alias.
        repository: The address in the registry API.
        registry: The same repository in the registry API.
        written: The digests that this invocation has stored.
        described: The images that were described, each with all its tags at that time.
        unanswered: The images whose removal got no response, so that it is not known which tags went with them.
        before_change: Called before each attempt to put a tag, or to remove anything. An error prevents the attempt.
    """

    client: Any
    registry_id: str
    name: str
    repository: Repository
    registry: RegistryApi
    retry: Retry
    written: set[Digest] = field(default_factory=set)
    described: dict[Digest, frozenset[str]] = field(default_factory=dict)
    unanswered: set[Digest] = field(default_factory=set)
    before_change: Callable[[], None] = lambda: None
    is_own: ClassVar[bool] = True

    def __str__(self) -> str:
        return str(self.repository)

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """
        Return the digests that *tags* point to now; tags that do not exist are omitted.

        If all tags exist, this takes one request. If one does not, DescribeImages fails without
        saying which, and each tag is requested separately. A list of all images may be stale.
        """
        found: dict[str, Digest] = {}
        for batch in _batches(tags):
            images = self._describe([{"imageTag": tag} for tag in batch])
            if images is not None:
                found.update({tag: digest for digest, there in images.items() for tag in batch if tag in there})
            elif len(batch) > 1:
                found.update(ask_each(self._digest_of, batch, max_workers=MAX_CONNECTIONS))
        return found

    def _digest_of(self, tag: str) -> Digest | None:
        return next(iter(self._describe([{"imageTag": tag}]) or ()), None)

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* for which no image exists, tagged or untagged."""
        wanted = frozenset(digests)
        return wanted - self.tags_of(wanted).keys()

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of each image in *digests* that exists."""
        found: dict[Digest, frozenset[str]] = {}
        for batch in _batches(sorted(set(digests))):
            images = self._describe([{"imageDigest": str(digest)} for digest in batch])
            if images is not None:
                found.update(images)
            elif len(batch) > 1:
                found.update(ask_each(self._tags_of, batch, max_workers=MAX_CONNECTIONS))
        return found

    def tags_read(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of images, each read once."""
        wanted = set(digests)
        self.tags_of(wanted - self.described.keys())
        return {digest: self.described[digest] for digest in wanted & self.described.keys()}

    def known_tags(self, digest: Digest) -> frozenset[str]:
        """Return the tags of an image that were read."""
        return self.described.get(digest, frozenset())

    def _tags_of(self, digest: Digest) -> frozenset[str] | None:
        return (self._describe([{"imageDigest": str(digest)}]) or {}).get(digest)

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[list[tuple[Digest, str]], frozenset[str]]:
        """
        Remove tags from an image, which is deleted with its last tag; tags that do not exist are ignored.

        Each tag is sent with its digest, so that the service removes it only
        if it still points there. This is not documented, so the caller
        compares what was removed.

        Returns:
            The removed tags with their images according to the service; and
            the tags that were kept, because an index lists their image.

        References:
            ``ImageTagDoesNotMatchDigest`` among the failure codes of
            BatchDeleteImage in botocore's model.
        """
        removed, listed = self._remove([{"imageDigest": str(digest), "imageTag": tag} for tag in tags])
        return removed, frozenset(tag for _, tag in listed)

    def remove_images(self, digests: Sequence[Digest]) -> tuple[list[tuple[Digest, str]], frozenset[Digest]]:
        """
        Delete images; images that do not exist are ignored.

        Returns:
            The removed images according to the service, once for each tag, or
            with an empty tag; and the images that were kept, because an index
            lists them.
        """
        removed, listed = self._remove([{"imageDigest": str(digest)} for digest in digests])
        return removed, frozenset(digest for digest, _ in listed)

    def _remove(self, image_ids: list[dict[str, str]]) -> tuple[list[tuple[Digest, str]], list[tuple[Digest, str]]]:
        """Return what was removed, and what was kept because an index lists it."""
        gone: list[tuple[Digest, str]] = []
        listed: list[tuple[Digest, str]] = []
        for batch in _batches(image_ids):
            removed, kept, refused = self.retry.call(
                "removing images", functools.partial(self._delete_once, batch), retry_access_denied=True
            )
            gone += removed
            listed += kept
            if refused:
                message = f"{_BATCH_DELETE} failed: {refused[0]}"
                raise RejectedError(message, operation=_BATCH_DELETE)
        return gone, listed

    def _delete_once(self, image_ids: Sequence[Mapping[str, str]]) -> _Deletion:
        self.before_change()
        self.retry.deadline.check_room(REMOVAL_SECONDS, "removing images")
        try:
            return self._delete(image_ids)
        except UnavailableError:
            self.unanswered.update(Digest.parse(each["imageDigest"]) for each in image_ids)
            raise

    def _delete(self, image_ids: Sequence[Mapping[str, str]]) -> _Deletion:
        """Return what was removed, what was kept because an index lists it, and all other failures."""
        with translated(_BATCH_DELETE):
            response = self.client.batch_delete_image(
                registryId=self.registry_id, repositoryName=self.name, imageIds=image_ids
            )
            failures = [(each["failureCode"], each) for each in response.get("failures", ())]
            return (
                [_image_id(each) for each in response.get("imageIds", ())],
                [_image_id(each["imageId"]) for code, each in failures if code == _LISTED],
                [
                    f"{code}: {each.get('failureReason', '')}"
                    for code, each in failures
                    if code != _LISTED and code not in _GONE
                ],
            )

    def blob_sizes(self, digests: Iterable[Digest]) -> Mapping[Digest, int | None]:
        """Return the blobs of *digests* that this repository has, each with its size in bytes; None if not known."""
        batches = map(self._available, _batches(sorted(set(digests))))
        return {digest: size for batch in batches for digest, size in batch.items()}

    def upload(self, blob: Descriptor, content: BlobOpener) -> None:
        """Upload a blob."""
        self.registry.upload(blob, content)
        self.written.add(blob.digest)

    def _available(self, digests: Sequence[Digest]) -> Mapping[Digest, int | None]:
        def call() -> Mapping[Digest, int | None]:
            with translated("ecr-public:BatchCheckLayerAvailability"):
                layers = self.client.batch_check_layer_availability(
                    registryId=self.registry_id, repositoryName=self.name, layerDigests=[*map(str, digests)]
                )["layers"]
                there = [each for each in layers if each["layerAvailability"] == "AVAILABLE"]
                return {Digest.parse(each["layerDigest"]): each.get("layerSize") or None for each in there}

        return self.retry.call("checking blobs", call, retry_access_denied=True)

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob of this repository."""
        return self.registry.blob(blob)

    def manifest(self, digest: Digest, *, wait_seconds: float = 0.0) -> Manifest:
        """
        Read a manifest, byte for byte.

        The registry API may lag behind the control-plane API for some seconds
        after a push. So if the control-plane API knows the image, reading it
        is retried.

        Args:
            wait_seconds: How long to retry if the control-plane API does not
                know the image either, because that API may lag too.

        Raises:
            NotFoundError: The image does not exist.
        """
        doing = f"reading {digest}"
        try:
            return self.retry.call(doing, lambda: self.registry.read(digest))
        except NotFoundError as error:
            if not self.missing_images([digest]):
                return self.retry.call(doing, lambda: self._read_known(digest))
            if wait_seconds:
                brief = replace(self.retry, deadline=self.retry.deadline.sooner(wait_seconds))
                with suppress(NotYetVisibleError):
                    return brief.call(doing, lambda: self._read_known(digest))
            message = f"the image {digest} does not exist in repository {self.name!r} of registry {self.registry_id}"
            hint = "push the image to this repository before deploying, or correct the digest"
            raise NotFoundError(message, operation=error.operation, hint=hint) from error

    def _read_known(self, digest: Digest) -> Manifest:
        """Read an image that exists according to the control-plane API."""
        try:
            return self.registry.read(digest)
        except NotFoundError as error:
            message = f"the registry API does not return the manifest {digest} of repository {self.name!r} (yet)"
            raise NotYetVisibleError(message, operation=error.operation) from error

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        """
        Store *manifest*, and point *tag* (if any) to it.

        The media type and digest are always sent, so that the service checks
        them. An "already exists" error counts as success if its message has
        this digest and tag, or if a read confirms them.

        Returns:
            Whether this call stored it, as far as is known; False if it was
            stored already.

        Raises:
            MissingContentError: A layer or child manifest does not exist.
            IntegrityError: The service stored the manifest with another digest.
            UnconfirmedError: According to the service, something else exists already.
        """
        parameters = {
            "registryId": self.registry_id,
            "repositoryName": self.name,
            "imageManifest": manifest.text,
            "imageManifestMediaType": manifest.media_type.value,
            "imageDigest": str(manifest.digest),
        }
        if tag is not None:
            parameters["imageTag"] = tag
        what = f"tag {tag!r}" if tag else str(manifest.digest)
        is_new = True
        try:
            stored = self.retry.call(f"putting {what}", lambda: self._put(parameters), retry_access_denied=True)
        except AlreadyExistsError as error:
            self._confirm(manifest.digest, tag, error)
            stored = str(manifest.digest)
            # An earlier attempt without a response may have stored it.
            is_new = error.outcome_unknown
        self.written.add(manifest.digest)
        if stored != str(manifest.digest):
            message = f"ECR Public stored {what} as {stored}, not as {manifest.digest}"
            raise IntegrityError(message)
        return is_new

    def _put(self, parameters: Mapping[str, str]) -> str:
        if "imageTag" in parameters:
            self.before_change()
            # That may have taken seconds.
            self.retry.deadline.check("putting a tag")
        try:
            with translated("ecr-public:PutImage"):
                return str(self.client.put_image(**parameters)["image"]["imageId"].get("imageDigest", ""))
        except MissingContentError as error:
            if not self.written:
                raise
            # Content that this invocation has written may not be visible yet.
            raise NotYetVisibleError(error.message, operation=error.operation, hint=error.hint) from error

    def _confirm(self, digest: Digest, tag: str | None, said: AlreadyExistsError) -> None:
        """Accept that an image with its tag exists if the error message has both, or if a read shows it."""
        named = _EXISTING.search(said.message)
        # For a tag with the name "null", the message is ambiguous.
        if named and named.groups() == (str(digest), tag or "null") and tag != "null":
            return
        what = f"tag {tag!r}" if tag else str(digest)

        def check() -> None:
            found = self._find(digest, tag)
            if found != digest:
                where = f"points to {found}" if found else "does not exist"
                message = f"ECR Public says that the image exists already, but {what} {where}: {said.message}"
                raise NotYetVisibleError(message, operation=said.operation)

        try:
            self.retry.call(f"checking {what}", check)
        except NotYetVisibleError as error:
            hint = "check where the tag points, and deploy again"
            raise UnconfirmedError(error.message, operation=error.operation, hint=hint) from error
        except DeadlineError as error:
            error.outcome_unknown = True
            raise

    def _find(self, digest: Digest, tag: str | None) -> Digest | None:
        """Return the digest that *tag* points to; without a tag, return *digest* if the image exists."""
        if tag is not None:
            return self.resolve([tag]).get(tag)
        return None if self.missing_images([digest]) else digest

    def _describe(self, image_ids: list[dict[str, str]]) -> dict[Digest, frozenset[str]] | None:
        """Return the digests and all tags of images; None if one of them does not exist."""

        def call() -> dict[Digest, frozenset[str]]:
            with translated("ecr-public:DescribeImages"):
                response = self.client.describe_images(
                    registryId=self.registry_id, repositoryName=self.name, imageIds=image_ids
                )
                return {
                    Digest.parse(each["imageDigest"]): frozenset(each.get("imageTags", ()))
                    for each in response["imageDetails"]
                }

        try:
            found = self.retry.call("describing images", call, retry_access_denied=True)
        except ImageNotFoundError:
            return None
        self.described.update(found)
        return found


def _image_id(data: Mapping[str, object]) -> tuple[Digest, str]:
    return Digest.parse(str(data["imageDigest"])), str(data.get("imageTag") or "")


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH_MAX):
        yield items[start : start + BATCH_MAX]
