"""Resolve what a template says about properties, as far as parameters and simple functions go."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


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
