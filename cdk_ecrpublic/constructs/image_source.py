"""Where the image of a ``PublicImage`` comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager

from ._sources.archive import ArchiveObjectSource, ArchiveSource
from ._sources.base import IImageSource
from ._sources.digest import DigestSource
from ._sources.index import IndexSource
from ._sources.manifest import ManifestSource, ManifestTokenSource, read_file
from ._sources.registry import EcrSource, PublicSource, RegistrySource
from ._sources.tag import TagSource
from ._validation.values import check_kind, check_path, check_text, is_known


class ImageSource:
    """
    Where the image of a ``PublicImage`` comes from: one method for each kind of source.

    ```python
    retagged = ImageSource.digest("sha256:9f2c…")
    copied = ImageSource.registry("ghcr.io/acme/agent@sha256:9f2c…")
    joined = ImageSource.index({"linux/amd64": retagged, "linux/arm64": copied})
    PublicImage(self, "Release", repository=repository, source=joined, tags=["1.4.2"])
    ```
    """

    @staticmethod
    def digest(digest: str) -> IImageSource:
        """
        Use the image with this digest in the same repository (a retag).

        Args:
            digest: ``sha256:`` and 64 lower-case hexadecimal digits; can be a token.

        Raises:
            ValueError: The digest is malformed.
        """
        return DigestSource(digest)

    @staticmethod
    def tag(tag: str) -> IImageSource:
        """
        Use the image that *tag* points to in the same repository at deployment.

        ``cdk diff`` cannot see that the tag has moved, and CloudFormation does
        not deploy again when it has. Prefer ``digest``.

        Raises:
            ValueError: The tag is malformed.
        """
        return TagSource(tag)

    @staticmethod
    def manifest(text: str, *, media_type: str | None = None, digest: str | None = None) -> IImageSource:
        """
        Use this string as it is: any OCI or Docker manifest, index or artifact.

        Everything that the manifest refers to must already be in the repository.

        Args:
            text: At most 4 MiB, stored byte for byte. Can be a token.
            media_type: The media type of the manifest. Default: the one in the
                manifest itself.
            digest: The expected digest. If *text* is a token, the image must
                neither be part of an ``index`` nor be reduced by ``platforms``.
                Default: any.

        Raises:
            ValueError: ECR Public does not store such a manifest, or the digest differs.
        """
        check_text(
            "ImageSource.manifest", text,
            "the manifest as a string, exactly as it was received: serializing it again would change its digest; "
            "decode bytes with .decode(), and read a file with ImageSource.manifest_file",
        )  # fmt: skip
        if is_known(text):
            return ManifestSource(text.encode(), None, media_type, digest)
        return ManifestTokenSource(text, media_type, digest)

    @staticmethod
    def manifest_file(path: str | Path, *, media_type: str | None = None, digest: str | None = None) -> IImageSource:
        """
        Use the bytes of a file: any OCI or Docker manifest, index or artifact.

        A file of up to 16 KiB of ASCII becomes part of the template. Any other
        file becomes an asset in S3 that the function may read.

        Args:
            path: Relative to the working directory.
            media_type: The media type of the manifest. Default: the one in the
                manifest itself.
            digest: The expected digest. Default: any.

        Raises:
            ValueError: The file does not exist, ECR Public does not store such
                a manifest, or the digest differs.
        """
        check_path("ImageSource.manifest_file", path)
        return ManifestSource(read_file(path, "ImageSource.manifest_file"), Path(path), media_type, digest)

    @staticmethod
    def registry(
        reference: str, *, credentials: secretsmanager.ISecret | secretsmanager.Secret | None = None
    ) -> IImageSource:
        """
        Copy an image, with everything that it refers to, from any OCI registry.

        Args:
            reference: ``host/repository`` with ``:tag`` or ``@digest``, e.g.
                ``docker.io/library/nginx:1.27``. ``cdk diff`` cannot see that a
                tag has moved; prefer a digest. For private ECR use ``ecr``,
                which also grants the permission to read.
            credentials: A secret with ``{"username": …, "password": …,
                "registry": "ghcr.io"}`` or a token. If it names a ``registry``,
                it is sent to no other; if not, synthesis warns. Default: the
                image is read anonymously.

        Raises:
            ValueError: The reference has no host, or neither a tag nor a digest.
        """
        return RegistrySource(reference, credentials)

    @staticmethod
    def public(repository_uri: str, *, tag: str | None = None, digest: str | None = None) -> IImageSource:
        """
        Copy an image from another repository of ECR Public, of any account.

        Args:
            repository_uri: ``public.ecr.aws/<alias>/<name>``; can be a token.
            tag: A tag, resolved at deployment.
            digest: A digest, instead of a tag.

        Raises:
            ValueError: Neither or both of tag and digest are given, one of them
                is malformed, or the URI is in another registry.
        """
        return PublicSource(repository_uri, tag, digest)

    @staticmethod
    def ecr(repository: ecr.IRepository, *, tag: str | None = None, digest: str | None = None) -> IImageSource:
        """
        Copy an image from private ECR.

        Args:
            repository: A repository in any account and Region. If it is in
                another account, its policy must allow the function's role to pull.
            tag: A tag, resolved at deployment.
            digest: A digest, instead of a tag.

        Raises:
            ValueError: Neither or both of tag and digest are given, or one of
                them is malformed.
        """
        return EcrSource(repository, tag, digest)

    @staticmethod
    def docker_asset(asset: ecr_assets.DockerImageAsset) -> IImageSource:
        """
        Copy an image that the CDK builds and pushes to private ECR before the deployment.

        Raises:
            ValueError: *asset* is not a ``DockerImageAsset``.
        """
        check_kind("ImageSource.docker_asset", asset, "image_tag", "a DockerImageAsset of aws_cdk.aws_ecr_assets")
        return EcrSource(asset.repository, asset.image_tag, None, is_immutable=True)

    @staticmethod
    def archive(path: str | Path, *, reference: str | None = None) -> IImageSource:
        """
        Use an image in a local archive. This needs neither a registry nor Docker.

        The archive is uploaded with the stack, and ``cdk diff`` shows the digest
        of the image.

        Args:
            path: Relative to the working directory. A tar file, plain or
                gzipped, with an OCI image layout or a ``docker save``, or the
                folder of an OCI image layout. A classic ``docker save`` has no
                manifests, so OCI manifests are generated; see ``Source.Archive``
                of the custom resource.
            reference: Selects one of its images: a name or digest in the archive,
                or the end of a name (``1.4`` of ``docker.io/library/agent:1.4``).
                Default: the only image.

        Raises:
            ValueError: The file does not exist, is not an archive, or does not
                contain the image; the message lists the images that it contains.
        """
        check_path("ImageSource.archive", path)
        return ArchiveSource(Path(path), reference)

    @staticmethod
    def archive_object(bucket: s3.IBucket, key: str, *, reference: str | None = None) -> IImageSource:
        """
        Use an image in an archive in S3, as the archive is at deployment.

        ``cdk diff`` cannot see that the object has changed. Select the image by
        digest, or set ``expected_digest``.

        Args:
            bucket: A bucket in any account. If it is in another account, its
                policy must allow the function's role to read.
            key: The key of a tar file, plain or gzipped, with an OCI image
                layout or a ``docker save``; can be a token.
            reference: Selects one of its images, as in ``archive``. Default:
                the only image.

        Raises:
            ValueError: The key or the reference is empty.
        """
        return ArchiveObjectSource(bucket, key, reference)

    @staticmethod
    def index(
        images: Mapping[str, IImageSource],
        *,
        annotations: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> IImageSource:
        """
        Assemble an index from images of any kind of source.

        The same images always give the same index, byte for byte.

        Args:
            images: Sources by platform: ``{"linux/amd64": …, "linux/arm64": …}``.
                The platform in the config of an image must match its key. If an
                image is itself an index, its entries for the platform are used.
            annotations: Annotations of the index. Default: none.
            media_type: The media type of an OCI index or a Docker manifest list.
                Default: OCI index.

        Raises:
            ValueError: There are no images, a platform is malformed, or the media
                type is not that of an index.
        """
        return IndexSource(images, {} if annotations is None else annotations, media_type)
