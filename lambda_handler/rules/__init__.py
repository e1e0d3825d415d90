"""
What a declaration may demand of its release: one module for each rule.

A new rule is a new module with a subclass of ``Rule``, and its line in
``RULES``; its property gets a name in ``spec.Property``.
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
"""How each is read, by its property; in the order in which violations are told."""

__all__ = ["RULES", "ExpectedDigest", "ImmutableTags", "RequiredPlatforms", "Rule"]
