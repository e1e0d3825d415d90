"""The signatures of a catalog: the arguments of ``Signing`` and ``RequiredSignature``, with keys by their ARNs."""

from __future__ import annotations

from collections.abc import Mapping

from .._assets.lambda_handler.errors import InvalidReferenceError, truncated_repr
from .._assets.lambda_handler.signatures.keys import parse_key_arn, parse_profile_arn, parse_signed_repository
from .arguments import Reader, flag, read_arguments, text
from .fields import Fields
from .model import RuleArguments
from .nodes import Node, is_false, position


def _parse_key(value: str) -> str:
    arn = parse_key_arn(value)
    if ":key/" not in arn:
        message = f"{truncated_repr(arn)} is an alias, on which IAM grants nothing; use the ARN of the key itself"
        raise InvalidReferenceError(message)
    return arn


SIGNING: Mapping[str, Mapping[str, Reader]] = {
    "kms": {"key": text(_parse_key), "as_tag": flag, "children": flag},
    "signer_profile": {"profile_arn": text(parse_profile_arn), "children": flag},
}
"""The arguments of ``Signing``'s methods. The first of each has no default."""

REQUIRED: Mapping[str, Mapping[str, Reader]] = {
    "kms": {"key": text(_parse_key), "repository": text(parse_signed_repository)},
    "ecr_managed": {"profile_arn": text(parse_profile_arn)},
}
"""The arguments of ``RequiredSignature``'s methods. The first of each has no default."""


def read_signing(node: Node, what: str, fields: Fields) -> Mapping[str, RuleArguments] | None:
    """Read ``sign_with``; None if it is ``false``."""
    return None if is_false(node) else _one_of(SIGNING, node, what, fields)


def required_signatures(fields: Fields, node: Node, what: str) -> list[Mapping[str, RuleArguments]]:
    """Read the list of required signatures."""
    return [_one_of(REQUIRED, item, name, fields) for item, name in fields.items(node, what, "signatures")]


def _one_of(
    methods: Mapping[str, Mapping[str, Reader]], node: Node, what: str, fields: Fields
) -> Mapping[str, RuleArguments]:
    given = fields.mapping(node, what, optional=methods)
    if given is None:
        return {}
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        fields.refuse(position(node), f"{what}: has {found}; expected exactly one of {', '.join(methods)}")
    return {
        name: read_arguments(each, f"{what}.{name}", fields, methods[name], [*methods[name]][:1])
        for name, each in given.items()
    }
