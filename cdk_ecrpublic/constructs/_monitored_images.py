"""The images of a monitor, which are looked up when the app is synthesized."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import jsii
from aws_cdk import CfnResource, IStableAnyProducer, Lazy, Stack
from constructs import Construct, IValidation

from .._assets.lambda_handler.oci import is_account_id
from ._validation.values import is_known, refuse_kind
from .public_image import PublicImage

REPOSITORIES_MAX = 50
"""How many ARNs of repositories the policy of the role has room for. Reference: IAM quotas, inline policies."""

INPUT_MAX_CHARACTERS = 8000
"""EventBridge allows 8,192 for the input of a target; the rest is for names that are not known at synthesis."""

PATTERN_MAX_CHARACTERS = 1800
"""EventBridge allows 2,048 for a pattern."""


@jsii.implements(IValidation)
class Selection:
    """
    The monitored images.

    They are looked up when the app is synthesized, so that images that are added
    after the monitor count, too.
    """

    def __init__(self, monitor: Construct, roots: Sequence[Construct], *, repairs: bool) -> None:
        self._monitor, self._roots, self._repairs = monitor, roots, repairs

    @property
    def images(self) -> list[PublicImage]:
        """All monitored images, by path."""
        found = {image.node.path: image for root in self._roots for image in _images_below(root)}
        return [found[path] for path in sorted(found)]

    def by_stack(self) -> Iterator[tuple[Stack, list[PublicImage]]]:
        """Yield each stack with its monitored images."""
        stacks: dict[str, tuple[Stack, list[PublicImage]]] = {}
        for image in self.images:
            stack = Stack.of(image)
            stacks.setdefault(stack.node.path, (stack, []))[1].append(image)
        yield from stacks.values()

    def stacks(self) -> list[object]:
        """Return what the function needs to find the images. A stack without a list stands for all its images."""
        found: list[object] = []
        for stack, images in self.by_stack():
            every = sum(Stack.of(each) is stack for each in _images_below(stack))
            ids = [stack.resolve(cast("CfnResource", image.node.default_child).logical_id) for image in images]
            named = {"resources": ids} if len(ids) < every else {}
            found.append(
                {
                    "region": stack.region,
                    "stack": stack.stack_id if stack.nested_stack_parent else stack.stack_name,
                    **named,
                }
            )
        return found

    def stack_arns(self) -> list[str]:
        """Return the ARNs of the stacks, for policies."""
        return [
            stack.stack_id
            if stack.nested_stack_parent
            else stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{stack.stack_name}/*")
            for stack, _ in self.by_stack()
        ]

    def repository_arns(self) -> list[str]:
        """Return the ARNs of the repositories, for policies; above a limit, one for all repositories of the account."""
        arns = sorted({image.repository.repository_arn for image in self.images})
        if len(arns) <= REPOSITORIES_MAX:
            return arns
        return [self._own("repository", "*")]

    def repository_filter(self) -> object:
        """Return the part of an event pattern that selects the repositories, as far as there is room."""
        names = sorted({image.repository.repository_name for image in self.images})
        return {"repositoryName": names if len(json.dumps(names)) <= PATTERN_MAX_CHARACTERS else [{"exists": True}]}

    def registry_arns(self) -> list[str]:
        """Return the ARN of the registry if an image names a registry by its alias."""
        registries = {image.repository.registry_id for image in self.images}
        has_alias = any(each and is_known(each) and not is_account_id(each) for each in registries)
        return [self._own("registry", Stack.of(self._monitor).account)] if has_alias else []

    def validate(self) -> list[str]:
        """Return what is wrong with the selection."""
        return [*self._problems()]

    def _problems(self) -> Iterator[str]:
        path, account = self._monitor.node.path, Stack.of(self._monitor).account
        images = self.images
        if not images:
            yield f"{path}: images: there is no PublicImage to monitor; pass images, or a construct that contains some"
        for stack, _ in self.by_stack():
            if is_known(stack.account) and is_known(account) and stack.account != account:
                yield (
                    f"{path}: images: stack {stack.stack_name!r} is in account {stack.account}, but the monitor in "
                    f"{account}; a monitor reads stacks of its own account"
                )
        if self._repairs and len({image.repository.repository_arn for image in images}) > REPOSITORIES_MAX:
            yield f"{path}: repair: the images are in more than {REPOSITORIES_MAX} repositories; use several stacks"
        characters = len(json.dumps(Stack.of(self._monitor).resolve(self.stacks())))
        if characters > INPUT_MAX_CHARACTERS:
            yield (
                f"{path}: images: the list has {characters} characters, at most {INPUT_MAX_CHARACTERS} are allowed; "
                "monitor all images of a stack, or use several monitors"
            )

    def _own(self, resource: str, name: str) -> str:
        stack = Stack.of(self._monitor)
        return stack.format_arn(service="ecr-public", region="", resource=resource, resource_name=name)


@jsii.implements(IStableAnyProducer)
class _Producer:
    def __init__(self, produce: Callable[[], object]) -> None:
        self._produce = produce

    def produce(self) -> object:
        """Return the value."""
        return self._produce()


def lazy(produce: Callable[[], object]) -> object:
    """Return a token whose value is computed when the app is synthesized."""
    return Lazy.any(cast("IStableAnyProducer", _Producer(produce)))


def roots_of(what: str, images: object) -> list[Construct]:
    roots = list(images) if isinstance(images, list | tuple) else [images]
    for each in roots:
        if not isinstance(each, Construct):
            refuse_kind(what, each, "a PublicImage, a list of them, or a construct that contains some")
    return cast("list[Construct]", roots)


def _images_below(root: Construct) -> list[PublicImage]:
    return [each for each in root.node.find_all() if isinstance(each, PublicImage)]
