"""
Rules that a declaration can set for its release: one module for each.

To add a rule, add a module with a subclass of ``Rule``, a line in ``RULES``, and
the name of its property in ``spec.Property``.
"""

from collections.abc import Callable, Mapping

from ..publish.rule import Rule
from ..values import Value
from .expected_digest import ExpectedDigest
from .immutable_tags import ImmutableTags
from .required_platforms import RequiredPlatforms

RULES: Mapping[str, Callable[[Value], Rule]] = {
    "ImageDigest": ExpectedDigest.decode,
    "RequiredPlatforms": RequiredPlatforms.decode,
    "ImmutableTags": ImmutableTags.decode,
}
"""The decoder of each rule, by property; violations are reported in this order."""

__all__ = ["RULES", "ExpectedDigest", "ImmutableTags", "RequiredPlatforms", "Rule"]
