"""An image of the app, its deployed declaration, and what the function will do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._assets.lambda_handler.oci import Digest
from .._assets.lambda_handler.publish.plan import Plan
from .._assets.lambda_handler.resources.turn import Turn
from .._assets.lambda_handler.spec import Property
from .app.declared import DeclaredImage
from .app.unknown import unknowns
from .effect import Effect, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    An image of the app.

    Attributes:
        deployed: The deployed declaration; None if there is none, or it is not known.
        effect: What will happen to the image.
        turn: The request that CloudFormation will send; None if it sends none,
            or if the deployed declaration is not known.
        plan: What the function will write; None if it writes nothing, or this is not known.
        taken: The tags that the request takes over, each with its current image.
    """

    image: DeclaredImage
    deployed: DeclaredImage | None
    effect: Effect
    turn: Turn | None = None
    plan: Plan | None = None
    taken: Mapping[str, Digest] = field(default_factory=dict)

    @property
    def may_replace(self) -> bool:
        """Whether its repository differs from the deployed one, as far as the declarations show."""
        if self.deployed is None or self.effect.state in {State.REFUSED, State.UNSEEN}:
            return False
        places = [_place(each) for each in (self.deployed, self.image)]
        return places[0] != places[1] and not any(unknowns(places))

    def with_effect(self, **fields: Any) -> Change:  # noqa: ANN401 - those of an effect
        """Return the change with these *fields* of its effect replaced."""
        return replace(self, effect=replace(self.effect, **fields))


def tags_of(image: DeclaredImage) -> list[str]:
    """Return the tags of an image, as far as they are known."""
    tags = image.properties.get(Property.IMAGE_TAGS)
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _place(image: DeclaredImage) -> list[object]:
    return [image.properties.get(name) for name in (Property.REGISTRY_ID, Property.REPOSITORY_NAME)]
