"""Prepare the state before two concurrent requests."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lambda_handler.entrypoint import Clients

from . import engine
from .clients import clients_for
from .course import Course
from .events import SOURCE_TAG
from .model import Expectation, Model
from .run import Agent
from .scenarios import IMAGES, OLD_IMAGE, PERSONS_IMAGE, SHARED, Pair
from .services import Client
from .stacks import Declared, Request
from .world import World, new_world

LONG_AGO = 3600.0

_UNDO = {"undo created", "undo updated"}


@dataclass(kw_only=True)
class Prepared:
    """
    The state before a pair of requests.

    Attributes:
        course: The world, with the deployments until now.
        requests: The requests, by the name of their side.
        recent: Where tags pointed recently, which stale reads still show.
        deliveries: How often each request has been delivered before.
    """

    pair: Pair
    course: Course
    requests: Mapping[str, Request]
    recent: frozenset[tuple[str, str | None]]

    def begin(self, client: type[Client]) -> tuple[World, list[Agent]]:
        """Return a copy of the world, and the functions that serve the requests in it, with these clients."""
        world, agents = self.course.world.copy(), []
        for name, request in self.requests.items():
            agent = Agent(name, request, aws_request_id=f"lambda-request-{name}")
            # A second delivery goes to another instance, which does not know the first.
            like = warm_clients() if name == "B" and self.is_second else self.course.warm
            agent.clients = clients_for(agent, like=like, client=client)
            agents.append(agent)
        return world, agents

    @property
    def is_second(self) -> bool:
        """Whether B is a second delivery of the request A."""
        return self.pair.b is not None and self.pair.b.name in {"again", "late"}


@functools.cache
def warm_clients() -> Clients:
    """Return the clients of a function that has served another resource."""
    course = Course(world=new_world(), states=frozenset({Model()}))
    # The function stores its responses by request id.
    course.world.next_id = 9001
    course.world.push(OLD_IMAGE)
    course.deploy("Warm", {"Up": Declared(image=OLD_IMAGE, tags=("warm",))}, "eu-west-1")
    assert course.warm is not None
    return course.warm


def prepare(pair: Pair) -> Prepared:
    """Run the deployments before the pair."""
    course = Course(world=new_world(pair.service), states=frozenset(), warm=warm_clients())
    _push(pair, course.world)
    _look(course)
    for stack in pair.stacks:
        old, _ = pair.templates(stack)
        if old:
            course.deploy(stack, old, pair.region(stack))
    if pair.source == "tag":
        course.world.push("X", SOURCE_TAG)
        course.states = frozenset(state.with_tag(SOURCE_TAG, "X") for state in course.states)
    _look(course)
    course.world.time += LONG_AGO
    recent = course.world.tags()
    requests = _begin(pair, course)
    _look(course)
    tags = frozenset((tag, recent.get(tag)) for tag in {*recent, *course.world.tags()})
    return Prepared(pair=pair, course=course, requests=requests, recent=tags)


def _push(pair: Pair, world: World) -> None:
    """Push the images that are declared by digest. Manifests that are declared by their bytes are new."""
    pushed = [OLD_IMAGE, PERSONS_IMAGE]
    if pair.overlap in {"index", "child"}:
        pushed += ["X", "Y"]
    if pair.source != "manifest":
        pushed += IMAGES[pair.overlap]
    for image in pushed:
        world.push(image)
    if pair.before == "person":
        world.push(PERSONS_IMAGE, SHARED)
    if pair.source == "tag":
        world.push(OLD_IMAGE, SOURCE_TAG)
    world.time += LONG_AGO


def _begin(pair: Pair, course: Course) -> Mapping[str, Request]:
    """Run the deployments that are undone, and return the concurrent requests."""
    undone = [stack for stack in pair.stacks if pair.phase(stack) in _UNDO]
    first: list[Request] = []
    for stack in undone:
        first = engine.deploy(course.world, stack, pair.templates(stack)[1], pair.region(stack))
        course.serve(first)
    course.world.time += pair.gap
    waiting = [request for stack in pair.stacks for request in _last_phase(pair, course.world, stack)]
    found = {request.resource[1]: request for request in waiting if request.resource[1] in {"A", "B"}}
    if pair.b and pair.b.name == "again":
        found["B"] = found["A"]
    if pair.b and pair.b.name == "late":
        found["B"] = next(request for request in first if request.resource[1] == "A")
    return dict(sorted(found.items()))


def _last_phase(pair: Pair, world: World, stack: str) -> list[Request]:
    phase = pair.phase(stack)
    if phase in _UNDO:
        return engine.proceed(world, stack, other_fails=True)
    new = pair.templates(stack)[1]
    if not new:
        return engine.delete(world, stack)
    requests = engine.deploy(world, stack, new, pair.region(stack))
    return requests if phase == "forward" else engine.proceed(world, stack)


def _look(course: Course) -> None:
    """Check the state against the contract, and continue from the actual state."""
    tags, images = course.world.tags(), course.world.images()
    if not course.states:
        course.states = frozenset({Model.of(tags, images)})
        return
    course.problems += [f"before: {problem}" for problem in Expectation(course.states).problems(tags, images)]
    seen = {replace(state, tags=frozenset(tags.items()), images=images) for state in course.states}
    course.states = (course.states & seen) or frozenset(seen)
