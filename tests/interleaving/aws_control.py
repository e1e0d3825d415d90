"""Operations of Systems Manager, CloudFormation and the Security Token Service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .effects import Effect, Refusal
from .events import to_datetime
from .run import Call
from .stacks import Stack
from .world import ACCOUNT, World

_PAGE = 10
_TEXT_MAX_BYTES = 4096
_NAME = re.compile(r"/?[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+){0,14}")


def _get_parameter(world: World, call: Call, region: str) -> Any:
    return {"Parameter": _parameter(world, call, region, call.parameters["Name"])}


def _parameter(world: World, call: Call, region: str, name: str) -> dict[str, Any]:
    call.reads.add(f"ssm:{name}")
    if (region, name) not in world.parameters:
        code = "ParameterNotFound"
        raise Refusal(code, "")
    return {"Name": name, "Type": "String", "Value": world.parameters[region, name], "Version": 1}


def _get_parameters(world: World, call: Call, region: str) -> Any:
    requested = call.parameters["Names"]
    call.reads |= {f"ssm:{name}" for name in requested}
    existing = [name for name in requested if (region, name) in world.parameters]
    return {
        "Parameters": [_parameter(world, call, region, name) for name in existing],
        "InvalidParameters": [name for name in requested if name not in existing],
    }


def _get_parameters_by_path(world: World, call: Call, region: str) -> Any:
    path = call.parameters["Path"].rstrip("/") + "/"
    call.reads.add(f"ssm:{path}")
    below = [name for where, name in sorted(world.parameters) if where == region and name.startswith(path)]
    if not call.parameters.get("Recursive"):
        below = [name for name in below if "/" not in name.removeprefix(path)]
    first = int(call.parameters.get("NextToken", "0"))
    last = first + call.parameters.get("MaxResults", _PAGE)
    page = [_parameter(world, call, region, name) for name in below[first:last]]
    return {"Parameters": page, **({"NextToken": str(last)} if below[last:] else {})}


def _put_parameter(world: World, call: Call, region: str) -> Any:
    name, text = call.parameters["Name"], call.parameters["Value"]
    code = "ValidationException"
    if len(text.encode()) > _TEXT_MAX_BYTES or not _NAME.fullmatch(name):
        raise Refusal(code, "name or value is not allowed")
    if (region, name) in world.parameters and not call.parameters.get("Overwrite"):
        code = "ParameterAlreadyExists"
        raise Refusal(code, "")
    call.writes.add(f"ssm:{name}")
    # 2 stands for every version after the first.
    version = 2 if (region, name) in world.parameters else 1
    call.outcome = "new" if version == 1 else "ok"
    world.parameters[region, name] = text
    return {"Version": version, "Tier": "Standard"}


def _delete_parameter(world: World, call: Call, region: str) -> Any:
    name = call.parameters["Name"]
    _parameter(world, call, region, name)
    call.writes.add(f"ssm:{name}")
    del world.parameters[region, name]
    return {}


def _delete_parameters(world: World, call: Call, region: str) -> Any:
    requested = call.parameters["Names"]
    existing = [name for name in requested if (region, name) in world.parameters]
    for name in existing:
        del world.parameters[region, name]
    call.writes |= {f"ssm:{name}" for name in requested}
    return {"DeletedParameters": existing, "InvalidParameters": [name for name in requested if name not in existing]}


def _stack(world: World, call: Call) -> Stack:
    stack = world.stack(call.parameters["StackName"])
    if stack is None:
        code = "ValidationError"
        raise Refusal(code, f"Stack with id {call.parameters['StackName']} does not exist")
    return stack


def _describe_stacks(world: World, call: Call, _region: str) -> Any:
    stack = _stack(world, call)
    call.outcome = stack.status
    described = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": to_datetime(stack.created),
        "StackStatus": stack.status,
        "DisableRollback": False,
        **({"LastUpdatedTime": to_datetime(stack.updated)} if stack.updated else {}),
    }
    return {"Stacks": [described]}


def _describe_stack_events(world: World, call: Call, _region: str) -> Any:
    events = _stack(world, call).events[::-1]
    first = int(call.parameters.get("NextToken", "0"))
    last = first + 100
    return {"StackEvents": events[first:last], **({"NextToken": str(last)} if events[last:] else {})}


def _describe_stack_resource(world: World, call: Call, _region: str) -> Any:
    stack, name = _stack(world, call), call.parameters["LogicalResourceId"]
    resource = stack.resources.get(name)
    if resource is None:
        code = "ValidationError"
        raise Refusal(code, f"Resource {name} does not exist for stack {stack.name}")
    call.outcome = resource.status
    detail = {
        "StackName": stack.name,
        "StackId": stack.id,
        "LogicalResourceId": name,
        "PhysicalResourceId": resource.physical_id,
        "ResourceType": "Custom::ECRPublicImage",
        "LastUpdatedTimestamp": to_datetime(resource.since),
        "ResourceStatus": resource.status,
    }
    return {"StackResourceDetail": detail}


def _get_caller_identity(_world: World, _call: Call, _region: str) -> Any:
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/handler/handler"
    return {"Account": ACCOUNT, "Arn": arn, "UserId": "AROAEXAMPLE:handler"}


SSM: Mapping[str, Effect] = {
    "GetParameter": _get_parameter,
    "GetParameters": _get_parameters,
    "GetParametersByPath": _get_parameters_by_path,
    "PutParameter": _put_parameter,
    "DeleteParameter": _delete_parameter,
    "DeleteParameters": _delete_parameters,
}

CLOUDFORMATION: Mapping[str, Effect] = {
    "DescribeStacks": _describe_stacks,
    "DescribeStackEvents": _describe_stack_events,
    "DescribeStackResource": _describe_stack_resource,
}

STS: Mapping[str, Effect] = {"GetCallerIdentity": _get_caller_identity}
