"""A declaration: this image is in this repository, under these tags."""

from __future__ import annotations

from dataclasses import dataclass

from ..oci import Digest, Platform
from ..rules import Rule
from ..sources import Source

TAGS_MAX = 1000
"""Amazon ECR Public's quota of tags for one image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """
    What one ``Custom::ECRPublicImage`` asks for.

    Attributes:
        registry_id: Account id or alias; None is the function's own account.
        tags: In the order in which they are put. Empty: published by digest only.
        platforms: Only these, out of an index; empty: all that it has.
        rules: What the image and its tags have to keep.
        include_referrers: What refers to a copied image comes along.
        untags: A tag that is no longer declared is removed from the registry.
        deletes: When the resource is deleted, its tags are removed, and the
            images that thereby lose their last one.
        state_parameter: Name of the parameter in which the declaration is
            remembered; empty: in none.
    """

    repository_name: str
    source: Source
    registry_id: str | None = None
    tags: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    rules: tuple[Rule, ...] = ()
    include_referrers: bool = False
    untags: bool = False
    deletes: bool = False
    state_parameter: str = ""

    @property
    def pinned(self) -> Digest | None:
        """The digest that it always has; None when only its deployment tells."""
        by_rule = next((rule.pinned for rule in self.rules if rule.pinned is not None), None)
        return by_rule or (None if self.platforms else self.source.pinned)
