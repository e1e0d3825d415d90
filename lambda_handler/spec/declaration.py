"""The declaration of an image: its source, its repository and its tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..oci import Digest, Platform
from ..rules import Rule
from ..sources import Source

if TYPE_CHECKING:
    from ..signatures import Signing

TAGS_MAX = 1000
"""Amazon ECR Public's quota of tags for one image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """
    What one ``Custom::ECRPublicImage`` declares.

    Attributes:
        registry_id: Account id or alias; None for the function's own account.
        tags: The tags in the order in which they are put; empty to publish by
            digest only.
        platforms: The platforms to keep in an index; empty for all.
        rules: The rules that the image and its tags must satisfy.
        signing: How the image is signed; None if it is not.
        include_referrers: Whether to copy the referrers of an image too.
        untags: Whether to remove tags that are no longer declared.
        deletes: Whether to remove the tags when the resource is deleted, and
            images without any other tag with them.
        state_parameter: Name of the SSM parameter that stores the state of the
            resource; empty for none.
    """

    repository_name: str
    source: Source
    registry_id: str | None = None
    tags: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    rules: tuple[Rule, ...] = ()
    signing: Signing | None = None
    include_referrers: bool = False
    untags: bool = False
    deletes: bool = False
    state_parameter: str = ""

    @property
    def pinned(self) -> Digest | None:
        """The digest of the image if the declaration determines it; None if it must be resolved."""
        by_rule = next((rule.pinned for rule in self.rules if rule.pinned is not None), None)
        return by_rule or (None if self.platforms else self.source.pinned)
