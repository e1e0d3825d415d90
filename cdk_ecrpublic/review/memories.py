"""What the function remembers of images from one deployment to the next, where we may read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .._assets.lambda_handler.aws import Parameters
from .._assets.lambda_handler.errors import AccessError, ImageError
from .._assets.lambda_handler.oci import Digest
from .._assets.lambda_handler.resources.memory import Claims, Memory
from .._assets.lambda_handler.resources.memory import State as Remembered
from .._assets.lambda_handler.spec import Property
from .registry import Registry
from .template import DeclaredImage


@dataclass
class Memories:
    """The parameters of the images, in Systems Manager."""

    registry: Registry
    _below: dict[tuple[str | None, str], Mapping[str, str]] = field(default_factory=dict)

    def of(self, image: DeclaredImage) -> Memory:
        """Return the memory of an image, for reading only."""
        clients = self.registry.clients
        parameters = Parameters(lambda: clients.get("ssm", image.region), self.registry.prompt)
        return Memory(parameters, parameter_of(image))

    def digest_of(self, image: DeclaredImage) -> Digest | None:
        """
        Return what an image was resolved to when it was deployed as it is declared; None: it was not.

        Raises:
            ImageError: We may not know.
        """
        if not self.registry.clients.has_credentials or self.registry.is_elsewhere(image.account):
            message = f"what {image.path} was deployed as is known only with AWS credentials of its account"
            raise AccessError(message, operation="ssm:GetParameter")
        return self.of(image).digest_of(as_sent(image.properties))

    def claims(self, image: DeclaredImage, without: Collection[str]) -> Claims:
        """
        Return what others have of the same repository, who remember it beside *image*.

        Args:
            without: Parameters that do not count: of what the app itself declares, more is known.

        Where they may not be read, there are none.
        """
        path = path_of(image)
        # Several threads may ask at the same time, which costs a request; none waits for another.
        if (image.region, path) not in self._below:
            self._below[image.region, path] = self._list(image, path)
        texts = self._below[image.region, path]
        states = [Remembered.parse(text) for name, text in texts.items() if name not in without]
        return claims_of([(state.tags, state.latest) for state in states if state.resource])

    def _list(self, image: DeclaredImage, path: str) -> Mapping[str, str]:
        try:
            return self.of(image).parameters.list(path) if path else {}
        except ImageError:
            return {}


def claims_of(claimed: Collection[tuple[Collection[str], Digest | None]]) -> Claims:
    """Gather tags, each with the image that it is for."""
    return Claims(
        tags={tag: digest for tags, digest in claimed for tag in tags},
        digests=frozenset(digest for _, digest in claimed if digest is not None),
    )


def parameter_of(image: DeclaredImage) -> str:
    """Return the name of the parameter that an image is remembered in; empty: it is not, or the name is not known."""
    name = image.properties.get(Property.STATE_PARAMETER_NAME)
    return name if isinstance(name, str) else ""


def path_of(image: DeclaredImage) -> str:
    """Return what the parameters of all images of the same repository are below."""
    return parameter_of(image).rpartition("/")[0]


def as_sent(value: object) -> Mapping[str, object]:
    """Return properties as CloudFormation sends them: whatever is no list and no map, as text."""
    sent = _as_sent(value)
    return sent if isinstance(sent, dict) else {}


def _as_sent(value: object) -> object:
    match value:
        case Mapping():
            return {str(name): _as_sent(item) for name, item in value.items()}
        case list():
            return [_as_sent(item) for item in value]
        case bool():
            return str(value).lower()
    return str(value)
