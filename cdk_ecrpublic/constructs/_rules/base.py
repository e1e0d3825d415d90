"""The protocol of a release rule, and the result of binding one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from constructs import Construct

from ..._assets.lambda_handler.spec import Property
from .._sources.base import SourceBinding
from .._tree import path_of
from .._validation.values import check_list, refuse, refuse_kind
from ..provider import PublicImageProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBinding:
    """
    What a rule tells the resource that it is bound to.

    Attributes:
        name: The property of the rule; a declaration has one rule of each kind.
        value: The value of this property.
        warn_only: Whether violations are warnings.
    """

    name: Property
    value: object
    warn_only: bool = False


class IReleaseRule(Protocol):
    """A release rule. ``ReleaseRule`` creates them."""

    def bind(self, scope: Construct, provider: PublicImageProvider, source: SourceBinding) -> RuleBinding:
        """
        Grant *provider* the permissions for what the rule reads, and render the rule.

        Args:
            scope: The image.
            provider: The provider whose function will ask the rule.
            source: The source of the image.

        Raises:
            ValueError: The rule does not apply to this image.
        """


@dataclass(frozen=True, slots=True)
class PlainRule:
    """A rule that needs no permission of its own."""

    name: Property
    value: object
    warn_only: bool

    def bind(self, scope: Construct, provider: PublicImageProvider, source: SourceBinding) -> RuleBinding:
        """Render the rule."""
        del scope, provider, source
        return RuleBinding(name=self.name, value=self.value, warn_only=self.warn_only)


def bind_rules(
    rules: Sequence[IReleaseRule],
    scope: Construct,
    provider: PublicImageProvider,
    source: SourceBinding,
    required_platforms: Sequence[str],
    immutable_tags: Sequence[str],
) -> dict[Property, object]:
    """
    Render the rules of an image: *rules*, and those that are arguments of their own.

    Raises:
        ValueError: One of *rules* is not a rule, does not apply to the image, or is of a kind that is declared twice.
    """
    what = f"{path_of(scope)}: rules"
    check_list(what, rules, "rules, e.g. [ReleaseRule.required_platforms(['linux/amd64'])]")
    arguments = {Property.REQUIRED_PLATFORMS: required_platforms, Property.IMMUTABLE_TAGS: immutable_tags}
    found: dict[Property, object] = {name: list(values) for name, values in arguments.items() if values}
    warn_only: list[str] = []
    for number, rule in enumerate(rules):
        binding = rule.bind(scope, provider, source) if hasattr(rule, "bind") else None
        if not isinstance(binding, RuleBinding):
            refuse_kind(f"{what}[{number}]", rule, "a ReleaseRule, e.g. ReleaseRule.immutable_tags(['1.4.*'])")
        if binding.name in found:
            refuse(f"{what}[{number}]", f"{binding.name} is declared twice; declare each kind of rule once")
        found[binding.name] = binding.value
        warn_only += [binding.name.value] if binding.warn_only else []
    return {**found, Property.WARN_ONLY: warn_only}
