"""
Rules that a declaration can set for its release: one module for each.

To add a rule, add a module with a subclass of ``Rule``, a line in ``RULES``, and
the name of its property in ``spec.Property``.
"""

from collections.abc import Callable, Mapping

from ..publish.rule import Rule, WarnOnly
from ..values import Value
from .expected_digest import ExpectedDigest
from .forward_only import ForwardOnly
from .immutable_tags import ImmutableTags
from .required_platforms import RequiredPlatforms
from .required_referrers import RequiredReferrers
from .required_signatures import RequiredSignatures
from .scan_findings import ScanFindings

RULES: Mapping[str, Callable[[Value], Rule]] = {
    "ImageDigest": ExpectedDigest.decode,
    "RequiredPlatforms": RequiredPlatforms.decode,
    "ImmutableTags": ImmutableTags.decode,
    "ForwardOnly": ForwardOnly.decode,
    "RequiredReferrers": RequiredReferrers.decode,
    "ScanFindings": ScanFindings.decode,
    "RequiredSignatures": RequiredSignatures.decode,
}
"""The decoder of each rule, by property; violations are reported in this order."""

__all__ = [
    "RULES",
    "ExpectedDigest",
    "ForwardOnly",
    "ImmutableTags",
    "RequiredPlatforms",
    "RequiredReferrers",
    "RequiredSignatures",
    "Rule",
    "ScanFindings",
    "WarnOnly",
]
