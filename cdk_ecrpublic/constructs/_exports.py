"""Warns if another stack uses a value of an image that changes at each release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import jsii
from aws_cdk import Annotations, CfnOutput, CustomResource, Stack
from constructs import Construct, IValidation

from ._tree import stack_of

CHANGING_ATTRIBUTES = ("ImageDigest", "ImageUri", "ImageManifestMediaType")
"""The attributes of ``Custom::ECRPublicImage`` whose values differ between images."""

_STACK_WARNINGS = "_cdk_ecrpublic_export_warnings"


@jsii.implements(IValidation)
class ExportWarnings:
    """
    Warnings about the exports of one stack.

    The CDK creates the exports when it synthesizes, after all constructs and
    aspects. Only a validation runs later.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._images: list[tuple[Construct, CustomResource]] = []
        stack.node.add_validation(cast("IValidation", self))

    @classmethod
    def of(cls, scope: Construct) -> ExportWarnings:
        """Return the warnings of the stack of *scope*."""
        stack = stack_of(scope)
        found: ExportWarnings | None = getattr(stack, _STACK_WARNINGS, None)
        if found is None:
            found = cls(stack)
            setattr(stack, _STACK_WARNINGS, found)
        return found

    def watch(self, image: Construct, resource: CustomResource) -> None:
        """Warn if another stack imports a value of *resource*, which is the resource of *image*."""
        self._images.append((image, resource))

    def validate(self) -> list[str]:
        """Add the warnings; there are no errors."""
        exports = list(self._exports())
        # Without exports, nothing is asked for each image.
        images = {self._stack.resolve(resource.ref)["Ref"]: image for image, resource in self._images if exports}
        for logical_id, attribute in exports:
            if logical_id in images:
                _warn(images[logical_id], attribute)
        return []

    def _exports(self) -> Iterator[tuple[str, str]]:
        """Yield the logical id and the attribute of exported values that change."""
        exports = self._stack.node.try_find_child("Exports")
        for export in exports.node.children if exports else ():
            if isinstance(export, CfnOutput) and export.export_name is not None:
                value: Any = self._stack.resolve(export.value)
                attribute = value.get("Fn::GetAtt") if isinstance(value, dict) else None
                if attribute and attribute[1] in CHANGING_ATTRIBUTES:
                    yield cast("tuple[str, str]", tuple(attribute))


def _warn(image: Construct, attribute: str) -> None:
    Annotations.of(image).add_warning_v2(
        f"@cdk-ecrpublic:exported{attribute}",
        f"another stack uses {attribute} of this image, which changes at each release; CloudFormation does not change "
        "a value that another stack imports, so the next release will fail; use image_uri_for_tag() there, or put "
        "both into one stack",
    )
