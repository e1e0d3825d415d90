"""Read the environment of a stack from AWS, each value once, when an expression needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..._assets.lambda_handler.aws.errcode import translated
from ..._assets.lambda_handler.aws.stack import StackHistory
from ..._assets.lambda_handler.errors import AccessError, ImageError, NotFoundError
from ..app.environment import Environment, StackParameter, UnseenEnvironment
from ..app.unknown import Unknown
from .registry import Registry
from .template_text import parse_template

T = TypeVar("T")

_FAILED = frozenset({"CREATE_FAILED", "UPDATE_FAILED"})

NO_SUCH_STACK = "does not exist"

NOT_DEPLOYED = frozenset({"DELETE_COMPLETE", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""A stack with these statuses counts as not deployed. ``cdk deploy`` first deletes a stack whose creation failed."""


def environments(registry: Registry) -> Callable[[str | None, str | None], Environment]:
    """Return a function that returns the environment of an account and Region. Each is created once."""
    known = registry.environments

    def environment(account: str | None, region: str | None) -> Environment:
        if (account, region) not in known:
            known[account, region] = _environment(registry, account, region)
        return known[account, region]

    return environment


def _environment(registry: Registry, account: str | None, region: str | None) -> Environment:
    if not registry.clients.has_credentials:
        return UnseenEnvironment(account, region)
    if registry.is_elsewhere(account):
        return UnseenEnvironment(account, region, f"set AWS credentials of account {account}")
    return LiveEnvironment(registry, account, region or registry.clients.region)


@dataclass
class LiveEnvironment:
    """
    An environment that is read with AWS credentials.

    Attributes:
        named_account: The account that the app declares; None stands for that of the credentials.
    """

    registry: Registry
    named_account: str | None
    region: str
    _stacks: dict[str, LiveStack | Unknown | None] = field(default_factory=dict)
    _exports: Mapping[str, str] | Unknown | None = None
    _parameters: dict[str, str | Unknown] = field(default_factory=dict)

    @property
    def account(self) -> str | Unknown:
        """The account's id."""
        found = self.named_account or self.registry.clients.account
        return found or Unknown("AWS::AccountId", "set valid AWS credentials, or give the stack an `env`")

    def client(self, service: str, region: str = "") -> Any:  # noqa: ANN401 - botocore's clients are made at run time
        """Return the client of a service."""
        return self.registry.clients.get(service, region or self.region)

    def ask(self, operation: str, call: Callable[[], T]) -> T:
        """
        Call a service, with retries after throttling.

        Raises:
            ImageError: The call failed.
        """

        def asked() -> T:
            with translated(operation):
                return call()

        return self.registry.prompt.call(f"asking {operation}", asked)

    def stack(self, name: str) -> LiveStack | Unknown | None:
        """Return a stack; None if it is not deployed."""
        if name not in self._stacks:
            self._stacks[name] = self._described(name, self.region)
        return self._stacks[name]

    def export(self, name: str) -> str | Unknown:
        """Return the export *name*."""
        expression = f"Fn::ImportValue {name}"
        if self._exports is None:
            self._exports = self._listed()
        if isinstance(self._exports, Unknown):
            return Unknown(expression, self._exports.cure)
        missing = Unknown(expression, f"no stack in {self.region} exports it; first deploy the stack that does")
        return self._exports.get(name, missing)

    def stack_output(self, stack: str, output: str, region: str) -> str | Unknown:
        """Return an output of a stack."""
        found = self._described(stack, region) if region not in {"", self.region} else self.stack(stack)
        expression = f"Fn::GetStackOutput {stack}.{output}"
        if isinstance(found, Unknown):
            return Unknown(expression, found.cure)
        missing = Unknown(expression, f"deploy the stack {stack} first")
        return missing if found is None else found.outputs.get(output, missing)

    def ssm_parameter(self, name: str) -> str | Unknown:
        """Return the current value of a Systems Manager parameter."""
        if name not in self._parameters:
            self._parameters[name] = self._read(name)
        return self._parameters[name]

    def _described(self, name: str, region: str) -> LiveStack | Unknown | None:
        try:
            answer = self.ask(
                "cloudformation:DescribeStacks",
                lambda: self.client("cloudformation", region).describe_stacks(StackName=name)["Stacks"][0],
            )
        except ImageError as error:
            if NO_SUCH_STACK in error.message:
                return None
            return Unknown(f"stack {name}", _cure(error))
        return None if answer.get("StackStatus") in NOT_DEPLOYED else LiveStack(self, answer)

    def _listed(self) -> Mapping[str, str] | Unknown:
        def pages() -> Mapping[str, str]:
            found = self.client("cloudformation").get_paginator("list_exports").paginate()
            return {each["Name"]: each["Value"] for page in found for each in page.get("Exports", ())}

        try:
            return self.ask("cloudformation:ListExports", pages)
        except ImageError as error:
            return Unknown("exports", _cure(error))

    def _read(self, name: str) -> str | Unknown:
        expression = f"the parameter {name} of Systems Manager"
        try:
            found = self.ask("ssm:GetParameter", lambda: self.client("ssm").get_parameter(Name=name)["Parameter"])
        except NotFoundError:
            return Unknown(expression, f"it does not exist in {self.region}; create it before the deployment")
        except ImageError as error:
            return Unknown(expression, _cure(error))
        if found.get("Type") == "SecureString":
            return Unknown(
                expression, "CloudFormation does not resolve secrets in a custom resource; use the type String"
            )
        return str(found["Value"])


@dataclass
class LiveStack:
    """
    A deployed stack.

    Attributes:
        described: The stack in the response of DescribeStacks.
    """

    environment: LiveEnvironment
    described: Mapping[str, Any]
    _template: Mapping[str, Any] | Unknown | None = None
    _physical_ids: Mapping[str, str] | Unknown | None = None

    @property
    def stack_id(self) -> str:
        """Its ARN."""
        return str(self.described.get("StackId", ""))

    @property
    def has_failed(self) -> bool:
        """Whether its last deployment failed and was not rolled back (``--no-rollback``)."""
        return self.described.get("StackStatus") in _FAILED

    @property
    def history(self) -> StackHistory:
        """Its history, which the function will read from its events."""
        client = self.environment.client("cloudformation")
        return StackHistory(client, self.stack_id, self.environment.registry.prompt)

    @property
    def parameters(self) -> Mapping[str, StackParameter]:
        """The values of its parameters, by name."""
        return {
            each["ParameterKey"]: StackParameter(
                value=each.get("ParameterValue", ""), resolved=each.get("ResolvedValue")
            )
            for each in self.described.get("Parameters", ())
        }

    @property
    def outputs(self) -> Mapping[str, str]:
        """Its outputs, by name."""
        return {each["OutputKey"]: each["OutputValue"] for each in self.described.get("Outputs", ())}

    @property
    def template(self) -> Mapping[str, Any] | Unknown:
        """Its template, after all transforms."""
        if self._template is None:
            self._template = read_template(self.environment, self._name)
        return self._template

    @property
    def physical_ids(self) -> Mapping[str, str] | Unknown:
        """The names of its resources, by logical id."""
        if self._physical_ids is None:
            self._physical_ids = self._list_resources()
        return self._physical_ids

    @property
    def _name(self) -> str:
        return self.stack_id or str(self.described["StackName"])

    def _list_resources(self) -> Mapping[str, str] | Unknown:
        def pages() -> Mapping[str, str]:
            client = self.environment.client("cloudformation")
            found = client.get_paginator("list_stack_resources").paginate(StackName=self._name)
            summaries = [each for page in found for each in page.get("StackResourceSummaries", ())]
            return {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in summaries}

        try:
            return self.environment.ask("cloudformation:ListStackResources", pages)
        except ImageError as error:
            return Unknown(f"the resources of {self._name}", _cure(error))


def read_template(environment: LiveEnvironment, name: str) -> Mapping[str, Any] | Unknown:
    """Read the template of a stack after all transforms. botocore has already parsed it if it is JSON."""

    def read() -> object:
        return environment.client("cloudformation").get_template(StackName=name, TemplateStage="Processed")[
            "TemplateBody"
        ]

    unknown = f"the template of {name}"
    try:
        body = environment.ask("cloudformation:GetTemplate", read)
        data = parse_template(body) if isinstance(body, str) else body
    except ImageError as error:
        return Unknown(unknown, _cure(error))
    except (ValueError, RecursionError) as error:
        return Unknown(unknown, f"it cannot be parsed: {error}")
    return data if isinstance(data, Mapping) else Unknown(unknown, "it is not a template")


def _cure(error: ImageError) -> str:
    if isinstance(error, AccessError):
        return f"set AWS credentials that may call {error.operation}"
    return error.explain()
