"""A declaration: this image is in this repository, under these tags."""

from __future__ import annotations

from dataclasses import dataclass

from ..oci import Digest, Platform
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
        expected_digest: What the source must turn out to be; None: anything.
        platforms: Only these, out of an index; empty: all that it has.
        required_platforms: What the image must run on.
        include_referrers: What refers to a copied image comes along.
        immutable_tags: Tags, or patterns with ``*`` and ``?``, that may not
            move to another image.
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
    expected_digest: Digest | None = None
    platforms: tuple[Platform, ...] = ()
    required_platforms: tuple[Platform, ...] = ()
    include_referrers: bool = False
    immutable_tags: tuple[str, ...] = ()
    untags: bool = False
    deletes: bool = False
    state_parameter: str = ""
