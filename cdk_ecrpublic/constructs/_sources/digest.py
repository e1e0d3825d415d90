"""An image in the same repository, by digest."""

from __future__ import annotations

from constructs import Construct

from ..._assets.lambda_handler.oci import Digest
from .._validation.values import check
from ..provider import PublicImageProvider
from .base import SourceBinding


class DigestSource:
    """See ``ImageSource.digest``."""

    def __init__(self, digest: str) -> None:
        check("ImageSource.digest", digest, Digest.parse)
        self._digest = digest

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct of its own
        provider.allow_reading()
        return SourceBinding(properties={"Digest": self._digest})
