"""Actions that run at a chosen moment: right before or right after the n-th request of a kind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.exchange import Exchange

Moment = Literal["before", "after"]

Action = Callable[[], object]


def anything(_request: Any) -> bool:
    """Match every request of the operation."""
    return True


@dataclass
class Hook:
    """
    One action, and the requests that run it.

    Attributes:
        skip: How many matching requests to skip first.
        times: How many requests run the action after that; None for all.
        ran: How often the action has run.
    """

    moment: Moment
    operation: str
    action: Action
    when: Callable[[Any], bool] = anything
    skip: int = 0
    times: int | None = 1
    seen: int = 0
    ran: int = 0

    def counts(self, moment: Moment, operation: str, request: object) -> bool:
        """Count a request; return whether the action has to run."""
        if (moment, operation) != (self.moment, self.operation) or not self.when(request):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.seen > self.skip + self.times):
            return False
        self.ran += 1
        return True


@dataclass
class Hooks:
    """
    The actions of one service.

    Attributes:
        problems: The errors that actions raised. They run in threads of the service, so tests would miss them.
    """

    hooks: list[Hook] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, operation: str, action: Action, **more: Any) -> Hook:
        """Run *action* when the request has arrived, before it takes effect."""
        return self._add(Hook("before", operation, action, **more))

    def after(self, operation: str, action: Action, **more: Any) -> Hook:
        """Run *action* when the request has taken effect, before the response is sent."""
        return self._add(Hook("after", operation, action, **more))

    def clear(self) -> None:
        self.hooks.clear()
        self.problems.clear()

    def run(self, moment: Moment, operation: str, request: object) -> None:
        """Run the actions for this request. Requests that an action sends are served in the meantime."""
        with self._lock:
            due = [hook for hook in self.hooks if hook.counts(moment, operation, request)]
        for hook in due:
            try:
                hook.action()
            except BaseException as error:  # noqa: BLE001 - an assertion of the test too
                self.problems.append(f"{moment} {operation}: {type(error).__name__}: {error}")

    def _add(self, hook: Hook) -> Hook:
        with self._lock:
            self.hooks.append(hook)
        return hook


@contextmanager
def registry_hooks(sandbox: Sandbox) -> Iterator[Hooks]:
    """
    Yield hooks for the requests to both APIs of a sandbox. Each action gets the ``Call``.

    ``before`` also comes before a scripted fault, so that a test can let time pass first.
    """
    hooks = Hooks()
    run, answer = Exchange.run, Exchange._answer  # noqa: SLF001 - the point where a request takes effect

    async def run_after_hooks(self: Exchange, *arguments: Any) -> None:
        if self.world is sandbox.world and hooks.hooks:
            await asyncio.to_thread(hooks.run, "before", self.call.operation, self.call)
        await run(self, *arguments)

    async def answer_before_hooks(self: Exchange, *arguments: Any) -> Any:
        answered = await answer(self, *arguments)
        if self.world is sandbox.world and hooks.hooks:
            await asyncio.to_thread(hooks.run, "after", self.call.operation, self.call)
        return answered

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Exchange, "run", run_after_hooks)
        patch.setattr(Exchange, "_answer", answer_before_hooks)
        yield hooks
