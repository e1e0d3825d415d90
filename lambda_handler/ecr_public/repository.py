"""
A repository of Amazon ECR Public: its images over the API, their bytes over HTTP.

The API puts images and says what is there, but it has no call that reads a
manifest, and would take blobs as base64 in JSON.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeVar

from ..aws.errcode import translated
from ..concurrency import map_concurrently
from ..errors import (
    AlreadyExistsError,
    DeadlineError,
    ImageNotFoundError,
    IntegrityError,
    MissingContentError,
    NotFoundError,
    NotYetVisibleError,
    RejectedError,
    UnconfirmedError,
)
from ..oci import Descriptor, Digest, Manifest, Repository
from ..retry import Retry

T = TypeVar("T")
V = TypeVar("V")

_BATCH_DELETE = "ecr-public:BatchDeleteImage"
_LISTED = "ImageReferencedByManifestList"
_NOT_THERE = frozenset({"ImageNotFound", "ImageTagDoesNotMatchDigest"})

_EXISTING = re.compile(r"Image with digest '([^']*)' and tag '([^']*)' already exists ")
"""What ImageAlreadyExistsException says; it has no fields. The image without a tag has the tag ``null``."""

_NO_TAG = "null"

BATCH_MAX = 100
"""The most that one DescribeImages, BatchDeleteImage or BatchCheckLayerAvailability takes: botocore's model."""

REMOVAL_SECONDS = 15.0
"""As long as the client waits for a removal: then there is time left to put back what goes by mistake."""


MAX_CONCURRENT_READS = 4
"""How many requests that only read are under way at once; what the service allows is not published."""

Content = Callable[[], Generator[bytes, None, None]]
"""Opens the bytes of a blob, in pieces of any length."""


class HttpFace(Protocol):
    """What the registry does over HTTP."""

    def read(self, repository: Repository, digest: Digest) -> Manifest:
        """Read a manifest, exact to the byte."""

    def resolve(self, repository: Repository, reference: str) -> Digest | None:
        """Return the digest that a tag stands for; None when there is none."""

    def blob(self, repository: Repository, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob."""

    def upload(self, repository: Repository, blob: Descriptor, content: Content) -> None:
        """Store a blob; see ``registry.uploads``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrPublicRepository:
    """
    One repository of the caller's own registry, for one invocation.

    Attributes:
        registry_id: Account id; the alias for another account's.
        repository: Its address on the HTTP face.
        http: What the API does not do, or not as well.
        written: What this invocation stored.
    """

    client: Any
    registry_id: str
    name: str
    repository: Repository
    http: HttpFace
    retry: Retry
    written: set[Digest] = field(default_factory=set)
    is_own: ClassVar[bool] = True

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """
        Return where *tags* point now; a tag that does not exist is left out.

        One request while all of them exist. DescribeImages fails as a whole
        when one does not, without a field that says which; then each is asked
        for by itself. A list of all images would be one request too, but
        nobody knows how old such a list is: each tag is looked up itself.
        """
        found: dict[str, Digest] = {}
        for batch in _batches(tags):
            images = self._describe([{"imageTag": tag} for tag in batch])
            if images is not None:
                found.update({tag: digest for digest, there in images.items() for tag in batch if tag in there})
            elif len(batch) > 1:
                found.update(_answered(self._digest_of, batch))
        return found

    def _digest_of(self, tag: str) -> Digest | None:
        return next(iter(self._describe([{"imageTag": tag}]) or ()), None)

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that no image here has, with or without a tag."""
        wanted = frozenset(digests)
        return wanted - self.tags_of(wanted).keys()

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of those of *digests* that images here have."""
        found: dict[Digest, frozenset[str]] = {}
        for batch in _batches(sorted(set(digests))):
            images = self._describe([{"imageDigest": str(digest)} for digest in batch])
            if images is not None:
                found.update(images)
            elif len(batch) > 1:
                found.update(_answered(self._tags_of, batch))
        return found

    def _tags_of(self, digest: Digest) -> frozenset[str] | None:
        return (self._describe([{"imageDigest": str(digest)}]) or {}).get(digest)

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[list[tuple[Digest, str]], frozenset[str]]:
        """
        Remove tags from an image, which goes with the last of its tags; gone already is fine.

        Each is named with its digest, so that the service removes it only
        while it points there. That this is so is not documented: the caller
        compares what was removed.

        Returns:
            What the service says it removed, each tag with its image; and the
            tags that stay, because an index lists their image.

        References:
            ``ImageTagDoesNotMatchDigest`` among the failure codes of
            BatchDeleteImage in botocore's model.
        """
        removed, listed = self._remove([{"imageDigest": str(digest), "imageTag": tag} for tag in tags])
        return removed, frozenset(tag for _, tag in listed)

    def remove_images(self, digests: Sequence[Digest]) -> tuple[list[tuple[Digest, str]], frozenset[Digest]]:
        """
        Delete images; gone already is fine.

        Returns:
            What the service says it removed, each image with each of its tags
            or with an empty one; and the images that stay, because an index
            lists them.
        """
        removed, listed = self._remove([{"imageDigest": str(digest)} for digest in digests])
        return removed, frozenset(digest for digest, _ in listed)

    def _remove(self, image_ids: list[dict[str, str]]) -> tuple[list[tuple[Digest, str]], list[tuple[Digest, str]]]:
        """Return what is gone, and what stays because an index lists it."""
        gone: list[tuple[Digest, str]] = []
        listed: list[tuple[Digest, str]] = []
        for batch in _batches(image_ids):
            self.retry.deadline.check_room(REMOVAL_SECONDS, "removing images")
            removed, kept, refused = self.retry.call(
                "removing images", functools.partial(self._delete, batch), retry_access_denied=True
            )
            gone += removed
            listed += kept
            if refused:
                message = f"{_BATCH_DELETE} failed: {refused[0]}"
                raise RejectedError(message, operation=_BATCH_DELETE)
        return gone, listed

    def _delete(
        self, image_ids: Sequence[Mapping[str, str]]
    ) -> tuple[list[tuple[Digest, str]], list[tuple[Digest, str]], list[str]]:
        """Return what is gone, what stays because an index lists it, and why anything else stays."""
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
                    if code != _LISTED and code not in _NOT_THERE
                ],
            )

    def missing_blobs(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that no blob here has; others' blobs do not count."""
        wanted = sorted(set(digests))
        return frozenset(wanted).difference(*(self._available(batch) for batch in _batches(wanted)))

    def upload(self, blob: Descriptor, content: Content) -> None:
        """
        Store a blob whose bytes are never held whole.

        Args:
            content: Opens its bytes; asked again when an upload begins again.

        Raises:
            IntegrityError: They are not what *blob* says; nothing is stored.
            UploadLostError: The upload broke off again and again.
        """
        self.http.upload(self.repository, blob, content)
        self.written.add(blob.digest)

    def _available(self, digests: Sequence[Digest]) -> frozenset[Digest]:
        def call() -> frozenset[Digest]:
            with translated("ecr-public:BatchCheckLayerAvailability"):
                layers = self.client.batch_check_layer_availability(
                    registryId=self.registry_id,
                    repositoryName=self.name,
                    layerDigests=[str(digest) for digest in digests],
                )["layers"]
                there = (each["layerDigest"] for each in layers if each["layerAvailability"] == "AVAILABLE")
                return frozenset(map(Digest.parse, there))

        return self.retry.call("checking blobs", call, retry_access_denied=True)

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob that is here; see ``RegistryRepository.blob``."""
        return self.http.blob(self.repository, blob)

    def manifest(self, digest: Digest, *, wait_seconds: float = 0.0) -> Manifest:
        """
        Read a manifest, exact to the byte.

        The HTTP face may lag behind the API for some seconds after a push;
        an image that the API knows is therefore waited for.

        Args:
            wait_seconds: How long it is waited for where the API does not
                know it either, which may lag, too.

        Raises:
            NotFoundError: It is not in the repository.
        """
        doing = f"reading {digest}"
        try:
            return self.retry.call(doing, lambda: self.http.read(self.repository, digest))
        except NotFoundError as error:
            if not self.missing_images([digest]):
                return self.retry.call(doing, lambda: self._read_known(digest))
            if wait_seconds:
                brief = replace(self.retry, deadline=self.retry.deadline.sooner(wait_seconds))
                with suppress(NotYetVisibleError):
                    return brief.call(doing, lambda: self._read_known(digest))
            message = f"the image {digest} does not exist in repository {self.name!r} of registry {self.registry_id}"
            hint = "push the image to this very repository before deploying, or correct the digest"
            raise NotFoundError(message, operation=error.operation, hint=hint) from error

    def _read_known(self, digest: Digest) -> Manifest:
        """Read an image that the API says is there."""
        try:
            return self.http.read(self.repository, digest)
        except NotFoundError as error:
            message = f"{digest} is in repository {self.name!r}, but its manifest cannot be read over HTTP yet"
            raise NotYetVisibleError(message, operation=error.operation) from error

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        """
        Store *manifest*, and let *tag* (if any) point to it.

        Media type and digest are always sent, so that the service checks what
        we checked. "Already exists" is success where its text names this
        digest and this tag, or where a look shows them.

        Returns:
            Whether this put it, as far as that is known; False: it was in place.

        Raises:
            MissingContentError: A layer or child manifest is not there.
            IntegrityError: The service stored it under another digest.
            UnconfirmedError: The service says that something else exists already.
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
            # Where an attempt before got no response, that one may have put it.
            is_new = error.outcome_unknown
        self.written.add(manifest.digest)
        if stored != str(manifest.digest):
            message = f"ECR Public stored {what} as {stored}, not as {manifest.digest}"
            raise IntegrityError(message)
        return is_new

    def _put(self, parameters: Mapping[str, str]) -> str:
        try:
            with translated("ecr-public:PutImage"):
                return str(self.client.put_image(**parameters)["image"]["imageId"].get("imageDigest", ""))
        except MissingContentError as error:
            if not self.written:
                raise
            # What we wrote a moment ago may not be seen everywhere yet.
            raise NotYetVisibleError(error.message, operation=error.operation, hint=error.hint) from error

    def _confirm(self, digest: Digest, tag: str | None, said: AlreadyExistsError) -> None:
        """Believe that an image exists under its tag if the service names both, or if a look shows it."""
        named = _EXISTING.search(said.message)
        # A tag may have that name, too; then the text does not tell.
        if named and named.groups() == (str(digest), tag or _NO_TAG) and tag != _NO_TAG:
            return
        what = f"tag {tag!r}" if tag else str(digest)

        def look() -> None:
            found = self._look(digest, tag)
            if found != digest:
                where = f"points to {found}" if found else "does not exist"
                message = f"ECR Public says that an image exists already, but {what} {where}: {said.message}"
                raise NotYetVisibleError(message, operation=said.operation)

        try:
            self.retry.call(f"looking for {what}", look)
        except NotYetVisibleError as error:
            hint = "look where the tag points, and deploy again"
            raise UnconfirmedError(error.message, operation=error.operation, hint=hint) from error
        except DeadlineError as error:
            error.outcome_unknown = True
            raise

    def _look(self, digest: Digest, tag: str | None) -> Digest | None:
        """Return where *tag* points; without one, *digest* where it exists."""
        if tag is not None:
            return self.resolve([tag]).get(tag)
        return None if self.missing_images([digest]) else digest

    def _describe(self, image_ids: list[dict[str, str]]) -> dict[Digest, frozenset[str]] | None:
        """Return the digests and all tags of images; None when one of them does not exist."""

        def call() -> dict[Digest, frozenset[str]]:
            with translated("ecr-public:DescribeImages"):
                answer = self.client.describe_images(
                    registryId=self.registry_id, repositoryName=self.name, imageIds=image_ids
                )
                return {
                    Digest.parse(each["imageDigest"]): frozenset(each.get("imageTags", ()))
                    for each in answer["imageDetails"]
                }

        try:
            return self.retry.call("describing images", call, retry_access_denied=True)
        except ImageNotFoundError:
            return None


class ForeignRepository(EcrPublicRepository):
    """
    A repository of another account, whose policy lets us put images.

    The API describes no repositories but the caller's own, so this one is
    observed over HTTP, as everybody sees it.
    """

    is_own: ClassVar[bool] = False

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """Return where *tags* point now; a tag that does not exist is left out. One request each."""
        return _answered(self._resolve, tags)

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that no image here has, with or without a tag. One request each."""
        wanted = frozenset(digests)
        return wanted - _answered(lambda digest: self._resolve(str(digest)), sorted(wanted)).keys()

    def _resolve(self, reference: str) -> Digest | None:
        return self.retry.call(f"resolving {reference}", lambda: self.http.resolve(self.repository, reference))


def _image_id(data: Mapping[str, object]) -> tuple[Digest, str]:
    return Digest.parse(str(data["imageDigest"])), str(data.get("imageTag") or "")


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH_MAX):
        yield items[start : start + BATCH_MAX]


def _answered(ask: Callable[[T], V | None], items: Sequence[T]) -> dict[T, V]:
    """Ask about each by itself, some at once; those without an answer are left out."""
    answers = zip(items, map_concurrently(ask, items, max_workers=MAX_CONCURRENT_READS), strict=True)
    return {item: answer for item, answer in answers if answer is not None}
