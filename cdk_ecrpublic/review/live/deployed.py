"""What is deployed now, as far as CloudFormation tells us."""

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
"""The nested stacks that an image is in, and its logical id."""

Images = Mapping[_Place, DeclaredImage]
"""What is deployed of a stack, and of those that are nested in it."""

_Key = tuple[str, str | None, str | None]


@dataclass
class DeployedStacks:
    """The stacks of an app, as they are deployed. Without credentials nothing is known of any."""

    registry: Registry
    assembly: Assembly
    _known: dict[_Key, Images | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._environments: Environments = environments(self.registry)
        self._stacks = {_key(stack): stack for stack in self.assembly.stacks}
        self._declared = {(self._key_of(each), place_of(each)) for each in self.assembly.images}

    def image(self, declared: DeclaredImage) -> DeclaredImage | None:
        """Return what *declared* is deployed as; None when it is not, or that is not known."""
        return (self._images_of(declared) or {}).get(place_of(declared))

    def tells_of(self, declared: DeclaredImage) -> bool:
        """Whether it is known what *declared* is deployed as, if it is."""
        images = self._images_of(declared)
        deployed = (images or {}).get(place_of(declared))
        if declared.nested_in and not declared.stack_name:
            return False
        return images is not None and not (deployed and any(unknowns([deployed.existence, deployed.properties])))

    def gone(self) -> Iterator[DeclaredImage]:
        """Give what is deployed and no longer declared."""
        for stack in self.assembly.stacks:
            for place, image in (self.images(stack) or {}).items():
                if (_key(stack), place) not in self._declared:
                    yield image

    def images(self, stack: Stack) -> Images | None:
        """Return all of a stack; none when it is not deployed, None when that is not known."""
        # Several threads may ask at the same time, which costs a request; none waits for another.
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
        # Where the stack may not be described, its template has to do.
        data = found.template if isinstance(found, LiveStack) else read_template(environment, stack.name)
        if isinstance(data, Unknown):
            return None
        root = Template(stack, data, environment, _DeployedTemplates(), is_deployed=True)
        # What is deployed is there already.
        images = [replace(image, created_here=False) for each in tree(root) for image in each.images()]
        return {place_of(image): image for image in images}


class _DeployedTemplates(App):
    """The templates of a stack that is deployed."""

    def nested(self, template: Template, logical_id: str) -> Template | None:
        """Return the template of a nested stack; None: it may not be read."""
        name = template.name_of_nested(logical_id)
        found = template.environment.stack(name) if name else None
        if found is None or isinstance(found, Unknown) or isinstance(found.template, Unknown):
            return None
        return replace(template, data=found.template, nested_in=(*template.nested_in, logical_id), name=name)

    def export(self, stack: Stack, name: str) -> None:
        """Know nothing of other stacks: what they export now is what was imported."""

    def stack_output(self, stack: Stack, name: str, output: str, region: str) -> None:
        """Know nothing of other stacks."""

    def creates(self, stack: Stack, repository: object) -> bool:  # noqa: ARG002
        """Create nothing: it is there."""
        return False


def place_of(image: DeclaredImage) -> _Place:
    """Return where in its stack an image is."""
    return image.nested_in, image.logical_id


def _key(stack: Stack) -> _Key:
    """Tell stacks apart: their names need not differ in two Regions."""
    return stack.name, stack.region, stack.account
