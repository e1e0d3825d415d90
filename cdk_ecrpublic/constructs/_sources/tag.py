"""An image in the same repository, by tag."""

from __future__ import annotations

from constructs import Construct

from ..._assets.lambda_handler.oci import parse_tag
from .._validation.values import check
from ..provider import PublicImageProvider
from .base import SourceBinding


class TagSource:
    """See ``ImageSource.tag``."""

    def __init__(self, tag: str) -> None:
        check("ImageSource.tag", tag, parse_tag)
        self._tag = tag

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:  # noqa: ARG002 - needs no construct of its own
        provider.allow_reading()
        return SourceBinding(properties={"Tag": self._tag}, mutable_tags=(self._tag,))
