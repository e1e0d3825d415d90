"""The walks on the architecture page: each function that a walk names is called, in that order."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Self

import pytest
from aws_cdk import App, Stack

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository
from tests.copies.conftest import Publisher, plane, publisher, running_plane, server, two_platforms
from tests.protocol.cloudformation import CloudFormation
from tests.protocol.conftest import Registry, cloudformation, declare, function, registry

from .test_site import PAGE

__all__ = ["cloudformation", "function", "plane", "publisher", "registry", "running_plane", "server"]

OURS = re.compile(r"(?:cdk_ecrpublic\._assets\.)?(?:lambda_handler|cdk_ecrpublic\.constructs)\.")


def walk(title: str) -> list[str]:
    """List the functions in the first column of the table below a heading."""
    _, _, rest = PAGE.partition(f"\n### {title}\n")
    section, _, _ = rest.partition("\n#")
    return re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE)


class Calls:
    """Records the functions of this project that are called while the context is open, in all threads."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __enter__(self) -> Self:
        threading.setprofile(self._record)
        sys.setprofile(self._record)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _record(self, frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and OURS.match(module):
            self.names.append(f"{OURS.sub('', module)}.{frame.f_code.co_qualname}")


def not_called(names: Sequence[str], calls: Sequence[str]) -> list[str]:
    """List the functions that were not called after the one before them."""
    missing, position = [], 0
    for name in names:
        found = next((at for at in range(position, len(calls)) if f".{calls[at]}".endswith(f".{name}")), None)
        if found is None:
            missing.append(name)
        else:
            position = found + 1
    return missing


def check(title: str, run: Callable[[], object]) -> None:
    names = walk(title)
    with Calls() as calls:
        run()

    assert len(names) >= 5
    assert not_called(names, calls.names) == []


def test_the_walk_of_one_tag(cloudformation: CloudFormation, registry: Registry) -> None:
    old, new = registry.push("old"), registry.push("new")
    physical_id = cloudformation.create(declare(old, "latest")).physical_id

    def update() -> None:
        assert cloudformation.update(physical_id, declare(new, "latest"), declare(old, "latest")).succeeded

    check("One tag, from the event to `PutImage`", update)


def test_the_walk_of_one_source() -> None:
    stack = Stack(App(), "Stack")
    repository = PublicRepository.from_repository_name(stack, "Repository", "acme/agent")

    def declare_image() -> None:
        source = ImageSource.registry("ghcr.io/acme/agent:1.4")
        PublicImage(stack, "Image", repository=repository, source=source, tags=["1.4"])

    check("One source, from Python to the template", declare_image)


def test_the_walk_of_one_blob(publisher: Publisher) -> None:
    publisher.push(two_platforms(), "v1")

    check("One blob, from the source to the destination", lambda: publisher.copy("v1", "1"))


@pytest.mark.parametrize(
    ("names", "missing"),
    [(["a.f", "b.g"], []), (["b.g", "a.f"], ["a.f"]), (["a.f", "a.h"], ["a.h"]), (["f", "x.a.f"], ["x.a.f"])],
    ids=["in order", "in another order", "not called", "called once only"],
)
def test_detects_functions_that_are_not_called_in_order(names: list[str], missing: list[str]) -> None:
    assert not_called(names, ["x.a.f", "x.b.g"]) == missing
