"""Read the deployed declarations from CloudFormation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..app.assembly import Assembly, tree
from ..app.declared import DeclaredImage, Stack
from ..app.environment import Environments
from ..app.template import App, Template
from ..app.unknown import Unknown, unknowns
from .environment import LiveEnvironment, LiveStack, environments, read_template
from .registry import Registry

_Place = tuple[tuple[str, ...], str]
"""The logical ids of the nested stacks around an image, and its own."""

Images = Mapping[_Place, DeclaredImage]
"""The deployed images of a stack and of the stacks nested in it."""

_Key = tuple[str, str | None, str | None]


@dataclass
class DeployedStacks:
    """The deployed stacks of an app. Without credentials, they are all unknown."""

    registry: Registry
    assembly: Assembly
    _known: dict[_Key, Images | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._environments: Environments = environments(self.registry)
        self._stacks = {_key(stack): stack for stack in self.assembly.stacks}
        self._declared = {(self._key_of(each), place_of(each)) for each in self.assembly.images}

    def image(self, declared: DeclaredImage) -> DeclaredImage | None:
        """Return the deployed declaration of an image; None if there is none, or it is not known."""
        return (self._images_of(declared) or {}).get(place_of(declared))

    def knows(self, declared: DeclaredImage) -> bool:
        """Whether the deployed stack of an image is known."""
        images = self._images_of(declared)
        deployed = (images or {}).get(place_of(declared))
        if declared.nested_in and not declared.stack_name:
            return False
        return images is not None and not (deployed and any(unknowns([deployed.existence, deployed.properties])))

    def gone(self) -> Iterator[DeclaredImage]:
        """Yield the images that are deployed but no longer declared."""
        for stack in self.assembly.stacks:
            for place, image in (self.images(stack) or {}).items():
                # A nested stack counts as declared if its template is not known.
                around = [(image.nested_in[:depth], name) for depth, name in enumerate(image.nested_in)]
                if not any((_key(stack), each) in self._declared for each in (*around, place)):
                    yield image

    def images(self, stack: Stack) -> Images | None:
        """Return all deployed images of a stack; None if they are not known."""
        # If several threads read the same stack, that costs a request, but no thread waits for another.
        key = _key(stack)
        if key not in self._known:
            self._known[key] = self._read(stack)
        return self._known[key]

    def _images_of(self, declared: DeclaredImage) -> Images | None:
        stack = self._stacks.get(self._key_of(declared))
        return None if stack is None else self.images(stack)

    def _key_of(self, image: DeclaredImage) -> _Key:
        return image.root_name, image.region, image.account

    def _read(self, stack: Stack) -> Images | None:
        environment = self._environments(stack.account, stack.region)
        if not isinstance(environment, LiveEnvironment):
            return None
        found = environment.stack(stack.name)
        if found is None:
            return {}
        # Without permission to describe the stack, only its template is used.
        data = found.template if isinstance(found, LiveStack) else read_template(environment, stack.name)
        if isinstance(data, Unknown):
            return None
        root = Template(stack, data, environment, _DeployedTemplates(), is_deployed=True)
        # The repositories of deployed images already exist.
        images = [replace(image, created_here=False) for each in tree(root) for image in each.images()]
        return {place_of(image): image for image in images}


class _DeployedTemplates(App):
    """The templates of a deployed stack."""

    def nested(self, template: Template, logical_id: str) -> Template | None:
        """Return the template of a nested stack; None if it cannot be read."""
        name = template.name_of_nested(logical_id)
        found = template.environment.stack(name) if name else None
        if found is None or isinstance(found, Unknown) or isinstance(found.template, Unknown):
            return None
        return replace(template, data=found.template, nested_in=(*template.nested_in, logical_id), name=name)

    def export(self, importer: Template, name: str) -> None:
        """Return None: the caller then reads the current export, which is the imported value."""

    def stack_output(self, importer: Template, name: str, output: str, region: str) -> None:
        """Return None: the caller knows that it may have changed since."""

    def stores(self, reader: Template, name: str) -> Iterator[tuple[Template, object]]:  # noqa: ARG002
        """Yield nothing: what is deployed has been set already."""
        yield from ()

    def creates(self, stack: Stack, repository: object) -> bool:  # noqa: ARG002
        """Return False: deployed repositories already exist."""
        return False


def place_of(image: DeclaredImage) -> _Place:
    """Return the place of an image in its root stack."""
    return image.nested_in, image.logical_id


def _key(stack: Stack) -> _Key:
    """Return the key of a stack. Stacks in different Regions may have the same name."""
    return stack.name, stack.region, stack.account
