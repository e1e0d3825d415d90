"""What all kinds of source have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from constructs import Construct

from .._validation.values import refuse
from ..provider import PublicImageProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBinding:
    """
    What a source says of itself to the resource that it is bound to.

    Attributes:
        properties: The value of the ``Source`` property: ``{"Digest": "sha256:…"}``.
        image_digest: The digest that it must turn out to have, where that is
            known and not part of *properties*.
        is_expected: Whether *image_digest* is what the app expects of a text
            that it does not know. Only the deployment can compare the two, and
            of a whole image only.
        mutable_tags: Tags or objects that it stands for, which may be another
            image at the next deployment.
        copies: Whether layers may have to be copied, which takes its time.
        needs_layers: Whether layers have to be in the repository that nobody
            has seen there yet.
    """

    properties: Mapping[str, object]
    image_digest: str | None = None
    is_expected: bool = False
    mutable_tags: tuple[str, ...] = ()
    copies: bool = False
    needs_layers: bool = False


class IImageSource(Protocol):
    """
    A kind of source. ``ImageSource`` makes them.

    A class of an app's own with this one method is a source too; no construct
    needs to know it.
    """

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        """
        Grant *provider* exactly what reading the source needs, and render it.

        Args:
            scope: The image; may get child constructs.
            provider: The function that will resolve the source.
        """


def check_whole(what: str, binding: SourceBinding) -> None:
    """
    Refuse an expected digest where a source is not the whole image: it would not be compared with anything.

    Raises:
        ValueError: Says what to do instead.
    """
    if binding.is_expected:
        refuse(
            what,
            f"the manifest is known to the deployment only, which compares digest={binding.image_digest!r} with whole "
            "images, neither with parts of an index nor with what platforms= leaves of one; leave digest= out, or "
            "publish the manifest by a PublicImage and name it by ImageSource.digest",
        )
