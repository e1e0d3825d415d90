"""How the stack stands: whether an update goes forward, or undoes another one."""

from __future__ import annotations

from typing import Any

from ..retry import Retry
from .errcode import translated

_ROLLING_BACK = frozenset(
    {
        "ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        # What a failed update created is deleted at the very end.
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }
)


def is_rolling_back(client: Any, stack_id: str, retry: Retry) -> bool:  # noqa: ANN401 - botocore's clients are made at run time
    """
    Ask CloudFormation, since nothing in its requests tells an update from the undoing of one.

    Args:
        client: botocore's client for ``cloudformation`` in the stack's Region.

    Raises:
        RemoteError: No answer, or none that may be given.
    """

    def call() -> str:
        with translated("cloudformation:DescribeStacks"):
            status: str = client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
        return status

    return retry.call("asking for the state of the stack", call, settle=True) in _ROLLING_BACK
