"""An account and Region whose stacks, exports and parameters a test sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdk_ecrpublic.review.app.environment import StackParameter
from cdk_ecrpublic.review.app.unknown import Unknown

ACCOUNT, REGION = "123456789012", "us-east-1"


@dataclass
class KnownStack:
    """A stack that is deployed."""

    template: Mapping[str, Any]
    parameters: Mapping[str, StackParameter] = field(default_factory=dict)
    physical_ids: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    stack_id: str = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Known/1"


@dataclass
class FixedEnvironment:
    """All that is not set is unknown; a stack that is not set is not deployed."""

    stacks: dict[str, KnownStack] = field(default_factory=dict)
    exports: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    account: str = ACCOUNT
    region: str = REGION

    def __call__(self, account: str | None, region: str | None) -> FixedEnvironment:
        """Return itself for every account and Region that is not another one."""
        assert (account or ACCOUNT, region or REGION) == (ACCOUNT, REGION)
        return self

    def stack(self, name: str) -> KnownStack | None:
        return self.stacks.get(name)

    def export(self, name: str) -> str | Unknown:
        return self.exports.get(name, Unknown(name))

    def stack_output(self, stack: str, output: str, region: str) -> str | Unknown:
        assert region in {"", REGION}
        return self.stacks[stack].outputs[output] if stack in self.stacks else Unknown(output)

    def ssm_parameter(self, name: str) -> str | Unknown:
        return self.parameters.get(name, Unknown(name))
