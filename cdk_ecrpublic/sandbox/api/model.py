"""
Checks requests and responses with botocore's ``ecr-public`` model.

botocore checks required members, types and minimum lengths before it sends a request.
The service also enforces the maximum lengths, patterns and enumerations of the model.
This module checks all of them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape

from .. import errors
from ..operations import SERVICE
from ..store.images import TAG_PATTERN

EXTRA_PATTERNS = {("PutImageRequest", "imageTag"): TAG_PATTERN}
"""A pattern that the service enforces, but the model does not contain (alexjurkiewicz/ecr-scan-image#40)."""


@cache
def service_model() -> ServiceModel:
    """Load the model from botocore."""
    return ServiceModel(Loader().load_service_model(SERVICE, "service-2"), SERVICE)


def operation_model(name: str) -> OperationModel:
    """
    Return the model of an operation.

    Raises:
        ServiceError: The operation does not exist.
    """
    model = service_model()
    if name not in model.operation_names:
        raise errors.UNKNOWN_OPERATION.error(operation=name)
    return model.operation_model(name)


def parse(name: str, body: bytes) -> dict[str, Any]:
    """
    Parse and check a request.

    Returns:
        The members, with decoded blobs.

    Raises:
        ServiceError: It is not JSON, a member has the wrong type or name
            (SerializationException), or exceeds its limits
            (InvalidParameterException).
    """
    try:
        data = json.loads(body or b"{}")
    except ValueError as error:
        raise errors.SERIALIZATION.error(reason="the request is not JSON") from error
    shape = _required(operation_model(name).input_shape)
    checked = _structure(shape, data, "request")
    for member, value in checked.items():
        pattern = EXTRA_PATTERNS.get((shape.name, member))
        if pattern and not re.fullmatch(pattern, value):
            raise _invalid(member, f"must satisfy regular expression '{pattern}'")
    return checked


def render(name: str, result: Mapping[str, object]) -> bytes:
    """
    Serialize a response. Members that are None are omitted.

    Raises:
        LookupError: The model does not have a member, which is a bug of the sandbox.
    """
    return json.dumps(_checked_answer(_required(operation_model(name).output_shape), result)).encode()


def _required(shape: StructureShape | None) -> StructureShape:
    if shape is None:
        message = "botocore's model has an operation without input or output, which ECR Public does not have"
        raise LookupError(message)
    return shape


def _checked_answer(shape: Shape, value: object) -> object:
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        return {key: _checked_answer(shape.members[key], item) for key, item in value.items() if item is not None}
    if isinstance(shape, ListShape) and isinstance(value, list | tuple):
        return [_checked_answer(shape.member, item) for item in value]
    return str(value) if shape.type_name == "string" else value


def _structure(shape: StructureShape, data: object, member: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise errors.SERIALIZATION.error(reason=f"{member} is not an object")
    if unknown := sorted(data.keys() - shape.members.keys()):
        raise errors.SERIALIZATION.error(reason=f"{member} has unknown members: {', '.join(unknown)}")
    for name in shape.required_members:
        if data.get(name) is None:
            raise _invalid(name, "must not be null")
    return {name: _value(shape.members[name], value, name) for name, value in data.items() if value is not None}


def _list(shape: ListShape, data: object, member: str) -> list[Any]:
    if not isinstance(data, list):
        raise errors.SERIALIZATION.error(reason=f"{member} is not a list")
    _check_range(shape, len(data), member, "length")
    return [_value(shape.member, item, member) for item in data]


def _string(shape: Shape, data: object, member: str) -> str:
    if not isinstance(data, str):
        raise errors.SERIALIZATION.error(reason=f"{member} is not a string")
    _check_range(shape, len(data), member, "length")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, data):
        raise _invalid(member, f"must satisfy regular expression '{pattern}'")
    return data


def _blob(shape: Shape, data: object, member: str) -> bytes:
    try:
        content = base64.b64decode(data if isinstance(data, str) else "!", validate=True)
    except binascii.Error as error:
        raise errors.SERIALIZATION.error(reason=f"{member} is not base64") from error
    _check_range(shape, len(content), member, "length")
    return content


def _integer(shape: Shape, data: object, member: str) -> int:
    if not isinstance(data, int) or isinstance(data, bool):
        raise errors.SERIALIZATION.error(reason=f"{member} is not a number")
    _check_range(shape, data, member, "value")
    return data


def _boolean(_shape: Shape, data: object, member: str) -> bool:
    if not isinstance(data, bool):
        raise errors.SERIALIZATION.error(reason=f"{member} is not a boolean")
    return data


_PARSERS: Mapping[str, Callable[[Any, object, str], Any]] = {
    "structure": _structure,
    "list": _list,
    "string": _string,
    "blob": _blob,
    "integer": _integer,
    "long": _integer,
    "boolean": _boolean,
}


def _value(shape: Shape, data: object, member: str) -> Any:  # noqa: ANN401 - whatever the shape says
    return _PARSERS[shape.type_name](shape, data, member)


def _check_range(shape: Shape, size: int, member: str, what: str) -> None:
    for problem in _problems(shape, size, what):
        raise _invalid(member, problem)


def _problems(shape: Shape, size: int, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"Member must have {what} greater than or equal to {low}"
    if high is not None and size > high:
        yield f"Member must have {what} less than or equal to {high}"


def _invalid(member: str, constraint: str) -> errors.ServiceError:
    return errors.INVALID_PARAMETER.error(member=member, constraint=constraint)
