"""Parse the text of a template: JSON, or YAML with short forms of intrinsic functions."""

from __future__ import annotations

import json
from collections.abc import Mapping

import yaml


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Loads ``!Ref`` and the other short forms."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Mapping[str, object]:
    value: object
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse_template(text: str) -> object:
    """
    Parse a template.

    Raises:
        ValueError: It is neither JSON nor YAML.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        # The loader is a SafeLoader, so it cannot create objects.
        return yaml.load(text, _Loader)  # noqa: S506
    except yaml.YAMLError as error:
        message = "the template is neither JSON nor YAML"
        raise ValueError(message) from error
