"""What is deployed now, as far as CloudFormation tells us."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..._assets.lambda_handler.aws.errcode import translated
from ..._assets.lambda_handler.errors import AccessError, ImageError
from ..app.assembly import Assembly
from ..app.intrinsics import unknowns
from ..app.template import DeclaredImage, Stack, Template
from .registry import Registry

_NO_SUCH_STACK = "does not exist"

NOT_DEPLOYED = frozenset({"DELETE_COMPLETE", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""Of such a stack there is a template and nothing else; ``cdk deploy`` deletes one whose creation failed, first."""

Images = Mapping[str, DeclaredImage]
"""What is deployed of a stack, without what is nested in it; by logical id."""

_Key = tuple[str, str | None, str | None]


@dataclass
class DeployedStacks:
    """The stacks of an app, as they are deployed. Without credentials nothing is known of any."""

    registry: Registry
    assembly: Assembly
    _known: dict[_Key, Images | None] = field(default_factory=dict)

    def image(self, declared: DeclaredImage) -> DeclaredImage | None:
        """Return what *declared* is deployed as; None when it is not, or that is not known, as of a nested stack."""
        return (self._images_of(declared) or {}).get(declared.logical_id)

    def tells_of(self, declared: DeclaredImage) -> bool:
        """Whether it is known what *declared* is deployed as, if it is."""
        images = self._images_of(declared)
        return images is not None and not (
            declared.logical_id in images and any(unknowns(images[declared.logical_id].properties))
        )

    def _images_of(self, declared: DeclaredImage) -> Images | None:
        stack = self._stacks.get((declared.stack_name, declared.region, declared.account))
        return None if stack is None else self.images(stack)

    def gone(self) -> Iterator[DeclaredImage]:
        """Give what is deployed and no longer declared."""
        declared = {(each.stack_name, each.region, each.account, each.logical_id) for each in self.assembly.images}
        for stack in self.assembly.stacks:
            for logical_id, image in (self.images(stack) or {}).items():
                if (*_key(stack), logical_id) not in declared:
                    yield image

    def images(self, stack: Stack) -> Images | None:
        """Return all of a stack; none when it is not deployed, None when that is not known."""
        # Several threads may ask at the same time, which costs a request; none waits for another.
        key = _key(stack)
        if key not in self._known:
            self._known[key] = None if self._is_hidden(stack) else self._read(stack)
        return self._known[key]

    @property
    def _stacks(self) -> Mapping[_Key, Stack]:
        return {_key(stack): stack for stack in self.assembly.stacks}

    def _is_hidden(self, stack: Stack) -> bool:
        return not self.registry.clients.has_credentials or self.registry.is_elsewhere(stack.account)

    def _read(self, stack: Stack) -> Images | None:
        call = self.registry.prompt.call
        try:
            described = call(f"describing {stack.name}", lambda: self._described(stack))
            if described.get("StackStatus") in NOT_DEPLOYED:
                return {}
            data = call(f"reading the template of {stack.name}", lambda: self._template(stack))
        except ImageError as error:
            return {} if _NO_SUCH_STACK in error.message else None
        template = Template(stack, data, _parameters(described), self.assembly.exports)
        # What is deployed is there already.
        return {image.logical_id: replace(image, created_here=False) for image in template.images()}

    def _described(self, stack: Stack) -> Mapping[str, Any]:
        """Return what DescribeStacks says; nothing where it may not be asked: then the template has to do."""
        try:
            with translated("cloudformation:DescribeStacks"):
                described: Mapping[str, Any] = self._client(stack).describe_stacks(StackName=stack.name)["Stacks"][0]
                return described
        except AccessError:
            return {}

    def _template(self, stack: Stack) -> Mapping[str, Any]:
        """Return the template; botocore reads one in JSON, and leaves YAML as it is."""
        with translated("cloudformation:GetTemplate"):
            template = self._client(stack).get_template(StackName=stack.name)["TemplateBody"]
            data: Mapping[str, Any] = json.loads(template) if isinstance(template, str) else template
            return data

    def _client(self, stack: Stack) -> Any:  # noqa: ANN401 - botocore's clients are made at run time
        return self.registry.clients.get("cloudformation", stack.region)


def _parameters(described: Mapping[str, Any]) -> Mapping[str, object]:
    return {each["ParameterKey"]: each.get("ParameterValue") for each in described.get("Parameters", ())}


def _key(stack: Stack) -> _Key:
    """Tell stacks apart: their names need not differ in two Regions."""
    return stack.name, stack.region, stack.account
