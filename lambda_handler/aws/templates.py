"""Reads stacks: their status, their resources, and their templates with the values of the parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore import xform_name

from ..errors import RejectedError
from ..retry import Retry
from .errcode import translated

PAGES_MAX = 1000
"""With at least a hundred stacks or resources each."""

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")

ACCOUNT = 4
"""The index of the account id in an ARN that is split at colons."""


SETTLED = frozenset(
    {
        "CREATE_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "ROLLBACK_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
    }
)
"""The statuses in which the template says what is deployed. In all others, another template may follow."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class StackReader:
    """
    Reads the stacks of an account.

    Attributes:
        client: Returns the CloudFormation client of a Region.
        hint: What a failure means for the caller.
    """

    client: Callable[[str], Any]
    retry: Retry
    hint: str | None = None

    def stacks(self, region: str) -> Iterator[Mapping[str, str]]:
        """Yield a summary of each stack of a Region, also of deleted ones."""
        for page in self._pages(region, "ListStacks", {}):
            yield from page["StackSummaries"]

    def describe(self, region: str, stack: str) -> Mapping[str, Any]:
        """Describe a stack by its name or ARN."""
        described: Mapping[str, Any] = self._ask(region, "DescribeStacks", {"StackName": stack})["Stacks"][0]
        return described

    def resources(self, region: str, stack: str) -> Iterator[Mapping[str, str]]:
        """Yield a summary of each resource of a stack."""
        for page in self._pages(region, "ListStackResources", {"StackName": stack}):
            yield from page["StackResourceSummaries"]

    def template(self, region: str, described: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, object]]:
        """
        Return the template of a stack, and the values of its parameters and pseudo parameters.

        Args:
            described: The description of the stack.

        Raises:
            RemoteError: The template cannot be read, or is not JSON.
        """
        stack_id, name = described["StackId"], described["StackName"]
        body = self._ask(region, "GetTemplate", {"StackName": stack_id, "TemplateStage": "Processed"})["TemplateBody"]
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError as error:
                unreadable = self.unreadable(f"the template of stack {name} is not JSON, and so cannot be read")
                raise unreadable from error
        values = {
            each["ParameterKey"]: each.get("ResolvedValue", each["ParameterValue"])
            for each in described.get("Parameters", ())
        }
        pseudo = {
            "AWS::Region": region,
            "AWS::AccountId": stack_id.split(":")[ACCOUNT],
            "AWS::StackName": name,
            "AWS::StackId": stack_id,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }
        lists = {
            name: values[name].split(",")
            for name, each in body.get("Parameters", {}).items()
            if name in values and str(each.get("Type", "")).startswith(("CommaDelimitedList", "List<"))
        }
        return body, {**pseudo, **values, **lists}

    def unreadable(self, why: str) -> RejectedError:
        """Return the error that something cannot be read."""
        return RejectedError(why, operation="cloudformation:GetTemplate", hint=self.hint)

    def _pages(self, region: str, operation: str, parameters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        following: Mapping[str, str] = {}
        for _ in range(PAGES_MAX):
            page = self._ask(region, operation, {**parameters, **following})
            yield page
            if not page.get("NextToken"):
                return
            following = {"NextToken": page["NextToken"]}
        error = self.unreadable(f"cloudformation:{operation} returns more than {PAGES_MAX} pages in {region}")
        raise error

    def _ask(self, region: str, operation: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        client = self.client(region)
        method = getattr(client, xform_name(operation))

        def call() -> Mapping[str, Any]:
            with translated(f"cloudformation:{operation}"):
                return dict(method(**parameters))

        return self.retry.call(f"reading the stacks of {region}", call, retry_access_denied=False)


def resolve_known(value: object, parameters: Mapping[str, object]) -> object:
    """
    Replace references to parameters, ``Fn::Sub`` and ``Fn::Join`` by their values.

    Everything else stays as it is: the decoder of the declaration refuses a
    function where it needs a string.

    Args:
        parameters: The values of parameters and pseudo parameters, by name.
    """
    if isinstance(value, list):
        return [resolve_known(each, parameters) for each in value]
    if not isinstance(value, Mapping):
        return value
    match list(value.items()):
        case [("Ref", str(name))] if name in parameters:
            return parameters[name]
        case [("Fn::Sub", str(text))] if all(name in parameters for name in _VARIABLE.findall(text)):
            return _VARIABLE.sub(lambda match: str(parameters[match[1]]), text).replace("${!", "${")
        case [("Fn::Join", [str(separator), list(items)])]:
            parts = [resolve_known(each, parameters) for each in items]
            return separator.join(map(str, parts)) if all(isinstance(each, str) for each in parts) else value
    return {name: resolve_known(each, parameters) for name, each in value.items()}
