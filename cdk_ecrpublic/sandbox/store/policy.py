"""
Repository policies, as far as pushes from another account need them.

Statements with a condition, ``NotAction`` or ``NotPrincipal`` are not evaluated: with
``Allow`` they do not allow, with ``Deny`` they deny.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence

UNEVALUATED = frozenset({"Condition", "NotAction", "NotPrincipal"})


def parse(text: str) -> Mapping[str, object] | None:
    """Parse a policy document; return None if it is not a JSON object with statements."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) and _statements(document) else None


def allows(text: str | None, account: str, operation: str) -> bool:
    """Return whether a repository policy allows an action to another account."""
    document = parse(text) if text else None
    statements = _statements(document) if document else []
    effects = [_effect(statement, account, f"ecr-public:{operation}") for statement in statements]
    return "Allow" in effects and "Deny" not in effects


def _statements(document: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    statements = document.get("Statement")
    items = statements if isinstance(statements, list) else [statements]
    found = [item for item in items if isinstance(item, dict)]
    return found if len(found) == len(items) else []


def _effect(statement: Mapping[str, object], account: str, action: str) -> str:
    effect = str(statement.get("Effect"))
    if UNEVALUATED & statement.keys():
        return "Deny" if effect == "Deny" else ""
    principals = _principals(statement.get("Principal"))
    is_meant = any(
        principal == "*" or account in principal.split(":") or principal == account for principal in principals
    )
    does = any(fnmatch.fnmatchcase(action, pattern) for pattern in _texts(statement.get("Action")))
    return effect if is_meant and does else ""


def _principals(value: object) -> list[str]:
    return _texts(value.get("AWS")) if isinstance(value, dict) else _texts(value)


def _texts(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]
