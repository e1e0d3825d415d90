"""
Rules that a declaration can set for its release: one module for each.

To add a rule, add a module with a subclass of ``Rule``, a line in ``RULES``, and
the name of its property in ``spec.Property``.
"""

from collections.abc import Mapping

from ..on_demand import load
from ..publish.rule import Rule, WarnOnly
from ..values import Value

RULES: Mapping[str, str] = {
    "ImageDigest": "expected_digest.ExpectedDigest",
    "RequiredPlatforms": "required_platforms.RequiredPlatforms",
    "ImmutableTags": "immutable_tags.ImmutableTags",
    "ForwardOnly": "forward_only.ForwardOnly",
    "RequiredReferrers": "required_referrers.RequiredReferrers",
    "ScanFindings": "scan_findings.ScanFindings",
    "RequiredSignatures": "required_signatures.RequiredSignatures",
}
"""The properties of rules, each with its module and class; violations are reported in this order."""


def decode_rule(name: str, value: Value) -> Rule:
    """
    Decode the property *name* of a rule.

    Raises:
        InvalidPropertiesError: Has all problems.
    """
    rule: Rule = load(__name__, RULES[name]).decode(value)
    return rule


__all__ = ["RULES", "Rule", "WarnOnly", "decode_rule"]
