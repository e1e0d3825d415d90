"""The templates of the stacks: custom resources, and the functions that they call."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .guard import PREFIX, parameter_prefixes

PROBE_FILE = Path(__file__).with_name("probe_function.txt")
"""The code of the function. It is not a module of the package: it runs in Lambda only."""

PROBE_TYPE = "Custom::Probe"
IMAGE_TYPE = "Custom::ECRPublicImage"

TIMEOUT_SECONDS = "60"

Resources = Mapping[str, Mapping[str, object]]


def stack_template(tokens: Mapping[str, str], case: str, resources: Resources) -> dict[str, Any]:
    """Return a template in which each resource is created after the one before it, unless it is ``Beside`` it."""
    names = list(resources)
    return {
        "Resources": {
            name: {
                **({"DependsOn": names[number - 1]} if number and not resources[name].get("Beside") else {}),
                **_resource(tokens, case, resources[name]),
            }
            for number, name in enumerate(names)
        }
    }


def _resource(tokens: Mapping[str, str], case: str, given: Mapping[str, object]) -> dict[str, Any]:
    kind = str(given.get("Type", PROBE_TYPE))
    own = {"Case": case} if kind == PROBE_TYPE else {}
    properties = {name: value for name, value in given.items() if name not in ("Type", "Beside")}
    return {
        "Type": kind,
        "Properties": {"ServiceToken": tokens[kind], "ServiceTimeout": TIMEOUT_SECONDS, **own, **properties},
    }


def packed_function() -> bytes:
    """Return the code of the function of this project as a zip file."""
    folder = (Path(__file__).parents[1] / "_assets" / "lambda_handler").resolve()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.py")):
            archive.write(path, f"lambda_handler/{path.relative_to(folder).as_posix()}")
    return packed.getvalue()


def probe_template(name: str, run: str) -> dict[str, Any]:
    """Return the template of both functions. They may not write logs, so they leave no log groups."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": _allowed(run)}
    return {
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": name,
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                    "Policies": [{"PolicyName": "probe", "PolicyDocument": document}],
                },
            },
            "Probe": _function(name, "index.handler", PROBE_FILE.read_text(encoding="utf-8"), run),
            "Function": _function(f"{name}-image", "lambda_handler.entrypoint.handler", "# replaced", run),
        },
        "Outputs": {each: {"Value": {"Fn::GetAtt": [each, "Arn"]}} for each in ("Probe", "Function")},
    }


def _allowed(run: str) -> list[dict[str, object]]:
    """Return the statements of the role of both functions."""

    def allow(actions: Sequence[str], resource: object) -> dict[str, object]:
        return {"Effect": "Allow", "Action": list(actions), "Resource": resource}

    repositories = {"Fn::Sub": f"arn:aws:ecr-public::${{AWS::AccountId}}:repository/{PREFIX}/{run}/*"}
    seen, records = (f"parameter{prefix}*" for prefix in parameter_prefixes("${AWS::AccountId}", run))
    return [
        allow(["ssm:PutParameter"], _arn("ssm", seen)),
        allow(["cloudformation:Describe*"], _arn("cloudformation", f"stack/{PREFIX}-*")),
        allow(["ecr-public:*"], repositories),
        allow(["ecr:GetAuthorizationToken", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"], "*"),
        allow(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], _arn("ecr", f"repository/{PREFIX}/{run}/*")),
        allow(
            ["ssm:DeleteParameter", "ssm:GetParameter", "ssm:GetParametersByPath", "ssm:PutParameter"],
            _arn("ssm", records),
        ),
    ]


def _function(name: str, handler: str, code: str, run: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": name,
            "Runtime": "python3.14",
            "Architectures": ["arm64"],
            "Handler": handler,
            "MemorySize": 512,
            "Timeout": 50,
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Environment": {"Variables": {"PARAMETERS": f"/{PREFIX}/{run}"}},
            "Code": {"ZipFile": code},
        },
    }


def _arn(service: str, resource: str) -> dict[str, str]:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"}
