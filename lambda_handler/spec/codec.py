"""
The properties of ``Custom::ECRPublicImage``: their names, encoding and decoding.

Public contract: deployed stacks keep sending these properties. Whatever a
released version accepted must stay accepted; new properties are optional.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..errors import InvalidPropertiesError, InvalidReferenceError, truncated_repr
from ..oci import Platform, parse_registry_id, parse_repository_name, parse_tag
from ..rules import RULES, WarnOnly, decode_rule
from ..sources import decode_source
from ..values import Value
from .declaration import TAGS_MAX, Declaration

if TYPE_CHECKING:
    from ..signatures import Signing

T = TypeVar("T")

RESOURCE_TYPE = "Custom::ECRPublicImage"


class Property(StrEnum):
    """The names of the properties, in the order of the template."""

    REGISTRY_ID = "RegistryId"
    REPOSITORY_NAME = "RepositoryName"
    IMAGE_TAGS = "ImageTags"
    IMAGE_DIGEST = "ImageDigest"
    SOURCE = "Source"
    PLATFORMS = "Platforms"
    REQUIRED_PLATFORMS = "RequiredPlatforms"
    IMMUTABLE_TAGS = "ImmutableTags"
    FORWARD_ONLY = "ForwardOnly"
    REQUIRED_REFERRERS = "RequiredReferrers"
    SCAN_FINDINGS = "ScanFindings"
    REQUIRED_SIGNATURES = "RequiredSignatures"
    WARN_ONLY = "WarnOnly"
    SIGN_WITH = "SignWith"
    INCLUDE_REFERRERS = "IncludeReferrers"
    ON_TAG_REMOVED = "OnTagRemoved"
    ON_DELETE = "OnDelete"
    STATE_PARAMETER_NAME = "StateParameterName"
    REFRESH = "Refresh"


PARAMETER_NAME_MAX_CHARACTERS = 900
"""Systems Manager allows 1,011 for the whole ARN."""

_PARAMETER_NAME = re.compile(r"(?!/(?:aws|ssm))(?:/[a-zA-Z0-9_.-]+){2,15}")

_CLOUDFORMATION = frozenset({"ServiceToken", "ServiceTimeout"})
"""Properties that CloudFormation and CDK add to every custom resource."""


def encode(values: Mapping[Property, object]) -> dict[str, object]:
    """
    Encode properties for a template, in the order of ``Property`` and without unset ones.

    Args:
        values: Plain values or CDK tokens; None and empty lists count as unset.
    """
    return {name.value: values[name] for name in Property if values.get(name) not in (None, [], ())}


def as_sent(value: object) -> Mapping[str, object]:
    """Return properties as CloudFormation sends them: every scalar as a string."""
    sent = _as_sent(value)
    return sent if isinstance(sent, dict) else {}


def _as_sent(value: object) -> object:
    match value:
        case Mapping():
            return {str(name): _as_sent(item) for name, item in value.items()}
        case list():
            return [_as_sent(item) for item in value]
        case bool():
            return str(value).lower()
    return str(value)


def decode(properties: Mapping[str, object]) -> Declaration:
    """
    Decode a declaration from the properties of a CloudFormation event.

    Raises:
        InvalidPropertiesError: Has all problems, each with its path.
    """
    problems: list[str] = []
    read = _Reader(properties, problems)
    _refuse_unknown(properties, problems)
    registry_id = read.optional(Property.REGISTRY_ID, lambda value: value.parse(parse_registry_id))
    repository_name = read.required(Property.REPOSITORY_NAME, lambda value: value.parse(parse_repository_name))
    tags = read.optional(Property.IMAGE_TAGS, _tags)
    platforms = read.optional(Property.PLATFORMS, lambda value: value.each(lambda each: each.parse(Platform.parse)))
    rules = {name: read.optional(Property(name), partial(decode_rule, name)) for name in RULES}
    warn_only = read.optional(Property.WARN_ONLY, _rule_names) or ()
    signing = read.optional(Property.SIGN_WITH, _signing)
    include_referrers = read.optional(Property.INCLUDE_REFERRERS, Value.boolean)
    untags = read.optional(Property.ON_TAG_REMOVED, lambda value: value.choice(("Keep", "Untag")) == "Untag")
    deletes = read.optional(Property.ON_DELETE, lambda value: value.choice(("Keep", "Delete")) == "Delete")
    state_parameter = read.optional(Property.STATE_PARAMETER_NAME, lambda value: value.parse(_parameter_name))
    source = read.required(Property.SOURCE, decode_source)
    if problems or repository_name is None or source is None:
        raise InvalidPropertiesError(problems)
    return Declaration(
        registry_id=registry_id,
        repository_name=repository_name,
        tags=tags or (),
        platforms=platforms or (),
        rules=tuple(WarnOnly(rule) if name in warn_only else rule for name, rule in rules.items() if rule is not None),
        signing=signing,
        include_referrers=include_referrers or False,
        untags=untags or False,
        deletes=deletes or False,
        state_parameter=state_parameter or "",
        source=source,
    )


class _Reader:
    """Reads properties one by one, and collects their problems."""

    def __init__(self, properties: Mapping[str, object], problems: list[str]) -> None:
        self._properties = properties
        self._problems = problems

    def optional(self, name: Property, reader: Callable[[Value], T]) -> T | None:
        if self._properties.get(name) is None:
            return None
        try:
            return reader(Value(self._properties[name], name))
        except InvalidPropertiesError as error:
            self._problems.extend(error.problems)
            return None

    def required(self, name: Property, reader: Callable[[Value], T]) -> T | None:
        if self._properties.get(name) is None:
            self._problems.append(f"{name}: is required, but missing")
            return None
        return self.optional(name, reader)


def _tags(value: Value) -> tuple[str, ...]:
    items = value.items()
    if len(items) > TAGS_MAX:
        value.refuse(f"has {len(items)} tags; ECR Public allows {TAGS_MAX} for one image")
    tags = value.each(lambda item: item.parse(parse_tag))
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        value.refuse(f"has duplicate tags: {', '.join(twice)}")
    return tags


def _rule_names(value: Value) -> tuple[str, ...]:
    return value.each(lambda item: item.choice(tuple(name for name in RULES if name != Property.IMAGE_DIGEST)))


def _signing(value: Value) -> Signing:
    from ..signatures import Signing  # noqa: PLC0415 - a cold start compiles what it imports

    return Signing.decode(value)


def _parameter_name(text: str) -> str:
    if len(text) > PARAMETER_NAME_MAX_CHARACTERS or not _PARAMETER_NAME.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not a parameter name; expected 2 to 15 parts of letters, digits, '.', '-' and "
            "'_', each preceded by '/', e.g. '/cdk-ecrpublic/acme/agent/Stack.Release'"
        )
        raise InvalidReferenceError(message)
    return text


def _refuse_unknown(properties: Mapping[str, object], problems: list[str]) -> None:
    known = ", ".join(Property)
    unknown = sorted(properties.keys() - set(Property) - _CLOUDFORMATION)
    problems += [f"{truncated_repr(name)}: is not a property of {RESOURCE_TYPE}; known: {known}" for name in unknown]
