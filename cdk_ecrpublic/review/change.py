"""An image of the app, what it is deployed as, and what the function will do with it."""

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
        deployed: What it is deployed as; None: it is not, or that is not known.
        effect: What becomes of it.
        turn: The request that CloudFormation will send; None: it sends none,
            or it is not known what is deployed.
        plan: What the function will write; None: nothing, or that is not known.
        taken: The tags that the request takes over, each with its image until now.
    """

    image: DeclaredImage
    deployed: DeclaredImage | None
    effect: Effect
    turn: Turn | None = None
    plan: Plan | None = None
    taken: Mapping[str, Digest] = field(default_factory=dict)

    @property
    def may_replace(self) -> bool:
        """Whether it goes to another place than that where it is deployed, as far as the declarations tell."""
        if self.deployed is None or self.effect.state in {State.REFUSED, State.UNSEEN}:
            return False
        places = [_place(each) for each in (self.deployed, self.image)]
        return places[0] != places[1] and not any(unknowns(places))

    def having(self, **fields: Any) -> Change:  # noqa: ANN401 - those of an effect
        """Return the change with other *fields* of its effect."""
        return replace(self, effect=replace(self.effect, **fields))


def tags_of(image: DeclaredImage) -> list[str]:
    """Return the tags of an image, as far as they are known."""
    tags = image.properties.get(Property.IMAGE_TAGS)
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _place(image: DeclaredImage) -> list[object]:
    return [image.properties.get(name) for name in (Property.REGISTRY_ID, Property.REPOSITORY_NAME)]
