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
    """The kinds of source, one factory for each."""

    @staticmethod
    def digest(digest: str) -> IImageSource:
        """
        Take the image of that digest in the same repository: a retag.

        Args:
            digest: ``sha256:`` and 64 lower-case hexadecimal digits; may be a token.

        Raises:
            ValueError: It has another form.
        """
        return DigestSource(digest)

    @staticmethod
    def tag(tag: str) -> IImageSource:
        """
        Take what *tag* points to in the same repository when it is deployed.

        ``cdk diff`` cannot see such a tag move, and CloudFormation does not
        deploy again when it does; prefer ``digest``.

        Raises:
            ValueError: Not a tag.
        """
        return TagSource(tag)

    @staticmethod
    def manifest(text: str, *, media_type: str | None = None, digest: str | None = None) -> IImageSource:
        """
        Take exactly this text: any OCI or Docker manifest, index or artifact.

        What it refers to must be in the repository already.

        Args:
            text: At most 4 MiB; stored to the byte. May be a token.
            media_type: Of the manifest. Default: what the manifest says of itself.
            digest: Its expected digest; of a token, the image must be neither
                part of an ``index`` nor reduced by ``platforms``. Default:
                none is expected.

        Raises:
            ValueError: Not a manifest that ECR Public stores, or another digest.
        """
        check_text(
            "ImageSource.manifest", text,
            "the text of the manifest as it was received: its digest is that of these bytes, and serialised again they "
            "would be others; bytes become a text by .decode(), and a file is read by ImageSource.manifest_file",
        )  # fmt: skip
        if is_known(text):
            return ManifestSource(text.encode(), None, media_type, digest)
        return ManifestTokenSource(text, media_type, digest)

    @staticmethod
    def manifest_file(path: str | Path, *, media_type: str | None = None, digest: str | None = None) -> IImageSource:
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
        check_path("ImageSource.manifest_file", path)
        return ManifestSource(read_file(path, "ImageSource.manifest_file"), Path(path), media_type, digest)

    @staticmethod
    def registry(reference: str, *, credentials: secretsmanager.ISecret | None = None) -> IImageSource:
        """
        Copy an image of any OCI registry, with all that it refers to.

        Args:
            reference: ``host/repository`` with ``:tag`` or ``@digest``, e.g.
                ``docker.io/library/nginx:1.27``. ``cdk diff`` cannot see a tag
                move; prefer a digest. For private ECR there is ``ecr``, which
                also allows the function to read from there.
            credentials: A secret with ``{"username": …, "password": …,
                "registry": "ghcr.io"}`` or a token. With ``registry`` it is
                sent to no other; without, synthesis warns. Default: the image
                is read anonymously.

        Raises:
            ValueError: Not a reference with a host, and a tag or a digest.
        """
        return RegistrySource(reference, credentials)

    @staticmethod
    def public(repository_uri: str, *, tag: str | None = None, digest: str | None = None) -> IImageSource:
        """
        Copy an image of another repository of ECR Public, anybody's.

        Args:
            repository_uri: ``public.ecr.aws/<alias>/<name>``; may be a token.
            tag: What it points to when it is deployed.
            digest: Instead of a tag.

        Raises:
            ValueError: Neither tag nor digest, both, one outside its grammar, or
                an address in another registry.
        """
        return PublicSource(repository_uri, tag, digest)

    @staticmethod
    def ecr(repository: ecr.IRepository, *, tag: str | None = None, digest: str | None = None) -> IImageSource:
        """
        Copy an image of private ECR.

        Args:
            repository: In any account and Region whose policies let the
                function's role pull.
            tag: What it points to when it is deployed.
            digest: Instead of a tag.

        Raises:
            ValueError: Neither tag nor digest, both, or one outside its grammar.
        """
        return EcrSource(repository, tag, digest)

    @staticmethod
    def docker_asset(asset: ecr_assets.DockerImageAsset) -> IImageSource:
        """
        Copy an image that the CDK builds and pushes to private ECR before it deploys.

        Raises:
            ValueError: *asset* is something else.
        """
        check_kind("ImageSource.docker_asset", asset, "image_tag", "a DockerImageAsset of aws_cdk.aws_ecr_assets")
        return EcrSource(asset.repository, asset.image_tag, None, is_immutable=True)

    @staticmethod
    def archive(path: str | Path, *, reference: str | None = None) -> IImageSource:
        """
        Take an image out of an archive on this machine; no registry and no Docker is needed.

        It is uploaded with the stack, and its digest is known to ``cdk diff``.

        Args:
            path: Relative to the working directory. A tar file, plain or
                gzipped, with an OCI image layout or a ``docker save``, or the
                folder of an OCI image layout. A classic ``docker save`` has no
                manifests, so OCI ones are written; see the custom resource's
                ``Source.Archive``.
            reference: Which of its images: a name or a digest as the archive
                has it, or the end of one name (``1.4`` of
                ``docker.io/library/agent:1.4``). Default: the only one.

        Raises:
            ValueError: No such file, no such archive, or no such image in it;
                lists those that there are.
        """
        check_path("ImageSource.archive", path)
        return ArchiveSource(Path(path), reference)

    @staticmethod
    def archive_object(bucket: s3.IBucket, key: str, *, reference: str | None = None) -> IImageSource:
        """
        Take an image out of an archive that is in S3, as it is when it is deployed.

        ``cdk diff`` cannot see the object change; name the image by digest,
        or set ``expected_digest``.

        Args:
            bucket: In any account whose policies let the function's role read.
            key: Of a tar file, plain or gzipped, with an OCI image layout or a
                ``docker save``; may be a token.
            reference: Which of its images, as in ``archive``. Default: the only one.

        Raises:
            ValueError: An empty key or reference.
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
        Assemble an index out of images of any kind of source.

        The same images always make the same index, to the byte.

        Args:
            images: By platform: ``{"linux/amd64": …, "linux/arm64": …}``. What
                an image says of its own platform must agree. Of an image that
                is an index itself, the entries of the platform are taken.
            annotations: Of the index. Default: none.
            media_type: OCI's index or Docker's list. Default: OCI's.

        Raises:
            ValueError: No images, something that is no platform, or a media
                type of no index.
        """
        return IndexSource(images, {} if annotations is None else annotations, media_type)
