"""From a declaration to what the planner compares. The function and the review commands share it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..publish.content import Content
from ..publish.plan import Desired
from ..publish.ports import SourcePorts
from ..publish.referrers import with_referrers
from ..spec import Declaration


def resolve(declaration: Declaration, ports: SourcePorts) -> Content:
    """
    Read what the declaration's source stands for now, and what comes along with it.

    Raises:
        ImageError: There is no such image, it cannot be read, or lacks a platform.
    """
    content = declaration.source.resolve(ports, declaration.platforms)
    return with_referrers(content) if declaration.include_referrers else content


def desire(
    declaration: Declaration, content: Content, *, confirm: Collection[str] = (), confirm_image: bool = False
) -> Desired:
    """
    Put the declaration's rules beside its content.

    Args:
        confirm: Tags to put even if they seem to be in place; see ``Desired.confirm``.
        confirm_image: Likewise the image itself.
    """
    if any(rule.needs_platforms for rule in declaration.rules):
        content = replace(content, looked_up=content.platforms)
    return Desired(
        content=content,
        tags=declaration.tags,
        rules=declaration.rules,
        confirm=frozenset(confirm),
        confirm_image=confirm_image,
    )
