"""
What CloudFormation knows when it deploys a stack, beside the template.

The environment of a stack is its account and Region. Which values there are
in it is a port: with AWS credentials they are read, and without them nothing
is known, and the cure says so.
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
        value: What was given; of a parameter of Systems Manager, its name.
        resolved: What it stood for at the last deployment; None: the value itself.
    """

    value: str
    resolved: str | None = None

    @property
    def is_hidden(self) -> bool:
        """Whether CloudFormation shows asterisks instead: the parameter is declared with ``NoEcho``."""
        return bool(self.value) and not self.value.strip("*")


class DeployedStack(Protocol):
    """A stack, as it is deployed."""

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
    """The account and the Region that a stack is deployed to, and what is in them."""

    @property
    def account(self) -> str | Unknown:
        """The account's id, of twelve digits."""

    @property
    def region(self) -> str | Unknown:
        """The Region, such as ``us-east-1``."""

    def stack(self, name: str) -> DeployedStack | Unknown | None:
        """Return a stack, by its name or ARN; None: it is not deployed."""

    def export(self, name: str) -> str | Unknown:
        """Return what a stack exports under *name*."""

    def stack_output(self, stack: str, output: str, region: str) -> str | Unknown:
        """Return an output of a stack; *region* may be empty: the same."""

    def ssm_parameter(self, name: str) -> str | Unknown:
        """Return a parameter of Systems Manager; *name* may end in ``:VERSION``."""


Environments = Callable[[str | None, str | None], Environment]
"""Returns the environment of a stack by account and Region; None: those of the credentials that deploy it."""


@dataclass(frozen=True, slots=True)
class UnseenEnvironment:
    """
    An environment that we cannot look into.

    Attributes:
        cure: What would let us look.
    """

    named_account: str | None
    named_region: str | None
    cure: str = NO_CREDENTIALS

    @property
    def account(self) -> str | Unknown:
        """The account, where the app names it."""
        return self.named_account or Unknown("AWS::AccountId", f"{self.cure}, or give the stack an `env`")

    @property
    def region(self) -> str | Unknown:
        """The Region, where the app names it."""
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
        # The only partition that has ECR Public; a stack elsewhere is refused at synthesis where that is known.
        return "aws", "amazonaws.com"
    if region.startswith("cn-"):
        return "aws-cn", "amazonaws.com.cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws", "amazonaws.com"
