"""
Undo, ownership, removal and late requests: events go in, and the state of a registry comes out.

The name of a test begins with the number of its case. T3 and T5 are tested
elsewhere, where responses and contents are scripted.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdk_ecrpublic.sandbox import Sandbox
from tests.protocol.cloudformation import answer_address
from tests.protocol.conftest import running_plane
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane
from tests.support.deployment import DeployedStack
from tests.support.hooks import registry_hooks
from tests.support.scene import ELSEWHERE, HOME, UPSTREAM, Scene

__all__ = ["running_plane"]


@pytest.fixture
def scene(sandbox: Sandbox, running_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    clock = SteppingClock()
    running_plane.clear()
    running_plane.wall = clock.wall
    monkeypatch.setattr(sandbox.store, "clock", clock.wall)
    for name, value in {**sandbox.environment(), **running_plane.environment()}.items():
        monkeypatch.setenv(name, value)
    for name in (HOME, ELSEWHERE, UPSTREAM):
        sandbox.client("ecr-public").create_repository(repositoryName=name)
    with answer_address() as address, registry_hooks(sandbox) as hooks:
        scene = Scene(sandbox, running_plane, address, hooks, clock)
        yield scene
        scene.close()
        assert (hooks.problems, running_plane.hooks.problems, address.problems) == ([], [], [])


@pytest.fixture
def stack(scene: Scene) -> DeployedStack:
    return scene.stack()
