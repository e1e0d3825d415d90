"""Prepare the state before two concurrent requests."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lambda_handler.entrypoint import Clients

from . import engine
from .clients import clients_for
from .events import SOURCE_TAG
from .model import Expectation, Model
from .run import Invocation
from .scenarios import IMAGES, OLD_IMAGE, PERSONS_IMAGE, SHARED, Pair
from .services import Client
from .simulation import Simulation
from .stacks import Declared, Request
from .world import World, new_world

LONG_AGO = 3600.0

_UNDO = {"undo created", "undo updated"}


@dataclass(kw_only=True)
class Prepared:
    """
    The state before a pair of requests.

    Attributes:
        simulation: The world, with the deployments until now.
        requests: The requests, by the name of their side.
        recent: Where tags pointed recently, which stale reads still show.
    """

    pair: Pair
    simulation: Simulation
    requests: Mapping[str, Request]
    recent: frozenset[tuple[str, str | None]]

    def begin(self, client: type[Client]) -> tuple[World, list[Invocation]]:
        """Return a copy of the world, and the functions that serve the requests in it, with these clients."""
        world, invocations = self.simulation.world.copy(), []
        for name, request in self.requests.items():
            invocation = Invocation(name, request, aws_request_id=f"lambda-request-{name}")
            # A second delivery goes to another instance, which has not seen the first one.
            like = warm_clients() if name == "B" and self.is_second else self.simulation.warm
            invocation.clients = clients_for(invocation, like=like, client=client)
            invocations.append(invocation)
        return world, invocations

    @property
    def is_second(self) -> bool:
        """Whether B is a second delivery of the request A."""
        return self.pair.b is not None and self.pair.b.name in {"again", "late"}


@functools.cache
def warm_clients() -> Clients:
    """Return the clients of a function that has served another resource."""
    simulation = Simulation(world=new_world(), states=frozenset({Model()}))
    # The function stores its responses by request id.
    simulation.world.next_id = 9001
    simulation.world.push(OLD_IMAGE)
    simulation.deploy("Warm", {"Up": Declared(image=OLD_IMAGE, tags=("warm",))}, "eu-west-1")
    assert simulation.warm is not None
    return simulation.warm


def prepare(pair: Pair) -> Prepared:
    """Run the deployments before the pair."""
    simulation = Simulation(world=new_world(pair.service), states=frozenset(), warm=warm_clients())
    _push(pair, simulation.world)
    _check_state(simulation)
    for stack in pair.stacks:
        old, _ = pair.templates(stack)
        if old:
            simulation.deploy(stack, old, pair.region(stack))
    if pair.source == "tag":
        simulation.world.push("X", SOURCE_TAG)
        simulation.states = frozenset(state.with_tag(SOURCE_TAG, "X") for state in simulation.states)
    _check_state(simulation)
    simulation.world.time += LONG_AGO
    recent = simulation.world.tags()
    requests = _begin(pair, simulation)
    _check_state(simulation)
    tags = frozenset((tag, recent.get(tag)) for tag in {*recent, *simulation.world.tags()})
    return Prepared(pair=pair, simulation=simulation, requests=requests, recent=tags)


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


def _begin(pair: Pair, simulation: Simulation) -> Mapping[str, Request]:
    """Run the deployments that are undone, and return the concurrent requests."""
    undone = [stack for stack in pair.stacks if pair.phase(stack) in _UNDO]
    first: list[Request] = []
    for stack in undone:
        first = engine.deploy(simulation.world, stack, pair.templates(stack)[1], pair.region(stack))
        simulation.serve(first)
    simulation.world.time += pair.gap
    waiting = [request for stack in pair.stacks for request in _last_phase(pair, simulation.world, stack)]
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


def _check_state(simulation: Simulation) -> None:
    """Check the state against the contract, and continue from the actual state."""
    tags, images = simulation.world.tags(), simulation.world.images()
    if not simulation.states:
        simulation.states = frozenset({Model.of(tags, images)})
        return
    simulation.problems += [f"before: {problem}" for problem in Expectation(simulation.states).problems(tags, images)]
    seen = {replace(state, tags=frozenset(tags.items()), images=images) for state in simulation.states}
    simulation.states = (simulation.states & seen) or frozenset(seen)
