"""
Values of a template, as far as they are known before it is deployed.

What only a deployment knows becomes ``Unknown`` and says of what; the rest of
a property is still worth reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_VARIABLE = re.compile(r"\$\{(!?)([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only the deployment will know, and the expression that stands for it."""

    expression: str

    def __str__(self) -> str:
        return f"<{self.expression}>"


Lookup = Callable[[str], object]
"""What a ``Ref`` to this name gives; ``Unknown`` where only the deployment tells."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """
    Evaluates the intrinsic functions that the CDK writes into properties.

    Attributes:
        ref: Parameters, pseudo parameters and resources by their names.
        import_value: Exports of other stacks of the app by their names.
    """

    ref: Lookup
    import_value: Lookup

    def __call__(self, value: object) -> object:
        """Return *value* with every intrinsic function in it replaced by what it gives."""
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        return {key: self(item) for key, item in value.items()}

    def _call(self, name: str, argument: Any) -> object:  # noqa: ANN401 - a template is outside
        value: object = Unknown(f"{name} {argument}")
        match name, argument:
            case "Ref", str():
                value = self.ref(argument)
            case "Fn::ImportValue", _:
                export = self(argument)
                value = self.import_value(export) if isinstance(export, str) else Unknown(name)
            case "Fn::Join", [str(separator), items]:
                value = self._join(separator, self(items))
            case "Fn::Select", [int() | str() as index, items] if str(index).isdecimal():
                value = self._select(int(index), self(items))
            case "Fn::Split", [str(separator), text]:
                resolved = self(text)
                value = resolved.split(separator) if isinstance(resolved, str) else resolved
            case "Fn::Sub", str():
                value = self._sub(argument, {})
            case "Fn::Sub", [str(text), dict(variables)]:
                value = self._sub(text, variables)
        return value

    def _join(self, separator: str, items: object) -> object:
        return _whole(items, lambda: separator.join(map(str, items))) if isinstance(items, list) else items

    def _select(self, index: int, items: object) -> object:
        if not isinstance(items, list):
            return items
        return items[index] if index < len(items) else Unknown(f"Fn::Select {index}")

    def _sub(self, text: str, variables: Mapping[str, object]) -> object:
        names = {name for is_literal, name in _VARIABLE.findall(text) if not is_literal}
        values = {name: self(variables[name]) if name in variables else self.ref(name) for name in sorted(names)}
        return _whole(
            list(values.values()),
            lambda: _VARIABLE.sub(lambda match: f"${{{match[2]}}}" if match[1] else str(values[match[2]]), text),
        )


def unknowns(value: object) -> Iterator[Unknown]:
    """Give all of *value* that is not known, at whatever depth."""
    if isinstance(value, Unknown):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from unknowns(item)
    elif isinstance(value, list):
        for item in value:
            yield from unknowns(item)


def _whole(parts: list[object], make: Callable[[], str]) -> object:
    """Make a text out of *parts*; of one that is not known, nothing is known."""
    return next(unknowns(parts), None) or make()
