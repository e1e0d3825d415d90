"""Content digests."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ..errors import InvalidDigestError, truncated_repr

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """
    A SHA-256 digest, written ``sha256:<64 lower-case hex digits>``.

    OCI registers other algorithms too, but ECR Public always uses SHA-256.

    >>> str(Digest.of(b"{}"))
    'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'

    References:
        OCI image-spec v1.1, descriptor.md, "Digests".
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """
        Parse a digest.

        Raises:
            InvalidDigestError: *text* is not in the canonical form. Upper-case
                hex is refused, because registries compare digests as strings.
        """
        if not _DIGEST.fullmatch(text):
            message = f"{truncated_repr(text)} is not a digest; expected 'sha256:' and 64 lower-case hexadecimal digits"
            raise InvalidDigestError(message)
        return cls(text)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Compute the digest of *content*."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def hex(self) -> str:
        """The 64 hexadecimal digits."""
        return self.text.removeprefix("sha256:")

    def __str__(self) -> str:
        return self.text
