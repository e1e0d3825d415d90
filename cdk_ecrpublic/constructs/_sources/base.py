"""The protocol of a source, and the result of binding one."""

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
    What a source tells the resource that it is bound to.

    Attributes:
        properties: The value of the ``Source`` property: ``{"Digest": "sha256:…"}``.
        image_digest: The digest that the image must have, if it is known and
            not part of *properties*.
        is_expected: Whether *image_digest* is the expected digest of a token. Only
            the deployment can compare the two, and only for a complete image.
        mutable_tags: Tags or objects that may be another image at the next
            deployment.
        copies: Whether layers may have to be copied, which takes more time.
        needs_layers: Whether the function has to check that the layers are in the
            repository.
        private_repositories: The ARNs of the repositories in private ECR that
            images come from.
    """

    properties: Mapping[str, object]
    image_digest: str | None = None
    is_expected: bool = False
    mutable_tags: tuple[str, ...] = ()
    copies: bool = False
    needs_layers: bool = False
    private_repositories: tuple[str, ...] = ()


class IImageSource(Protocol):
    """
    A kind of source. ``ImageSource`` creates the built-in ones.

    An app can implement its own source: any class with this method works.

    ```python
    from pathlib import Path

    class TestedBuild:
        def bind(self, scope, provider):
            digest = Path("build/tested-digest").read_text().strip()
            return ImageSource.digest(digest).bind(scope, provider)
    ```
    """

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        """
        Grant *provider* the permissions for reading the source, and render the source.

        Args:
            scope: The scope for child constructs, which is the image.
            provider: The provider whose function will resolve the source.
        """


def check_whole(what: str, binding: SourceBinding) -> None:
    """
    Refuse an expected digest if the source is not the complete image, because nothing would be compared with it.

    Raises:
        ValueError: Says what to do instead.
    """
    if binding.is_expected:
        refuse(
            what,
            f"the manifest is a token, so only the deployment can compare digest={binding.image_digest!r}, and only "
            "for a complete image, not for a part of an index or one that platforms= reduces; omit digest=, or publish "
            "the manifest with a PublicImage of its own and use ImageSource.digest",
        )
