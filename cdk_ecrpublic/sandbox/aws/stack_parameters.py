"""
Parameters of Systems Manager types in DescribeStacks: their name and their resolved value.

ministack 1.5.33 stores both, but returns the resolved value instead of the name.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # the answer is ministack's own
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"

Answer = tuple[int, dict[str, str], bytes]


def tell_names_of_parameters() -> None:
    """Correct the response of ministack's DescribeStacks."""
    from ministack.services import cloudformation  # noqa: PLC0415 - reads the environment
    from ministack.services.cloudformation import handlers  # noqa: PLC0415

    describe: Callable[[object], Answer] = handlers._ACTION_HANDLERS["DescribeStacks"]  # noqa: SLF001

    def answer(parameters: object) -> Answer:
        status, headers, body = describe(parameters)
        if status != HTTPStatus.OK:
            return status, headers, body
        kept = {each["StackId"]: each.get("_resolved_params", {}) for each in cloudformation._stacks.values()}  # noqa: SLF001
        return status, headers, with_names(body, kept)

    handlers._ACTION_HANDLERS["DescribeStacks"] = answer  # noqa: SLF001


def with_names(body: bytes, kept: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> bytes:
    """
    Return the response with the names of the parameters.

    Args:
        kept: The parameters that ministack stores, by stack and name.
    """
    names = {
        (stack, name): each["SsmName"]
        for stack, parameters in kept.items()
        for name, each in parameters.items()
        if each.get("SsmName")
    }
    if not names:
        return body
    ET.register_namespace("", _NAMESPACE)
    root = ET.fromstring(body)  # noqa: S314
    for stack in root.iterfind(".//{*}Stacks/{*}member"):
        for parameter in stack.iterfind("{*}Parameters/{*}member"):
            value = parameter.find("{*}ParameterValue")
            name = names.get((stack.findtext("{*}StackId", ""), parameter.findtext("{*}ParameterKey", "")))
            if name and value is not None:
                ET.SubElement(parameter, f"{{{_NAMESPACE}}}ResolvedValue").text = value.text
                value.text = name
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data
