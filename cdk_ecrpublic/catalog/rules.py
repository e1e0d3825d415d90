"""The key ``rules`` of a catalog: the arguments of ``ReleaseRule``'s methods, by the names of both."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .._assets.lambda_handler.oci import Platform, parse_tag_pattern
from .._assets.lambda_handler.oci.version import parse_affix
from .._assets.lambda_handler.rules.required_referrers import ReferrerType
from .._assets.lambda_handler.rules.scan_findings import (
    IGNORED_MAX,
    LIMITS,
    STATES,
    parse_day,
    parse_finding_name,
    parse_reason,
)
from .arguments import Reader, choice, flag, not_empty, read_arguments, text, texts, texts_of
from .fields import Fields
from .model import RuleArguments, parse_days
from .nodes import Node, is_false, position
from .signatures import required_signatures


def ignored(fields: Fields, node: Node, what: str) -> list[dict[str, str | None]]:
    """Read the findings to ignore, each with a reason and a last day."""
    readers = {"name": parse_finding_name, "reason": parse_reason, "until": lambda text: str(parse_day(text))}
    found: list[dict[str, str | None]] = []
    for item, name in fields.items(node, what, "findings to ignore"):
        given = fields.mapping(item, name, required=readers) or {}
        found.append({key: fields.string(value, f"{name}.{key}", readers[key]) for key, value in given.items()})
    if len(found) > IGNORED_MAX:
        fields.refuse(position(node), f"{what}: has {len(found)} findings; at most {IGNORED_MAX} are allowed")
    return found


RULES: Mapping[str, Mapping[str, Reader]] = {
    "required_platforms": {"platforms": texts(Platform.parse, "platforms"), "warn_only": flag},
    "immutable_tags": {"patterns": texts(parse_tag_pattern, "tags or patterns"), "warn_only": flag},
    "forward_only": {
        "tags": not_empty(texts(parse_tag_pattern, "tags or patterns")),
        "on_older": choice(("skip", "refuse")),
        "prefix": text(parse_affix),
        "suffix": text(parse_affix),
        "allow_unknown": flag,
        "warn_only": flag,
    },
    "required_referrers": {
        "types": not_empty(texts(lambda value: ReferrerType.parse(value).name, "types")),
        "each_platform": flag,
        "warn_only": flag,
    },
    "scan_findings": {
        "max_severity": choice(LIMITS),
        "only_fixable": flag,
        "allow_unrated": flag,
        "ignore": ignored,
        "max_age": text(parse_days),
        "allow_states": texts_of(STATES, "states"),
        "inspector": flag,
        "warn_only": flag,
    },
    "required_signatures": {
        "signatures": not_empty(required_signatures),
        "any_of": flag,
        "each_platform": flag,
        "warn_only": flag,
    },
}
"""The arguments of each rule. A rule of ``ReleaseRule`` needs a line here, and an entry in ``catalog.schema.json``."""

REQUIRED: Mapping[str, Collection[str]] = {
    "required_platforms": ("platforms",),
    "immutable_tags": ("patterns",),
    "required_referrers": ("types",),
    "scan_findings": ("max_severity",),
    "required_signatures": ("signatures",),
}
"""The arguments without a default."""


def read_rules(node: Node, what: str, fields: Fields) -> dict[str, RuleArguments | None]:
    """Read the rules; None is a rule that is turned off with ``false``."""
    given = fields.mapping(node, what, optional=RULES) or {}
    return {
        name: None
        if is_false(each)
        else read_arguments(each, f"{what}.{name}", fields, RULES[name], REQUIRED.get(name, ()))
        for name, each in given.items()
    }
