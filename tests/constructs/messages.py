"""Annotations of constructs, as the cdk command line reads them."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import App, Stack

from cdk_ecrpublic.review.app.assembly import metadata_of


def warnings(stack: Stack) -> list[str]:
    """
    Return the warnings of a stack in a complete app.

    This does not use ``Annotations.find_warning``, because jsii knows the type of
    its result only if something else has loaded that type before.
    """
    app = stack.node.root
    assert isinstance(app, App)
    found = metadata_of(Path(app.synth().directory), "aws:cdk:warning", [stack.stack_name])
    return [str(data) for data in found]
