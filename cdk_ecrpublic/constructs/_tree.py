"""
Facts about constructs that never change, each requested once.

A construct is an object in Node.js. Each of its properties is a message to that
process and back, and an image needs some of them several times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from aws_cdk import Stack, Stage
from aws_cdk.region_info import RegionInfo
from constructs import Construct, IConstruct, Node

from ._validation.values import is_known

T = TypeVar("T")

_FACTS = "_cdk_ecrpublic_facts"


def stack_of(construct: IConstruct) -> Stack:
    """Return the stack of a construct."""
    return once(construct, "stack", lambda: construct if isinstance(construct, Stack) else Stack.of(construct))


def placed(construct: Construct, scope: IConstruct) -> Construct:
    """Remember that a construct, which is not a stack, is in the stack of its scope; and return it."""
    once(construct, "stack", lambda: stack_of(scope))
    return construct


def node_of(construct: IConstruct) -> Node:
    """Return the node of a construct in the construct tree."""
    return once(construct, "node", lambda: construct.node)


def path_of(construct: IConstruct) -> str:
    """Return the path of a construct."""
    return once(construct, "path", lambda: node_of(construct).path)


def root_of(construct: IConstruct) -> IConstruct:
    """Return the root of the construct tree that the stack of a construct is in, usually the app."""
    stack = stack_of(construct)
    return once(stack, "root", lambda: stack.node.root)


def account_of(construct: IConstruct) -> str:
    """Return the account of the stack of a construct; may be a token."""
    stack = stack_of(construct)
    return once(stack, "account", lambda: stack.account)


def region_of(construct: IConstruct) -> str:
    """Return the Region of the stack of a construct; may be a token."""
    stack = stack_of(construct)
    return once(stack, "region", lambda: stack.region)


def partition_of(construct: IConstruct) -> str | None:
    """Return the partition of the stack of a construct; None if its Region is not known."""
    stack, region = stack_of(construct), region_of(construct)
    # Stack.partition is a token, unless a feature flag of the app is set.
    return once(stack, "partition", lambda: RegionInfo.get(region).partition if is_known(region) else None)


def stage_path_of(construct: IConstruct) -> str:
    """Return the path of the stage of a construct; empty for the app, or without one."""
    stack = stack_of(construct)
    return once(stack, "stage path", lambda: stage.node.path if (stage := Stage.of(stack)) else "")


def once(construct: IConstruct, name: str, read: Callable[[], T]) -> T:
    """Return what *read* returned for this construct and name the first time."""
    facts: dict[str, object] | None = getattr(construct, _FACTS, None)
    if facts is None:
        facts = {}
        # A construct is a Python object of this process, too.
        setattr(construct, _FACTS, facts)
    if name not in facts:
        facts[name] = read()
    return cast("T", facts[name])
