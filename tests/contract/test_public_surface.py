"""
The public API: names, parameters, kinds and defaults, compared with a reviewed file.

A removed or changed line breaks the apps of users, and an added line must be
kept forever. After a deliberate change, run this module as a script.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import cdk_ecrpublic

SURFACE = Path(__file__).parent / "public_surface.txt"


def lines() -> Iterator[str]:
    """Describe the package, with one line for each public function, parameter and attribute."""
    for name in sorted(cdk_ecrpublic.__all__):
        thing = getattr(cdk_ecrpublic, name)
        is_made_by_users = "__init__" in vars(thing) and not getattr(thing, "_is_protocol", False)
        yield f"{name}{_signature(vars(thing)['__init__'])}" if is_made_by_users else name
        yield from sorted(f"{name}.{line}" for line in _members(thing))


def _members(thing: type) -> Iterator[str]:
    for name, member in inspect.getmembers_static(thing):
        own = any(name in vars(base) and base.__module__.startswith("cdk_ecrpublic") for base in inspect.getmro(thing))
        if name.startswith("_") or not own:
            continue
        if isinstance(member, property):
            yield name
        elif callable(member) or isinstance(member, staticmethod):
            yield f"{name}{_signature(getattr(thing, name))}"
        else:
            yield name


def _signature(thing: object) -> str:
    try:
        signature = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    return str(signature)


def test_the_public_surface_matches_the_reviewed_file() -> None:
    assert list(lines()) == SURFACE.read_text(encoding="utf-8").splitlines()


def test_every_public_name_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "constructs.md").read_text(encoding="utf-8")

    undocumented = [
        name for name in cdk_ecrpublic.__all__ if f"{getattr(cdk_ecrpublic, name).__module__}.{name}" not in page
    ]
    assert undocumented == []


if __name__ == "__main__":
    SURFACE.write_text("".join(f"{line}\n" for line in lines()), encoding="utf-8")
    sys.stdout.write(f"{SURFACE} written\n")
