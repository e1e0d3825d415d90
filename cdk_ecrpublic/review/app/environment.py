"""
The values outside the template that CloudFormation uses when it deploys a stack.

The environment of a stack is its account and Region. Its values are a port:
they are read with AWS credentials; without them, all values are unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .unknown import Unknown

NO_CREDENTIALS = "set AWS credentials that may look it up"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackParameter:
    """
    A parameter of a stack that is deployed.

    Attributes:
        value: The given value, which is a name if the type is a Systems Manager parameter.
        resolved: The value of that Systems Manager parameter at the last deployment; None for other types.
    """

    value: str
    resolved: str | None = None

    @property
    def is_hidden(self) -> bool:
        """Whether CloudFormation shows asterisks instead of the value, because the parameter has ``NoEcho``."""
        return bool(self.value) and not self.value.strip("*")


class DeployedStack(Protocol):
    """A deployed stack."""

    @property
    def stack_id(self) -> str:
        """Its ARN."""

    @property
    def parameters(self) -> Mapping[str, StackParameter]:
        """The values of its parameters, by name."""

    @property
    def template(self) -> Mapping[str, Any] | Unknown:
        """Its template, after all transforms."""

    @property
    def physical_ids(self) -> Mapping[str, str] | Unknown:
        """The names of its resources, by logical id."""


class Environment(Protocol):
    """The account and Region of a stack, and the values in them."""

    @property
    def account(self) -> str | Unknown:
        """The account's id, of twelve digits."""

    @property
    def region(self) -> str | Unknown:
        """The Region, such as ``us-east-1``."""

    def stack(self, name: str) -> DeployedStack | Unknown | None:
        """Return a stack by its name or ARN; None if it is not deployed."""

    def export(self, name: str) -> str | Unknown:
        """Return the export *name*."""

    def stack_output(self, stack: str, output: str, region: str) -> str | Unknown:
        """Return an output of a stack. An empty *region* stands for the same Region."""

    def ssm_parameter(self, name: str) -> str | Unknown:
        """Return a Systems Manager parameter. *name* may end in ``:VERSION``."""


Environments = Callable[[str | None, str | None], Environment]
"""Returns the environment of an account and Region. None stands for those of the credentials that deploy the stack."""


@dataclass(frozen=True, slots=True)
class UnseenEnvironment:
    """
    An environment that cannot be read.

    Attributes:
        cure: What to do so that it can be read.
    """

    named_account: str | None
    named_region: str | None
    cure: str = NO_CREDENTIALS

    @property
    def account(self) -> str | Unknown:
        """The account, if the app declares it."""
        return self.named_account or Unknown("AWS::AccountId", f"{self.cure}, or give the stack an `env`")

    @property
    def region(self) -> str | Unknown:
        """The Region, if the app declares it."""
        return self.named_region or Unknown("AWS::Region", f"{self.cure}, or give the stack an `env`")

    def stack(self, name: str) -> Unknown:
        """Find out nothing."""
        return Unknown(f"stack {name}", self.cure)

    def export(self, name: str) -> Unknown:
        """Find out nothing."""
        return Unknown(f"Fn::ImportValue {name}", self.cure)

    def stack_output(self, stack: str, output: str, region: str) -> Unknown:
        """Find out nothing."""
        return Unknown(f"Fn::GetStackOutput {'.'.join(filter(None, (region, stack, output)))}", self.cure)

    def ssm_parameter(self, name: str) -> Unknown:
        """Find out nothing."""
        return Unknown(f"the parameter {name} of Systems Manager", self.cure)


def partition_of(region: str | Unknown) -> tuple[str | Unknown, str | Unknown]:
    """Return the partition of a Region, and the domain of its services."""
    if isinstance(region, Unknown):
        # ECR Public exists only in the partition aws. Synthesis refuses a stack whose Region is known to be elsewhere.
        return "aws", "amazonaws.com"
    if region.startswith("cn-"):
        return "aws-cn", "amazonaws.com.cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws", "amazonaws.com"
