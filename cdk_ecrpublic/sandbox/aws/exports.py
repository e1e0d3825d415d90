"""
Exports that another stack imports cannot be changed or removed, as in CloudFormation.

ministack 1.5.33 refuses to delete the stack that exports, but lets an update change an
export. On AWS the update fails and is rolled back. An app that exports the digest of an
image would then work in the sandbox, and fail on AWS at its second release.

References:
    AWS CloudFormation user guide, "Fn::ImportValue": "You can't modify or remove an
    output value that is referenced by another stack". The texts: aws/aws-cdk#5304,
    aws/aws-cdk#30771.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Outputs = tuple[list[dict[str, str]], dict[str, dict[str, str]]]
"""The outputs of a stack, and its exports by name."""

IMPORTS_NOTHING = ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE")
"""The states of a stack without resources."""


def keep_imported_exports() -> None:
    """Make an update of a stack fail if it changes or removes an export that another stack imports."""
    from ministack.services import cloudformation  # noqa: PLC0415 - reads the environment
    from ministack.services.cloudformation import handlers, stacks  # noqa: PLC0415

    resolve: Callable[..., Outputs] = stacks._resolve_stack_outputs  # noqa: SLF001

    def importers(export: str, exporter: str) -> Iterator[str]:
        for name, stack in cloudformation._stacks.items():  # noqa: SLF001
            is_other = stack["StackId"] != exporter and stack.get("StackStatus") not in IMPORTS_NOTHING
            if is_other and export in handlers._imported_export_names(stack, name):  # noqa: SLF001
                yield name

    def resolved(*arguments: Any) -> Outputs:  # noqa: ANN401 - ministack's own arguments
        outputs, exports = resolve(*arguments)
        stack_id = arguments[-1]
        held = {name: each for name, each in cloudformation._exports.items() if each["StackId"] == stack_id}  # noqa: SLF001
        for name, change in changes(held, exports):
            user = next(importers(name, stack_id), None)
            if user is not None:
                message = f"Export {name} cannot be {change} as it is in use by {user}"
                raise ValueError(message)
        for name in held.keys() - exports.keys():
            del cloudformation._exports[name]  # noqa: SLF001
        return outputs, exports

    stacks._resolve_stack_outputs = resolved  # noqa: SLF001


def changes(
    held: Mapping[str, Mapping[str, str]], wanted: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    """
    Yield the exports that change, and how: ``updated`` or ``deleted``.

    Args:
        held: The exports of the stack, by name.
        wanted: Its exports after the update.
    """
    for name, export in held.items():
        if name not in wanted:
            yield name, "deleted"
        elif wanted[name]["Value"] != export["Value"]:
            yield name, "updated"
