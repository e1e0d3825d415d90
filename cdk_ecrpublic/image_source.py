"""Where the image of a ``PublicImage`` comes from."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from ._assets.lambda_handler.errors import ImageError
from ._assets.lambda_handler.oci import Digest, Manifest, parse_tag
from ._checks import check, is_known
from .provider import PublicImageProvider

MANIFEST_INLINE_MAX_BYTES = 16 * 1024
"""
Up to here a manifest stands in the template itself.

A template may have 1 MB, and an update's event carries the old and the new
text; an index of ten platforms has about 3 KiB.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBinding:
    """
    What a source says of itself to the resource that it is bound to.

    Attributes:
        properties: The value of the ``Source`` property: ``{"Digest": "sha256:…"}``.
        image_digest: The digest that it must turn out to have, where that is
            known and not part of *properties*.
        mutable_tag: The tag that it stands for, which may point elsewhere at
            the next deployment; None for a source that cannot change.
    """

    properties: Mapping[str, object]
    image_digest: str | None = None
    mutable_tag: str | None = None


class ImageSource(ABC):
    """
    A kind of source. Make one with the factories below.

    To add a kind, derive from this class and implement ``bind``; no construct
    needs to know.
    """

    @abstractmethod
    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        """
        Grant *provider* exactly what reading the source needs, and render it.

        Args:
            scope: The image; may get child constructs.
            provider: The function that will resolve the source.
        """

    @staticmethod
    def digest(digest: str) -> ImageSource:
        """
        Take the image of that digest in the same repository: a retag.

        Args:
            digest: ``sha256:`` and 64 lower-case hexadecimal digits; may be a token.

        Raises:
            ValueError: It has another form.
        """
        return _DigestSource(digest)

    @staticmethod
    def tag(tag: str) -> ImageSource:
        """
        Take what *tag* points to in the same repository when it is deployed.

        ``cdk diff`` cannot see such a tag move, and CloudFormation does not
        deploy again when it does; prefer ``digest``.

        Raises:
            ValueError: Not a tag.
        """
        return _TagSource(tag)

    @staticmethod
    def manifest(text: str, *, media_type: str | None = None, digest: str | None = None) -> ImageSource:
        """
        Take exactly this text: any OCI or Docker manifest, index or artifact.

        What it refers to must be in the repository already.

        Args:
            text: At most 4 MiB; stored to the byte. May be a token.
            media_type: Of the manifest. Default: what the manifest says of itself.
            digest: Its expected digest. Default: none is expected.

        Raises:
            ValueError: Not a manifest that ECR Public stores, or another digest.
        """
        if is_known(text):
            return _ManifestSource(text.encode(), None, media_type, digest)
        return _ManifestTokenSource(text, media_type, digest)

    @staticmethod
    def manifest_file(path: str | Path, *, media_type: str | None = None, digest: str | None = None) -> ImageSource:
        """
        Take exactly the bytes of a file: any OCI or Docker manifest, index or artifact.

        A file of up to 16 KiB of ASCII becomes part of the template, a larger
        one an asset in S3 that the function alone may read.

        Args:
            path: Relative to the working directory.
            media_type: Of the manifest. Default: what the manifest says of itself.
            digest: Its expected digest. Default: none is expected.

        Raises:
            ValueError: No such file, not a manifest that ECR Public stores, or another digest.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            message = f"ImageSource.manifest_file: {str(path)!r} cannot be read: {error.strerror}"
            raise ValueError(message) from error
        return _ManifestSource(content, Path(path), media_type, digest)


class _DigestSource(ImageSource):
    def __init__(self, digest: str) -> None:
        check("ImageSource.digest", digest, Digest.parse)
        self._digest = digest

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct of its own
        provider.allow_reading()
        return SourceBinding(properties={"Digest": self._digest})


class _TagSource(ImageSource):
    def __init__(self, tag: str) -> None:
        check("ImageSource.tag", tag, parse_tag)
        self._tag = tag

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct of its own
        provider.allow_reading()
        return SourceBinding(properties={"Tag": self._tag}, mutable_tag=self._tag)


class _ManifestSource(ImageSource):
    """A manifest whose bytes are known at synthesis."""

    def __init__(self, content: bytes, path: Path | None, media_type: str | None, digest: str | None) -> None:
        where = f"ImageSource.manifest_file({str(path)!r})" if path else "ImageSource.manifest"
        if digest is not None:
            check(f"{where}: digest", digest, Digest.parse)
        try:
            expected = Digest.parse(digest) if digest is not None and is_known(digest) else None
            self._manifest = Manifest.parse(content, media_type or "", expected=expected)
        except ImageError as error:
            message = f"{where}: {error.message}"
            raise ValueError(message) from error
        self._path = path
        self._media_type = media_type

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        content = self._manifest.content
        # GetTemplate answers "?" for other characters, which makes every diff wrong.
        if len(content) <= MANIFEST_INLINE_MAX_BYTES and content.isascii():
            place: dict[str, str] = {"Body": self._manifest.text}
        else:
            place = self._upload(scope, provider)
        return SourceBinding(
            properties={"Manifest": {**place, **_media_type(self._media_type)}},
            image_digest=str(self._manifest.digest),
        )

    def _upload(self, scope: Construct, provider: PublicImageProvider) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "manifest.json")
            path.write_bytes(self._manifest.content)
            asset = s3_assets.Asset(scope, "Manifest", path=str(path))
        arn = Stack.of(scope).format_arn(
            service="s3", region="", account="", resource=asset.s3_bucket_name, resource_name=asset.s3_object_key
        )
        provider.allow(["s3:GetObject"], arn)
        return {"Bucket": asset.s3_bucket_name, "Key": asset.s3_object_key}


class _ManifestTokenSource(ImageSource):
    """A manifest whose text only the deployment knows."""

    def __init__(self, text: str, media_type: str | None, digest: str | None) -> None:
        if digest is not None:
            check("ImageSource.manifest: digest", digest, Digest.parse)
        self._text, self._media_type, self._digest = text, media_type, digest

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct or permission
        return SourceBinding(
            properties={"Manifest": {"Body": self._text, **_media_type(self._media_type)}},
            image_digest=self._digest,
        )


def _media_type(media_type: str | None) -> dict[str, str]:
    return {"MediaType": media_type} if media_type else {}
