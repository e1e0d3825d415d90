"""What an upgrade does to deployed stacks, according to the records and the handler's source."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

RECORDS = "tests/contract/released"
HANDLER = "lambda_handler"
STACKS = "stacks"
"""The record that does not belong to an image."""

Git = Callable[..., str]
"""Runs git with these arguments in the checkout, and returns its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """
    The differences from the previous release.

    Attributes:
        previous: The previous release; empty if there is none.
        redeployed: The kinds of declarations that render differently; each image
            that is declared like this gets an Update.
        is_function_new: Whether the function's source has changed.
    """

    previous: str
    redeployed: tuple[str, ...]
    is_function_new: bool

    def lines(self) -> list[str]:
        """Describe the differences in sentences."""
        if not self.previous:
            return ["the first release: there is nothing to redeploy"]
        images = (
            f"images that are declared like these get an Update: {', '.join(self.redeployed)}"
            if self.redeployed
            else "no image gets an Update"
        )
        function = "is updated in place, which touches no image" if self.is_function_new else "stays as it is"
        return [f"compared with {self.previous}, {images}", f"the function {function}"]


def compare(checkout: Path, version: str, git: Git) -> Upgrade:
    """Compare *version*, whose records exist, with the newest release before it."""
    previous = _previous(version, git)
    if not previous:
        return Upgrade(previous="", redeployed=(), is_function_new=True)
    before, now = _records(checkout, previous), _records(checkout, version)
    return Upgrade(
        previous=previous,
        redeployed=tuple(kind for kind in sorted(before) if before[kind] != now.get(kind)),
        # The same source tree gives the same asset, because the CDK names assets by their content.
        is_function_new=git("rev-parse", f"v{previous}:{HANDLER}") != git("rev-parse", f"HEAD:{HANDLER}"),
    )


def _previous(version: str, git: Git) -> str:
    released = [tag.removeprefix("v") for tag in git("tag", "--list", "v*.*.*").split()]
    return max((each for each in released if Version(each) < Version(version)), key=Version, default="")


def _records(checkout: Path, version: str) -> dict[str, object]:
    """Return what was rendered, without the handler's responses, which redeploy nothing."""
    paths = [path for path in (checkout / RECORDS / version).glob("*.json") if path.stem != STACKS]
    records = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    return {name: {key: value for key, value in each.items() if key != "Answer"} for name, each in records.items()}
