"""The rules and the signatures of a catalog's images, as objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

from aws_cdk import Duration

from .._assets.lambda_handler.errors import truncated_repr
from ..constructs._rules.base import IReleaseRule
from ..constructs._rules.scan_findings import IgnoredFinding
from ..constructs._validation.values import check_mapping, refuse
from ..constructs.release_rule import ReleaseRule
from ..constructs.signing import ISigning, RequiredSignature, Signing
from .model import ImageSettings, RuleArguments, parse_days


def rules_of(what: str, settings: ImageSettings) -> list[IReleaseRule]:
    """Return the rules of an image."""
    check_mapping(what, settings.rules, "rules, e.g. {'forward_only': {}}")
    known = [name for name, value in vars(ReleaseRule).items() if isinstance(value, staticmethod)]
    rules: list[IReleaseRule] = []
    for name, values in settings.rules.items():
        if name not in known:
            refuse(what, f"{truncated_repr(name)} is not a rule; there are: {', '.join(known)}")
        check_mapping(f"{what}: {name}", values, "its arguments, e.g. {'warn_only': True}")
        values = _converted(values)  # noqa: PLW2901 - the same arguments
        method = getattr(ReleaseRule, name)
        try:
            signature(method).bind(**values)
        except TypeError as error:
            refuse(f"{what}: {name}", str(error))
        rules.append(method(**values))
    return rules


def _converted(values: RuleArguments) -> RuleArguments:
    """Convert what a file can only say in other words: durations and findings to ignore."""
    found = dict(values)
    if isinstance(age := found.get("max_age"), str):
        found["max_age"] = Duration.days(int(parse_days(age).partition(" ")[0]))
    if "ignore" in found:
        found["ignore"] = [IgnoredFinding(**each) if isinstance(each, Mapping) else each for each in found["ignore"]]
    if isinstance(signatures := found.get("signatures"), Sequence):
        found["signatures"] = [_called("signatures", RequiredSignature, each) for each in signatures]
    return found


@dataclass(frozen=True, slots=True)
class _KeyArn:
    """What signing needs of a key. An imported key would be a construct, for which a file has no scope."""

    key_arn: str


def signing_of(what: str, value: object) -> ISigning | None:
    """Return who signs an image; None if it is not signed."""
    signing: ISigning | None = _called(what, Signing, value)
    return signing


def _called(what: str, methods: type, value: object) -> Any:  # noqa: ANN401 - what the method returns
    """Call the one method that *value* names; return anything but a mapping as it is."""
    if not isinstance(value, Mapping):
        return value
    known = [name for name, each in vars(methods).items() if isinstance(each, staticmethod)]
    if len(value) != 1 or not value.keys() <= {*known}:
        refuse(what, f"{truncated_repr(dict(value))}; expected one of {', '.join(known)}, with its arguments")
    ((name, arguments),) = value.items()
    check_mapping(f"{what}: {name}", arguments, "its arguments, e.g. {'key': 'arn:aws:kms:…'}")
    method, found = getattr(methods, name), dict(arguments)
    if isinstance(key := found.get("key"), str):
        found["key"] = _KeyArn(key)
    try:
        signature(method).bind(**found)
    except TypeError as error:
        refuse(f"{what}: {name}", str(error))
    return method(**found)
