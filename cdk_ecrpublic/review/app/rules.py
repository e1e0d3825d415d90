"""The section ``Rules`` of a template, which may refuse the values of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .resolver import Resolver
from .unknown import Unknown

BOOTSTRAP_RULE = "CheckBootstrapVersion"
"""Each template of the CDK has it. cdk itself checks the version of the bootstrap stack before it deploys."""


def accepted_by_rules(rules: Mapping[str, Any], resolver: Resolver) -> bool | Unknown:
    """Return True if all rules hold; otherwise ``Unknown``: CloudFormation refuses the template, or may do so."""
    for name, rule in rules.items():
        applies = name != BOOTSTRAP_RULE and resolver.condition(rule.get("RuleCondition", True))
        for assertion in rule.get("Assertions", []) if applies else []:
            holds = resolver.condition(assertion.get("Assert"))
            if holds is not True:
                why = assertion.get("AssertDescription", name)
                refused = Unknown(f"the result of the rule {name}", f"CloudFormation will refuse it: {why}")
                return next((each for each in (applies, holds) if isinstance(each, Unknown)), refused)
    return True
