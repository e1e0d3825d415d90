"""Which declarations have a record, and the names that it is found by: its path segment, its owner and its keys."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from ..spec import Declaration, Property

MOVING, UNDO = "moving", "undo"

_STACK_ARN = re.compile(r"arn:[^:]+:cloudformation:(?P<region>[^:]*):[^:]*:stack/(?P<name>[^/]+)(?:/.*)?")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]")
_NOT_DECLARED = frozenset({"ServiceToken", "ServiceTimeout", Property.STATE_PARAMETER_NAME.value})
_KEY_HEX = 16


def owner_of(stack_id: str, logical_resource_id: str) -> str:
    """
    Return the name of a resource in its records, which is unique in an account.

    >>> owner_of("arn:aws:cloudformation:eu-west-1:123456789012:stack/Agent/5a7d8f10", "Release")
    'eu-west-1.Agent.Release'
    """
    match = _STACK_ARN.fullmatch(stack_id)
    stack = f"{match['region']}.{match['name']}" if match else stack_id
    return _NOT_IN_NAMES.sub("-", f"{stack}.{logical_resource_id}")


def owns_tags(declaration: Declaration) -> bool:
    """Whether a declaration always has a record that protects its tags, or its image, from removals by others."""
    removes = declaration.untags or declaration.deletes
    # Without a tag, nothing in the registry shows that an image is in use.
    return bool(removes or declaration.state_parameter or not declaration.tags)


def always_has_record(declaration: Declaration) -> bool:
    """Whether a declaration always has a record."""
    return declaration.pinned is None or owns_tags(declaration)


def record_segment(declaration: Declaration, *, shares: bool = False) -> str:
    """
    Return the path segment of the record of a declaration.

    Args:
        shares: The declaration shares a tag with another resource on the same image.
    """
    if declaration.pinned is None:
        return MOVING
    return declaration.pinned.hex if shares or owns_tags(declaration) else UNDO


def possible_segments(declaration: Declaration) -> tuple[str, ...]:
    """Return the path segments that may contain the record of a declaration."""
    if declaration.pinned is None:
        return (MOVING,)
    return (declaration.pinned.hex,) if owns_tags(declaration) else (UNDO, declaration.pinned.hex)


def declaration_key(properties: Mapping[str, object]) -> str:
    """Return a hash of the properties that describe the image, as 16 hex digits."""
    declared = {name: value for name, value in properties.items() if name not in _NOT_DECLARED}
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:_KEY_HEX]
