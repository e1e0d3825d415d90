"""
Pairs of requests that may interfere, and the deployments before them.

The name of a pair describes it: ``create.KEEP+delete.DESTROY/same/two/person``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from .stacks import Declared, Policy, Template
from .world import DOCUMENTED, Service

Name = Literal["create", "gain", "drop", "undo-create", "undo-gain", "undo-drop", "delete", "again", "late"]
"""
What a request does with the shared tag.

``create`` and ``gain`` (an update) add the tag, ``drop`` (an update) and
``delete`` drop it, ``undo-…`` undoes that. ``again`` is a second delivery of the
other request, and ``late`` is one of the request that the other one undoes.
"""

Overlap = Literal["same", "tag", "image", "index", "child"]
"""
What the two share: the tag and the image; the tag; the image; the tag and an index.

``child``: one has an index, and the other one has an image that it lists.
"""

Where = Literal["one", "two", "far"]
"""One stack; one of each of two apps; or two of one app, in different Regions."""

Before = Literal["nothing", "person", "bump"]
"""
The former owner of the shared tag.

``bump``: a resource that the same deployment removes, as when an entry of a
catalog gets another version.
"""

PHASES: Mapping[str, str] = {
    "create": "forward",
    "gain": "forward",
    "drop": "forward",
    "undo-create": "undo created",
    "undo-gain": "undo updated",
    "undo-drop": "undo updated",
    "delete": "clean up",
}

IMAGES: Mapping[Overlap, tuple[str, str]] = {
    "same": ("X", "X"),
    "tag": ("X", "Y"),
    "image": ("X", "X"),
    "index": ("I", "I"),
    "child": ("I", "X"),
}
"""The images of the first and the second request."""

OLD_IMAGE = "V"
"""The other image of an update."""

PERSONS_IMAGE = "W"
"""What the shared tag pointed to before."""

SHARED = "s"

JUST_NOW = 2.0
MINUTES = 130.0


@dataclass(frozen=True)
class Side:
    """One of the requests."""

    name: Name
    policy: Policy

    def __str__(self) -> str:
        return f"{self.name}.{self.policy}"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """
    Two requests, or one.

    Attributes:
        source: How the images are declared; see `Declared`.
        gap: The seconds between a deployment and its undo.
    """

    a: Side
    b: Side | None = None
    overlap: Overlap = "same"
    where: Where = "two"
    before: Before = "nothing"
    source: Literal["digest", "manifest", "tag"] = "digest"
    gap: float = JUST_NOW
    service: Service = DOCUMENTED

    def __str__(self) -> str:
        sides = "+".join(map(str, filter(None, (self.a, self.b))))
        gap = "" if self.gap == JUST_NOW else f"/{self.gap:g}"
        return f"{sides}/{self.overlap}/{self.where}/{self.before}/{self.source}{gap}"

    @classmethod
    def parse(cls, text: str) -> Pair:
        sides, overlap, where, before, source, *gap = text.split("/")
        parsed = [Side(name, Policy(policy)) for name, _, policy in (part.partition(".") for part in sides.split("+"))]  # type: ignore[arg-type]
        return cls(
            a=parsed[0],
            b=parsed[1] if parsed[1:] else None,
            overlap=overlap,  # type: ignore[arg-type]
            where=where,  # type: ignore[arg-type]
            before=before,  # type: ignore[arg-type]
            source=source,  # type: ignore[arg-type]
            gap=float(gap[0]) if gap else JUST_NOW,
        )

    @property
    def sides(self) -> Iterator[tuple[str, Side]]:
        """The sides that have their own resource, with their names."""
        yield "A", self.a
        if self.b and self.b.name not in {"again", "late"}:
            yield "B", self.b

    def stack(self, name: str) -> str:
        return "Alpha" if name == "A" or self.where == "one" else "Beta"

    def region(self, stack: str) -> str:
        return "us-east-1" if stack == "Beta" and self.where == "far" else "eu-west-1"

    @property
    def stacks(self) -> list[str]:
        return sorted({self.stack(name) for name, _ in self.sides})

    def phase(self, stack: str) -> str:
        return next(PHASES[side.name] for name, side in self.sides if self.stack(name) == stack)

    @property
    def is_possible(self) -> bool:
        """Whether CloudFormation could send both requests at the same time, and the other parts agree."""
        phases = {PHASES[side.name] for _, side in self.sides}
        fits_before = self.before != "bump" or self.a.name in {"create", "undo-create"}
        second = self.b.name if self.b and self.b.name in {"again", "late"} else ""
        fits_second = not second or (self.where == "one" and (second != "late" or "undo" in self.a.name))
        return fits_before and fits_second and (self.where != "one" or len(phases) == 1)

    def templates(self, stack: str) -> tuple[Template, Template]:
        """Return the templates that a stack deploys first and next."""
        old: dict[str, Declared] = {}
        new: dict[str, Declared] = {}
        for name, side in self.sides:
            if self.stack(name) == stack:
                before, after = self._declared(name, side)
                old |= {name: before} if before else {}
                new |= {name: after} if after else {}
        if stack == "Beta":
            # With it, the deployment does not create the stack, and a template without the resource is not empty.
            anchor = {"Anchor": Declared(image=OLD_IMAGE, tags=("anchor",))}
            return old | anchor, new | anchor
        if self.before == "bump":
            bumped = Declared(
                image=PERSONS_IMAGE,
                tags=(SHARED,),
                policy=self.a.policy,
                has_parameter_name=self._has_parameter_name(self.a),
            )
            return old | {"Old": bumped}, new
        return old, new

    def _declared(self, name: str, side: Side) -> tuple[Declared | None, Declared | None]:
        image = IMAGES[self.overlap][name == "B"]
        shared = SHARED if self.overlap in {"same", "tag", "index"} else f"{SHARED}{name.lower()}"
        full = Declared(
            image=image,
            tags=(name.lower(), shared),
            policy=side.policy,
            source=self.source,
            has_parameter_name=self._has_parameter_name(side),
        )
        less = replace(full, image=OLD_IMAGE, tags=(name.lower(),))
        ends: Mapping[str, tuple[Declared | None, Declared | None]] = {
            "create": (None, full),
            "gain": (less, full),
            "drop": (full, less),
            "delete": (full, None),
        }
        return ends[side.name.removeprefix("undo-")]

    def _has_parameter_name(self, side: Side) -> bool:
        """Whether the construct library renders a parameter name for it."""
        sides = [each for _, each in self.sides] if self.where in {"one", "far"} else [side]
        return self.source == "tag" or any(each.policy is not Policy.KEEP for each in sides)
