"""Images in archives: local files, or existing objects in S3."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aws_cdk import aws_s3 as s3
from constructs import Construct

from ..._assets.lambda_handler.archive import StoredObject, open_archive
from ..._assets.lambda_handler.errors import ImageError, InvalidDigestError
from ..._assets.lambda_handler.oci import Digest
from .._iam.actions import OBJECT_READ_ACTIONS
from .._validation.values import check_kind, check_text, is_known, refuse
from ..provider import PublicImageProvider
from .archive_file import open_path
from .asset import upload
from .base import SourceBinding


class ArchiveSource:
    """See ``ImageSource.archive``."""

    def __init__(self, path: Path, reference: str | None) -> None:
        _check_reference("ImageSource.archive", reference)
        try:
            self._archive = open_path(path)
            self._digest = _find(self._archive, reference)
        except OSError as error:
            message = f"ImageSource.archive: {str(path)!r} cannot be read: {error.strerror}"
            raise ValueError(message) from None
        except ImageError as error:
            message = f"ImageSource.archive: {error.message}" + (f"; {error.hint}" if error.hint else "")
            raise ValueError(message) from None
        self._reference = reference

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        with tempfile.TemporaryDirectory() as folder:
            place = upload(scope, "Archive", self._archive.write(Path(folder)), provider)
        return SourceBinding(
            properties={"Archive": {**place, **_named(self._reference)}}, image_digest=self._digest, copies=True
        )


class ArchiveObjectSource:
    """See ``ImageSource.archive_object``."""

    def __init__(self, bucket: s3.IBucket, key: str, reference: str | None) -> None:
        expected = "a bucket: s3.Bucket.from_bucket_name(self, 'Builds', 'acme-builds')"
        check_kind("ImageSource.archive_object: bucket", bucket, "bucket_name", expected)
        check_text("ImageSource.archive_object: key", key, "the key of an object in the bucket")
        if not key:
            refuse("ImageSource.archive_object", "key is empty; expected the key of an object in the bucket")
        _check_reference("ImageSource.archive_object", reference)
        self._bucket, self._key, self._reference = bucket, key, reference

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct of its own
        provider.allow(OBJECT_READ_ACTIONS, self._bucket.arn_for_objects(self._key))
        if self._bucket.encryption_key is not None:
            self._bucket.encryption_key.grant_decrypt(provider)
        place = {"Bucket": self._bucket.bucket_name, "Key": self._key}
        return SourceBinding(
            properties={"Archive": {**place, **_named(self._reference)}},
            mutable_tags=() if _is_digest(self._reference) else (f"the object {self._key}",),
            copies=True,
        )


def _find(archive: StoredObject, reference: str | None) -> str | None:
    """Find the image as the function will; return None if the reference is a token."""
    if not is_known(reference):
        return None
    return str(open_archive(archive).find(reference or "").digest)


def _check_reference(what: str, reference: str | None) -> None:
    if reference is None:
        return
    check_text(f"{what}: reference", reference, "the name or the digest of an image in the archive")
    if reference == "":
        refuse(what, "reference is empty; expected the name or the digest of an image in the archive")


def _named(reference: str | None) -> dict[str, str]:
    return {"Reference": reference} if reference else {}


def _is_digest(reference: str | None) -> bool:
    try:
        return Digest.parse(reference or "") is not None
    except InvalidDigestError:
        return False
