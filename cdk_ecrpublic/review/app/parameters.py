"""The values that ``cdk deploy`` gives to the parameters of a template."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .environment import DeployedStack
from .resolver import text
from .unknown import Unknown, when_known

SSM_TYPE = "AWS::SSM::Parameter::Value<"

_LIST_TYPES = ("List<", "CommaDelimitedList")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """
    The parameters of one template.

    Attributes:
        stored: Returns the value of a Systems Manager parameter at the beginning of the deployment.
        deployed: Returns the deployed stack; None if it is not deployed.
        given: Values by name, from the command line or from the parent of a nested stack.
        is_nested: Whether the stack is nested, so that *given* has all values that are not defaults.
        was_resolved: Whether to use Systems Manager parameters as resolved at the last deployment, not as they are now.
        has_defaults: Whether values that the deployed stack does not have are defaults.
    """

    stored: Callable[[str], object]
    deployed: Callable[[], DeployedStack | Unknown | None]
    given: Mapping[str, object]
    is_nested: bool
    was_resolved: bool
    has_defaults: bool

    def value(self, name: str, declared: Mapping[str, Any]) -> object:
        """Return the value of ``Ref``: the given one, else that of the deployed stack, else the default."""
        if name in self.given:
            return self._given(name, declared)
        if self.is_nested and self.has_defaults:
            return self._default(name, declared)
        return self._previous(name, declared)

    def _previous(self, name: str, declared: Mapping[str, Any]) -> object:
        """Return the value of the deployed stack, which ``cdk deploy`` keeps unless another one is given."""
        deployed = self.deployed()
        if isinstance(deployed, Unknown):
            default = f"; its default is {text(declared['Default'])!r}" if "Default" in declared else ""
            return _unknown(name, f"{deployed.cure}, or {_give(name)}{default}")
        if deployed is None or name not in deployed.parameters:
            return self._default(name, declared)
        previous = deployed.parameters[name]
        if previous.is_hidden:
            return _unknown(name, f"CloudFormation does not show it (NoEcho); {_give(name)}")
        if previous.resolved is not None and self.was_resolved:
            return _items(kind_of(declared), previous.resolved)
        return self._typed(name, previous.value, declared)

    def _given(self, name: str, declared: Mapping[str, Any]) -> object:
        value = self.given[name]
        # A parent stack passes a list to a nested stack as one string.
        parts = value if isinstance(value, list) else [value]
        return when_known(parts, lambda: self._typed(name, ",".join(map(text, parts)), declared))

    def _default(self, name: str, declared: Mapping[str, Any]) -> object:
        if "Default" not in declared:
            return _unknown(name, f"it has no default; {_give(name)}")
        return self._typed(name, text(declared["Default"]), declared)

    def _typed(self, name: str, value: str, declared: Mapping[str, Any]) -> object:
        kind = kind_of(declared)
        if self.has_defaults and (violated := violated_constraint(value, declared)):
            return _unknown(name, f"CloudFormation will refuse {value!r}: {violated}; {_give(name)}")
        if not kind.startswith(SSM_TYPE):
            return _items(kind, value)
        found = self.stored(value)
        return found if isinstance(found, Unknown) else _items(kind, text(found))


def kind_of(declared: Mapping[str, Any]) -> str:
    """Return the type of a parameter."""
    return str(declared.get("Type", "String"))


def violated_constraint(value: str, declared: Mapping[str, Any]) -> str:
    """Return the constraint of a parameter that a value violates; empty if there is none."""
    kind = kind_of(declared)
    items = _items(kind, value)
    for item in [items] if isinstance(items, str) else items:
        if "Number" in kind and not kind.startswith(SSM_TYPE) and _number(item) is None:
            return f"{item!r} is not a number"
        for name, keeps in _CONSTRAINTS.items():
            if name in declared and not keeps(item, declared[name]):
                return f"{name} is {text(declared[name])}"
    return ""


def _number(value: object) -> float | None:
    try:
        return float(text(value))
    except ValueError:
        return None


def _compares(value: str, limit: object, *, least: bool) -> bool:
    number, bound = _number(value), _number(limit)
    return number is None or bound is None or (number >= bound if least else number <= bound)


def _matches(value: str, pattern: object) -> bool:
    """Whether a value matches a pattern of Java. One that means something else in Python is not checked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            return re.fullmatch(text(pattern), value) is not None
    except (re.error, FutureWarning):
        return True


_CONSTRAINTS: Mapping[str, Callable[[str, Any], bool]] = {
    "AllowedValues": lambda value, allowed: not isinstance(allowed, list) or value in map(text, allowed),
    "AllowedPattern": _matches,
    "MinLength": lambda value, limit: _compares(str(len(value)), limit, least=True),
    "MaxLength": lambda value, limit: _compares(str(len(value)), limit, least=False),
    "MinValue": lambda value, limit: _compares(value, limit, least=True),
    "MaxValue": lambda value, limit: _compares(value, limit, least=False),
}
"""Whether a value, or an item of a list, keeps a constraint. For a Systems Manager parameter, it is about its name."""


def _give(name: str) -> str:
    return f"give it with --parameters {name}=VALUE"


def _unknown(name: str, cure: str) -> Unknown:
    return Unknown(f"the parameter {name}", cure)


def _items(kind: str, value: str) -> str | list[str]:
    """Split the value of a list type into its items."""
    inner = kind.removeprefix(SSM_TYPE).removesuffix(">") if kind.startswith(SSM_TYPE) else kind
    return [item.strip() for item in value.split(",")] if inner.startswith(_LIST_TYPES) else value
