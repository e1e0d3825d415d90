"""With rules as well, a plan predicts the next deployment, and the result if it fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.effect import Effect, State
from cdk_ecrpublic.review.live.registry import ReviewClients

from .apps import write_app
from .cloud import Cloud
from .conftest import World
from .test_rehearsed_lives import (
    PUSHED,
    RULES,
    App,
    Pushed,
    apps,
    begin,
    check_failure,
    check_success,
    check_verified,
    clients,
    push,
    resources,
)

__all__ = ["clients"]

RULED = apps(("keep", *RULES))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=PUSHED, before=RULED, second=PUSHED, after=RULED, order=st.none() | st.permutations(range(3)))
@pytest.mark.usefixtures("cloud")
def test_a_plan_predicts_the_deployment_and_its_rollback(
    world: World,
    cloud: Cloud,
    clients: ReviewClients,
    *,
    first: Pushed,
    before: App,
    second: Pushed,
    after: App,
    order: Sequence[int] | None,
) -> None:
    begin(world, cloud)
    push(world, first)
    if before:
        assume(cloud.can_deploy(write_app(world.folder, resources(before))))
    push(world, second)
    assembly = read_assembly(folder := write_app(world.folder, resources(after)))
    tags, images = world.tags(), world.images()

    effects = world.review(assembly, clients=clients)

    assert (world.tags(), world.images()) == (tags, images), "a review writes nothing"
    if refused := [effect for effect in effects if effect.state is State.REFUSED]:
        assert not cloud.can_deploy(folder) or all(map(may_be_accepted, refused))
        return
    if order is not None:
        check_failure(effects, world, cloud.fail(folder, order), tags, moved=second.keys())
    else:
        cloud.deploy(folder)
        check_success(effects, world, tags, images)
        check_verified(effects, assembly, clients)


def may_be_accepted(refused: Effect) -> bool:
    """Whether the plan says that CloudFormation may remove the tag first that must not move."""
    return any(text.startswith("this image may be refused, or not") for text in refused.warnings)
