"""Run requests one after the other: the deployments before a schedule, and those after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from lambda_handler.entrypoint import Clients

from . import engine
from .clients import clients_for
from .model import Operation, States, apply, may_fail
from .run import Call, Invocation, Run
from .stacks import Kind, Request, Template
from .world import World

_SHOWN_CHARACTERS = 100


def invocation_for(request: Request, clients: Clients | None) -> Invocation:
    """Return the invocation that serves a request."""
    invocation = Invocation("A", request)
    invocation.clients = clients_for(invocation, like=clients)
    return invocation


def operation_of(world: World, request: Request, *, again: bool = False) -> Operation:
    """Return the operation of the model for a request, with the result in its response."""
    stack = world.stacks[request.resource[0]]
    changes = [each for each in (*stack.waiting, *stack.changes) if each.request.id == request.id]
    return Operation(
        kind=request.kind,
        owner=request.resource,
        new=request.new,
        old=request.old,
        failed=not any(each.succeeded for each in changes),
        again=again,
    )


def reason_of(body: bytes) -> str:
    """Return why a request failed, shortened."""
    return str(json.loads(body)["Reason"])[:_SHOWN_CHARACTERS]


@dataclass(kw_only=True)
class Simulation:
    """
    A fake world, and the states that the contract allows for it.

    Attributes:
        warm: A function that has already served a request.
        trace: All calls.
        problems: The violations of the contract.
        is_excused: Whether an image is gone, so that a request may fail permanently.
    """

    world: World
    states: States
    warm: Clients | None = None
    trace: list[Call] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_excused: bool = False

    def copy(self) -> Simulation:
        return Simulation(world=self.world.copy(), states=self.states, warm=self.warm, is_excused=self.is_excused)

    def deploy(self, stack: str, template: Template, region: str) -> None:
        """Deploy a template, which must succeed, and clean up."""
        self.serve(engine.deploy(self.world, stack, template, region))
        self.finish(stack)

    def serve(self, requests: Sequence[Request]) -> None:
        for request in requests:
            invocation = invocation_for(request, self.warm)
            run = Run(self.world, [invocation]).go()
            self.trace += run.trace
            self.warm = invocation.clients
            engine.record_result(self.world, request)
            operation = operation_of(self.world, request)
            # If an image is gone, a request may never succeed.
            self.is_excused = self.is_excused or may_fail(self.states, operation)
            self._check(request, invocation)
            self.states = apply(self.states, operation)

    def finish(self, stack: str, *, other_fails: bool = False) -> None:
        """Send all further requests of CloudFormation, until the stack is idle."""
        requests = engine.proceed(self.world, stack, other_fails=other_fails)
        while requests:
            self.serve(requests)
            requests = engine.proceed(self.world, stack)
        if engine.is_stuck(self.world.stacks[stack]) and not self.is_excused:
            self.problems.append(f"stack {stack} is stuck")

    def destroy(self, stack: str) -> None:
        self.serve(engine.delete(self.world, stack))
        self.finish(stack)

    def _check(self, request: Request, invocation: Invocation) -> None:
        bodies = self.world.answers.get(request.id, ())
        if invocation.error or len(bodies) != 1:
            self.problems.append(f"{len(bodies)} responses to {request.kind}; the handler raised {invocation.error!r}")
        elif b'"SUCCESS"' not in bodies[0] and not self.is_excused and request.kind is not Kind.CREATE:
            self.problems.append(f"{request.kind} of {request.resource[1]} failed: {reason_of(bodies[0])}")
