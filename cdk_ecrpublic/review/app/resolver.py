"""
Resolve the values of a template as CloudFormation does in a deployment.

A value that is not known before the deployment becomes ``Unknown``, which says
what to do. The other parts of the property are still resolved.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Protocol

from .unknown import CORRECT, Unknown, when_known

_VARIABLE = re.compile(r"\$\{(!?)([^{}]+)\}")

_DYNAMIC_REFERENCE = re.compile(r"\{\{resolve:([a-z-]+):([^}]*)\}\}")

_FIND_IN_MAP_ARGUMENTS = 3

NO_SECRETS = (
    "CloudFormation does not resolve secrets in a custom resource; declare the ARN of the secret, "
    "and the function reads it itself"
)

NO_DYNAMIC_CONDITIONS = (
    "it is not documented whether CloudFormation resolves it there; use a parameter of type "
    "AWS::SSM::Parameter::Value<String> instead"
)

NOT_EVALUATED = "this command does not evaluate the function; write the value into the app instead"

NO_MACROS = "this command does not run macros; write what the macro adds into the app instead"

_EXPANDED = ("Fn::Transform", "Fn::ForEach::")
"""Beginnings of keys that CloudFormation replaces by other keys before it reads the template."""


class _NoValue(Enum):
    NO_VALUE = "AWS::NoValue"


NO_VALUE = _NoValue.NO_VALUE
"""The value of ``AWS::NoValue``: the property or list item is omitted."""


class Scope(Protocol):
    """The values of names in one template; ``Unknown`` if they are not known before deployment."""

    @property
    def mappings(self) -> Mapping[str, Any]:
        """The section ``Mappings``."""

    def ref(self, name: str) -> object:
        """Return the value of ``Ref`` for a parameter, a pseudo parameter or a resource."""

    def attribute(self, logical_id: str, name: str) -> object:
        """Return an attribute of a resource."""

    def condition(self, name: str) -> bool | Unknown:
        """Evaluate a condition of the section ``Conditions``."""

    def import_value(self, name: str) -> object:
        """Return the export *name*."""

    def stack_output(self, stack: str, output: str, region: str) -> object:
        """Return an output of another stack. An empty *region* stands for the same Region."""

    def ssm_parameter(self, name: str) -> object:
        """Return a Systems Manager parameter. *name* may end in ``:VERSION``."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Evaluates intrinsic functions and dynamic references."""

    scope: Scope

    def __call__(self, value: object) -> object:
        """Return *value* with all intrinsic functions and dynamic references resolved."""
        return self._dynamic(self._value(value))

    def condition(self, expression: object) -> bool | Unknown:
        """Evaluate an expression of the section ``Conditions``."""
        result = self._value(expression)
        if isinstance(result, bool | Unknown):
            return result
        # The value of a parameter is a string.
        return {"true": True, "false": False}.get(text(result), _malformed("Condition", expression))

    def _value(self, value: object) -> object:
        if isinstance(value, list):
            return [item for item in map(self._value, value) if item is not NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        called = self._called(*next(iter(value.items()))) if len(value) == 1 else None
        if called is not None:
            return called
        items = {key: self._value(item) for key, item in value.items()}
        return expanded_key(value) or {key: item for key, item in items.items() if item is not NO_VALUE}

    def _called(self, name: str, argument: object) -> object:
        """Return the result of a function; None if *name* is not a function."""
        if name in self.functions:
            return self.functions[name](self, argument)
        if name == "Condition" and isinstance(argument, str):
            return self.scope.condition(argument)
        if name.startswith("Fn::") and not name.startswith(_EXPANDED):
            return Unknown(name, NOT_EVALUATED)
        return None

    def _dynamic(self, value: object) -> object:
        """Resolve dynamic references. CloudFormation does this last, in the final string."""
        if isinstance(value, list):
            return [self._dynamic(item) for item in value]
        if isinstance(value, Mapping):
            return {key: self._dynamic(item) for key, item in value.items()}
        if not isinstance(value, str) or "{{resolve:" not in value:
            return value
        found = {match[0]: self._reference(*match.groups()) for match in _DYNAMIC_REFERENCE.finditer(value)}
        return when_known(
            list(found.values()), lambda: _DYNAMIC_REFERENCE.sub(lambda match: text(found[match[0]]), value)
        )

    def _reference(self, service: str, name: str) -> object:
        if service == "ssm":
            return self.scope.ssm_parameter(name)
        cure = NO_SECRETS if service in {"ssm-secure", "secretsmanager"} else CORRECT
        return Unknown(f"{{{{resolve:{service}:{name}}}}}", cure)

    def _ref(self, argument: object) -> object:
        return self.scope.ref(argument) if isinstance(argument, str) else _malformed("Ref", argument)

    def _get_att(self, argument: Any) -> object:  # noqa: ANN401 - a template is outside
        match argument.split(".", 1) if isinstance(argument, str) else argument:
            case [str(logical_id), attribute]:
                name = self._value(attribute)
                return when_known([name], lambda: self.scope.attribute(logical_id, text(name)))
        return _malformed("Fn::GetAtt", argument)

    def _import_value(self, argument: object) -> object:
        name = self._value(argument)
        return when_known([name], lambda: self.scope.import_value(text(name)))

    def _stack_output(self, argument: object) -> object:
        spec = self._value(argument)
        if not isinstance(spec, Mapping) or not {"StackName", "OutputName"} <= spec.keys():
            return _malformed("Fn::GetStackOutput", argument)
        names = [spec["StackName"], spec["OutputName"], spec.get("Region", "")]
        return when_known(names, lambda: self.scope.stack_output(*map(text, names)))

    def _join(self, argument: Any) -> object:  # noqa: ANN401
        match argument:
            case [str(separator), items]:
                parts = self._value(items)
                if isinstance(parts, Unknown):
                    return parts
                if isinstance(parts, list) and all(_is_scalar(part) for part in parts):
                    return when_known(parts, lambda: separator.join(map(text, parts)))
        return _malformed("Fn::Join", argument)

    def _split(self, argument: Any) -> object:  # noqa: ANN401
        match argument:
            case [str(separator), whole] if separator:
                resolved = self._value(whole)
                if _is_scalar(resolved):
                    return when_known([resolved], lambda: text(resolved).split(separator))
        return _malformed("Fn::Split", argument)

    def _select(self, argument: Any) -> object:  # noqa: ANN401
        match argument:
            case [index, items]:
                place, found = self._value(index), self._value(items)
                if isinstance(place, Unknown) or isinstance(found, Unknown):
                    return place if isinstance(place, Unknown) else found
                if isinstance(found, list) and text(place).isdecimal() and int(text(place)) < len(found):
                    return found[int(text(place))]
        return _malformed("Fn::Select", argument)

    def _sub(self, argument: Any) -> object:  # noqa: ANN401
        match argument:
            case str():
                return self._substituted(argument, {})
            case [str(whole), dict(variables)]:
                return self._substituted(whole, variables)
        return _malformed("Fn::Sub", argument)

    def _substituted(self, whole: str, variables: Mapping[str, object]) -> object:
        names = {name for is_literal, name in _VARIABLE.findall(whole) if not is_literal}
        values = {name: self._variable(name.strip(), variables) for name in sorted(names)}
        if not all(map(_is_scalar, values.values())):
            return _malformed("Fn::Sub", whole)
        return when_known(
            list(values.values()),
            lambda: _VARIABLE.sub(lambda match: f"${{{match[2]}}}" if match[1] else text(values[match[2]]), whole),
        )

    def _variable(self, name: str, variables: Mapping[str, object]) -> object:
        if name in variables:
            return self._value(variables[name])
        logical_id, dot, attribute = name.partition(".")
        return self.scope.attribute(logical_id, attribute) if dot else self.scope.ref(name)

    def _if(self, argument: Any) -> object:  # noqa: ANN401
        match argument:
            case [str(name), then, otherwise]:
                holds = self.scope.condition(name)
                return holds if isinstance(holds, Unknown) else self._value(then if holds else otherwise)
        return _malformed("Fn::If", argument)

    def _equals(self, argument: Any) -> object:  # noqa: ANN401
        match argument:
            case [left, right]:
                sides = [self._value(left), self._value(right)]
                if "{{resolve:" in text(sides):
                    return Unknown("a dynamic reference in a condition", NO_DYNAMIC_CONDITIONS)
                return when_known(sides, lambda: _comparable(sides[0]) == _comparable(sides[1]))
        return _malformed("Fn::Equals", argument)

    def _and(self, argument: object) -> object:
        return self._logical("Fn::And", argument, decides=False)

    def _or(self, argument: object) -> object:
        return self._logical("Fn::Or", argument, decides=True)

    def _logical(self, name: str, argument: object, *, decides: bool) -> object:
        """Combine conditions. If one equals *decides*, so does the result, even if others are not known."""
        if not isinstance(argument, list):
            return _malformed(name, argument)
        found = [self.condition(each) for each in argument]
        return decides if decides in found else when_known(found, lambda: not decides)

    def _not(self, argument: object) -> object:
        if not isinstance(argument, list) or len(argument) != 1:
            return _malformed("Fn::Not", argument)
        holds = self.condition(argument[0])
        return holds if isinstance(holds, Unknown) else not holds

    def _find_in_map(self, argument: Any) -> object:  # noqa: ANN401
        if not isinstance(argument, list) or len(argument) < _FIND_IN_MAP_ARGUMENTS:
            return _malformed("Fn::FindInMap", argument)
        keys = [self._value(each) for each in argument[:_FIND_IN_MAP_ARGUMENTS]]
        if missing := next((key for key in keys if isinstance(key, Unknown)), None):
            return missing
        found: Any = self.scope.mappings
        for key in map(text, keys):
            if isinstance(found, Mapping) and key not in found and (expanded := expanded_key(found)):
                return expanded
            found = found.get(key) if isinstance(found, Mapping) else None
        if found is not None:
            return self._value(found)
        options = argument[_FIND_IN_MAP_ARGUMENTS] if len(argument) > _FIND_IN_MAP_ARGUMENTS else {}
        if isinstance(options, Mapping) and "DefaultValue" in options:
            return self._value(options["DefaultValue"])
        return _malformed("Fn::FindInMap", argument)

    def _base64(self, argument: object) -> object:
        value = self._value(argument)
        return when_known([value], lambda: base64.b64encode(text(value).encode()).decode())

    def _length(self, argument: object) -> object:
        value = self._value(argument)
        if isinstance(value, list | Unknown):
            # Unknown items count, too.
            return value if isinstance(value, Unknown) else len(value)
        return _malformed("Fn::Length", argument)

    def _contains(self, argument: Any) -> object:  # noqa: ANN401
        return self._members("Fn::Contains", argument, lambda listed, value: text(value) in map(text, listed))

    def _each_member_equals(self, argument: Any) -> object:  # noqa: ANN401
        return self._members(
            "Fn::EachMemberEquals", argument, lambda listed, value: all(text(each) == text(value) for each in listed)
        )

    def _each_member_in(self, argument: Any) -> object:  # noqa: ANN401
        return self._members(
            "Fn::EachMemberIn",
            argument,
            lambda listed, allowed: {text(each) for each in listed} <= {text(each) for each in allowed},
        )

    def _members(self, name: str, argument: Any, holds: Callable[[Any, Any], bool]) -> object:  # noqa: ANN401
        """Evaluate one of the functions that exist only in the section ``Rules``."""
        match argument:
            case [listed, other]:
                found, compared = self._value(listed), self._value(other)
                wanted = list if name == "Fn::EachMemberIn" else str | int | float | bool
                if isinstance(found, list) and isinstance(compared, wanted | Unknown):
                    return when_known([found, compared], lambda: holds(found, compared))
                if isinstance(found, Unknown):
                    return found
        return _malformed(name, argument)

    functions: ClassVar[Mapping[str, Callable[[Resolver, Any], object]]] = {
        "Ref": _ref,
        "Fn::GetAtt": _get_att,
        "Fn::ImportValue": _import_value,
        "Fn::GetStackOutput": _stack_output,
        "Fn::Join": _join,
        "Fn::Split": _split,
        "Fn::Select": _select,
        "Fn::Sub": _sub,
        "Fn::If": _if,
        "Fn::Equals": _equals,
        "Fn::And": _and,
        "Fn::Or": _or,
        "Fn::Not": _not,
        "Fn::FindInMap": _find_in_map,
        "Fn::Base64": _base64,
        "Fn::Length": _length,
        "Fn::Contains": _contains,
        "Fn::EachMemberEquals": _each_member_equals,
        "Fn::EachMemberIn": _each_member_in,
    }


def expanded_key(section: Mapping[str, object]) -> Unknown | None:
    """Return what is unknown if CloudFormation replaces a key of *section* by others; None if it does not."""
    for key in section:
        if key.startswith(_EXPANDED):
            return Unknown(key, NO_MACROS if key == "Fn::Transform" else NOT_EVALUATED)
    return None


def text(value: object) -> str:
    """Return a scalar as CloudFormation converts it to a string."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | Unknown)


def _comparable(value: object) -> object:
    """Return the value that ``Fn::Equals`` compares. A number equals the string of its digits."""
    return text(value) if _is_scalar(value) else value


def _malformed(name: str, argument: object) -> Unknown:
    return Unknown(f"{name} {json.dumps(argument, default=str)}"[:200], CORRECT)
