"""A scope for template expressions whose values a test sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdk_ecrpublic.review.app.unknown import Unknown


@dataclass(frozen=True)
class FixedScope:
    """
    A scope with fixed values. All others are unknown.

    Attributes:
        names: The values of ``Ref``, by name, and of attributes, by ``logical id.name``.
    """

    names: Mapping[str, object] = field(default_factory=dict)
    conditions: Mapping[str, bool] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    exports: Mapping[str, object] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)

    def ref(self, name: str) -> object:
        return self.names.get(name, Unknown(name))

    def attribute(self, logical_id: str, name: str) -> object:
        return self.ref(f"{logical_id}.{name}")

    def condition(self, name: str) -> bool | Unknown:
        return self.conditions.get(name, Unknown(name))

    def import_value(self, name: str) -> object:
        return self.exports.get(name, Unknown(name))

    def stack_output(self, stack: str, output: str, region: str) -> object:
        return self.ref(f"{region}{stack}.{output}")

    def ssm_parameter(self, name: str) -> object:
        return self.parameters.get(name, Unknown(name))
