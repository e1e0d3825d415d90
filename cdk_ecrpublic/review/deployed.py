"""What is deployed now, as far as CloudFormation tells us."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._assets.lambda_handler.aws.errcode import translated
from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.spec import RESOURCE_TYPE
from .registry import Registry
from .template import DeclaredImage

_NO_SUCH_STACK = "does not exist"

Resources = Mapping[str, Mapping[str, object]]
"""Properties of our custom resources as their template has them, by logical id."""


@dataclass
class DeployedStacks:
    """The stacks of the account. Without credentials nothing is known of any."""

    registry: Registry
    _known: dict[str, Resources | None] = field(default_factory=dict)

    def properties(self, image: DeclaredImage) -> Mapping[str, object] | None:
        """
        Return what *image* is deployed with, as its template has it.

        Returns:
            Nothing in it when it is not deployed; None when that is not known,
            as of what is in a nested stack.
        """
        if not image.stack_name or self.registry.is_elsewhere(image.account):
            return None
        resources = self.resources(image.stack_name, image.region)
        return None if resources is None else resources.get(image.logical_id, {})

    def resources(self, stack_name: str, region: str | None) -> Resources | None:
        """Return all of a stack; None when it is not known."""
        # Several threads may ask at the same time, which costs a request; none waits for another.
        if stack_name not in self._known:
            self._known[stack_name] = self._read(stack_name, region) if self.registry.clients.has_credentials else None
        return self._known[stack_name]

    def _read(self, stack_name: str, region: str | None) -> Resources | None:
        try:
            with translated("cloudformation:GetTemplate"):
                answer = self.registry.clients.get("cloudformation", region).get_template(StackName=stack_name)
                return _resources(answer["TemplateBody"])
        except ImageError as error:
            return {} if _NO_SUCH_STACK in error.message else None


def _resources(template: Any) -> Resources | None:  # noqa: ANN401 - botocore reads JSON, and leaves YAML as it is
    data = json.loads(template) if isinstance(template, str) else template
    return {
        logical_id: resource.get("Properties", {})
        for logical_id, resource in data.get("Resources", {}).items()
        if resource.get("Type") == RESOURCE_TYPE
    }
