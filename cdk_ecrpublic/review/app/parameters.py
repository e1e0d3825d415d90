"""The values of a template's parameters, as ``cdk deploy`` gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .environment import DeployedStack, Environment
from .resolver import text
from .unknown import Unknown, when_known

SSM_TYPE = "AWS::SSM::Parameter::Value<"

_LIST_TYPES = ("List<", "CommaDelimitedList")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """
    The parameters of one template.

    Attributes:
        deployed: Returns the stack as it is deployed; None: it is not.
        given: Values by name, from the command line or from the stack around a nested one.
        is_nested: The stack around it gives all that is not the default.
        was_resolved: What a parameter of Systems Manager stood for at the last deployment counts, not its value now.
        has_defaults: What the deployed stack does not tell is the default.
    """

    environment: Environment
    deployed: Callable[[], DeployedStack | Unknown | None]
    given: Mapping[str, object]
    is_nested: bool
    was_resolved: bool
    has_defaults: bool

    def value(self, name: str, declared: Mapping[str, Any]) -> object:
        """Return what ``Ref`` gives: what is given, else what the stack has now, else the default."""
        kind = str(declared.get("Type", "String"))
        if name in self.given:
            return self._given(name, kind)
        if self.is_nested and self.has_defaults:
            return self._default(name, kind, declared)
        return self._previous(name, kind, declared)

    def _previous(self, name: str, kind: str, declared: Mapping[str, Any]) -> object:
        """Return what the stack has now: ``cdk deploy`` leaves what it is not told as it is."""
        deployed = self.deployed()
        if isinstance(deployed, Unknown):
            default = f"; its default is {text(declared['Default'])!r}" if "Default" in declared else ""
            return _unknown(name, f"{deployed.cure}, or {_give(name)}{default}")
        if deployed is None or name not in deployed.parameters:
            return self._default(name, kind, declared)
        previous = deployed.parameters[name]
        if previous.is_hidden:
            return _unknown(name, f"CloudFormation does not show it (NoEcho); {_give(name)}")
        if previous.resolved is not None and self.was_resolved:
            return _items(kind, previous.resolved)
        return self._typed(kind, previous.value)

    def _given(self, name: str, kind: str) -> object:
        value = self.given[name]
        # What a stack gives to one that is nested in it is one text.
        parts = value if isinstance(value, list) else [value]
        return when_known(parts, lambda: self._typed(kind, ",".join(map(text, parts))))

    def _default(self, name: str, kind: str, declared: Mapping[str, Any]) -> object:
        if "Default" not in declared:
            return _unknown(name, f"it has no default; {_give(name)}")
        return self._typed(kind, text(declared["Default"]))

    def _typed(self, kind: str, value: str) -> object:
        if not kind.startswith(SSM_TYPE):
            return _items(kind, value)
        found = self.environment.ssm_parameter(value)
        return found if isinstance(found, Unknown) else _items(kind, found)


def _give(name: str) -> str:
    return f"give it with --parameters {name}=VALUE"


def _unknown(name: str, cure: str) -> Unknown:
    return Unknown(f"the parameter {name}", cure)


def _items(kind: str, value: str) -> str | list[str]:
    """Return the value of a list type as the items."""
    inner = kind.removeprefix(SSM_TYPE).removesuffix(">") if kind.startswith(SSM_TYPE) else kind
    return [item.strip() for item in value.split(",")] if inner.startswith(_LIST_TYPES) else value
