"""A fake of Systems Manager's parameters, separate for each Region."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

PAGE = 10
NAMES_MAX = 10
VALUE_MAX_CHARACTERS = 4096
LEVELS_MAX = 15
ARN_MAX_CHARACTERS = 1011
LATER_VERSION = 2
"""Stands for every version after the first. A parameter that is deleted and put again starts with 1."""

INVALID, EXISTS, MISSING = "ValidationException", "ParameterAlreadyExists", "ParameterNotFound"

_NAME = re.compile(r"/?[a-zA-Z0-9_.-]+(?:/[a-zA-Z0-9_.-]+)*")


class Refusal(Exception):  # noqa: N818 - a response of the service
    """The service refuses a request. The text is the error code."""


@dataclass(eq=False)  # compared as the mapping that it is
class Everywhere(MutableMapping[str, str]):
    """
    The parameters of all Regions in one mapping. New ones are stored in *home*.
    """

    regions: dict[str, dict[str, str]]
    home: str

    def __getitem__(self, name: str) -> str:
        for parameters in self.regions.values():
            if name in parameters:
                return parameters[name]
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        holders = [parameters for parameters in self.regions.values() if name in parameters]
        for parameters in holders or [self.regions.setdefault(self.home, {})]:
            parameters[name] = value

    def __delitem__(self, name: str) -> None:
        self[name]
        for parameters in self.regions.values():
            parameters.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for parameters in self.regions.values() for name in parameters))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass
class ParameterStore:
    """Answers for one Region."""

    region: str
    parameters: dict[str, str] = field(default_factory=dict)

    def answer(self, operation: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the response to a request.

        Raises:
            Refusal: The service would refuse it.
        """
        result: dict[str, Any] = getattr(self, f"_{operation}")(data)
        return result

    def _GetParameter(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        return {"Parameter": self._shown(self._existing(data["Name"]))}

    def _GetParameters(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        names = data["Names"]
        if not 1 <= len(names) <= NAMES_MAX or len(set(names)) != len(names):
            raise Refusal(INVALID)
        return {
            "Parameters": [self._shown(name) for name in names if name in self.parameters],
            "InvalidParameters": [name for name in names if name not in self.parameters],
        }

    def _PutParameter(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        name, value = data["Name"], data["Value"]
        if not self._is_valid(name) or not 1 <= len(value) <= VALUE_MAX_CHARACTERS:
            raise Refusal(INVALID)
        if name in self.parameters and not data.get("Overwrite"):
            raise Refusal(EXISTS)
        version = LATER_VERSION if name in self.parameters else 1
        self.parameters[name] = value
        return {"Version": version}

    def _DeleteParameter(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        del self.parameters[self._existing(data["Name"])]
        return {}

    def _DeleteParameters(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        names = data["Names"]
        if not 1 <= len(names) <= NAMES_MAX:
            raise Refusal(INVALID)
        gone = [name for name in names if self.parameters.pop(name, None) is not None]
        return {"DeletedParameters": gone, "InvalidParameters": [name for name in names if name not in gone]}

    def _GetParametersByPath(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        path, size = data["Path"], data.get("MaxResults", PAGE)
        if not path.startswith("/") or size > PAGE:
            raise Refusal(INVALID)
        below = f"{path.rstrip('/')}/"
        names = sorted(name for name in list(self.parameters) if name.startswith(below))
        if not data.get("Recursive"):
            names = [name for name in names if "/" not in name.removeprefix(below)]
        first = int(data.get("NextToken", "0"))
        page = [self._shown(name) for name in names[first : first + size]]
        return {"Parameters": page, **({"NextToken": str(first + size)} if names[first + size :] else {})}

    def _existing(self, name: str) -> str:
        if name not in self.parameters:
            raise Refusal(MISSING)
        return name

    def _shown(self, name: str) -> dict[str, Any]:
        return {"Name": name, "Value": self.parameters[name], "Type": "String", "Version": 1}

    def _is_valid(self, name: str) -> bool:
        arn = f"arn:aws:ssm:{self.region}:123456789012:parameter{name}"
        is_reserved = re.match(r"/?(?:aws|ssm)", name, re.IGNORECASE) is not None
        levels = name.count("/")
        return (
            bool(_NAME.fullmatch(name)) and not is_reserved and levels <= LEVELS_MAX and len(arn) <= ARN_MAX_CHARACTERS
        )
