"""
The AWS clients of one request, with the interface and the errors of botocore.

Each call is a step. Parameters are checked against botocore's models.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import botocore.session
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.validate import ParamValidator

from .aws_control import CLOUDFORMATION, SSM, STS
from .aws_registry import ECR_PUBLIC
from .effects import Effect, Refusal
from .run import Call, Invocation
from .world import World

OPERATIONS: Mapping[str, Mapping[str, Effect]] = {
    "ecr-public": ECR_PUBLIC,
    "ssm": SSM,
    "cloudformation": CLOUDFORMATION,
    "sts": STS,
}


@dataclass(frozen=True)
class Client:
    """The client of one service in one Region."""

    invocation: Invocation
    service: str
    region: str

    def __getattr__(self, method: str) -> Callable[..., Any]:
        operation = _operations(self.service).get(method, "")
        if operation not in OPERATIONS[self.service]:
            message = f"{self.service} has no operation {method}; add it to {OPERATIONS[self.service]}"
            raise AttributeError(message)
        return functools.partial(self._call, operation)

    def _call(self, operation: str, **parameters: Any) -> Any:
        _check(self.service, operation, parameters)
        effect = OPERATIONS[self.service][operation]

        def carry_out(world: World, call: Call) -> Any:
            try:
                return effect(world, call, self.region)
            except Refusal as refusal:
                call.outcome = refusal.code
                raise _error(operation, refusal.code, refusal.text) from None

        def throttled() -> NoReturn:
            code = "Throttling" if self.service == "cloudformation" else "ThrottlingException"
            raise _error(operation, code, "Rate exceeded")

        def lost() -> Exception:
            return ReadTimeoutError(endpoint_url=f"https://{self.service}.{self.region}.amazonaws.com")

        call = Call(self.invocation.name, operation, parameters)
        return self.invocation.step(call, carry_out, throttled=throttled, lost=lost)


def _error(operation: str, code: str, text: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, operation)


@functools.cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@functools.cache
def _operations(service: str) -> Mapping[str, str]:
    return {botocore.xform_name(name): name for name in _model(service).operation_names}


@functools.cache
def _checked(service: str, operation: str, names: frozenset[str]) -> set[str]:
    """Check parameters once, because checking takes longer than the call."""
    del service, operation, names
    return set()


def _check(service: str, operation: str, parameters: Mapping[str, Any]) -> None:
    seen = _checked(service, operation, frozenset(parameters))
    if seen:
        return
    report = ParamValidator().validate(parameters, _model(service).operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()
    seen.add("checked")
