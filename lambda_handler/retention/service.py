"""The repository and the storage of retention, on AWS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..aws.errcode import translated
from ..ecr_public.repository import EcrPublicRepository
from ..errors import ConflictError, NotFoundError
from ..oci import Digest
from ..retry import Retry
from .inventory import Image

PAGE_SIZE = 1000
"""The limit of DescribeImages for a page."""

PAGES_MAX = 200
"""Twice the images that a repository can have."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class ListedRepository(EcrPublicRepository):
    """A repository of ECR Public whose images can be listed."""

    def images(self) -> Iterator[Image]:
        """
        Yield all images, in the order of the service, which is not documented.

        Raises:
            RemoteError: The list cannot be read to its end.
        """
        following: Mapping[str, str] = {}
        for _ in range(PAGES_MAX):
            page, token = self._page(following)
            yield from page
            if not token:
                return
            following = {"nextToken": token}
        message = f"repository {self.name!r} has more than {PAGES_MAX * PAGE_SIZE} images"
        raise NotFoundError(message, operation="ecr-public:DescribeImages")

    def _page(self, following: Mapping[str, str]) -> tuple[list[Image], str]:
        def call() -> tuple[list[Image], str]:
            with translated("ecr-public:DescribeImages"):
                page = self.client.describe_images(
                    registryId=self.registry_id, repositoryName=self.name, maxResults=PAGE_SIZE, **following
                )
                return [_image(each) for each in page["imageDetails"]], page.get("nextToken", "")

        return self.retry.call(f"listing the images of {self.name!r}", call, retry_access_denied=True)


def _image(data: Mapping[str, Any]) -> Image:
    return Image(
        digest=Digest.parse(data["imageDigest"]),
        tags=frozenset(data.get("imageTags", ())),
        pushed=data["imagePushedAt"].timestamp(),
        media_type=str(data.get("imageManifestMediaType", "")),
        size=int(data.get("imageSizeInBytes", 0)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Objects in an S3 bucket."""

    client: Any
    name: str
    retry: Retry

    def read(self, key: str) -> tuple[bytes | None, str]:
        """Return an object and its ETag; None and an empty string if it does not exist."""

        def call() -> tuple[bytes, str]:
            with translated("s3:GetObject"):
                found = self.client.get_object(Bucket=self.name, Key=key)
                return found["Body"].read(), str(found["ETag"])

        try:
            return self.retry.call(f"reading s3://{self.name}/{key}", call)
        except NotFoundError:
            return None, ""

    def write(self, key: str, content: bytes, version: str | None = None) -> bool:
        """
        Store an object.

        Args:
            version: Store it only if it still has this ETag; empty if it must not exist.

        Returns:
            Whether it was stored. If the response was lost, this can be False
            although it was: the caller reads again.
        """
        condition = {} if version is None else {"IfMatch": version} if version else {"IfNoneMatch": "*"}

        def call() -> None:
            with translated("s3:PutObject"):
                self.client.put_object(Bucket=self.name, Key=key, Body=content, **condition)

        try:
            self.retry.call(f"writing s3://{self.name}/{key}", call)
        except (ConflictError, NotFoundError):
            if version is None:
                raise
            return False
        return True
