"""A manifest from a string or a file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from constructs import Construct

from ..._assets.lambda_handler.errors import ImageError
from ..._assets.lambda_handler.oci import Digest, Manifest
from .._validation.values import check, check_text, is_known
from ..provider import PublicImageProvider
from .asset import upload
from .base import SourceBinding

MANIFEST_INLINE_MAX_BYTES = 16 * 1024
"""
The maximum size of a manifest in the template.

A template may have 1 MB, and the event of an update contains both the old and the
new string. An index of ten platforms has about 3 KiB.
"""


class ManifestSource:
    """See ``ImageSource.manifest``: a manifest that is known at synthesis."""

    def __init__(self, content: bytes, path: Path | None, media_type: str | None, digest: str | None) -> None:
        where = f"ImageSource.manifest_file({str(path)!r})" if path else "ImageSource.manifest"
        if digest is not None:
            check(f"{where}: digest", digest, Digest.parse)
        if media_type is not None:
            check_text(f"{where}: media_type", media_type)
        try:
            expected = Digest.parse(digest) if digest is not None and is_known(digest) else None
            self._manifest = Manifest.parse(content, media_type or "", expected=expected)
        except ImageError as error:
            message = f"{where}: {error.message}"
            raise ValueError(message) from None
        self._path = path
        self._media_type = media_type

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        content = self._manifest.content
        # GetTemplate returns "?" for other characters, which would make every diff wrong.
        if len(content) <= MANIFEST_INLINE_MAX_BYTES and content.isascii():
            place: dict[str, str] = {"Body": self._manifest.text}
        else:
            place = self._upload(scope, provider)
        return SourceBinding(
            properties={"Manifest": {**place, **_media_type(self._media_type)}},
            image_digest=str(self._manifest.digest),
            needs_layers=not self._manifest.is_index,
        )

    def _upload(self, scope: Construct, provider: PublicImageProvider) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "manifest.json")
            path.write_bytes(self._manifest.content)
            return upload(scope, "Manifest", path, provider)


class ManifestTokenSource:
    """See ``ImageSource.manifest``: a manifest that is a token."""

    def __init__(self, text: str, media_type: str | None, digest: str | None) -> None:
        if digest is not None:
            check("ImageSource.manifest: digest", digest, Digest.parse)
        if media_type is not None:
            check_text("ImageSource.manifest: media_type", media_type)
        self._text, self._media_type, self._digest = text, media_type, digest

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct or permission
        return SourceBinding(
            properties={"Manifest": {"Body": self._text, **_media_type(self._media_type)}},
            image_digest=self._digest,
            is_expected=self._digest is not None,
            needs_layers=True,
        )


def _media_type(media_type: str | None) -> dict[str, str]:
    return {"MediaType": media_type} if media_type else {}


def read_file(path: str | Path, what: str) -> bytes:
    """
    Read a file of the app.

    Raises:
        ValueError: The file cannot be read; the message begins with *what*.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        message = f"{what}: {str(path)!r} cannot be read: {error.strerror}"
        raise ValueError(message) from None
