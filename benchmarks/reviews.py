"""``cdk-ecrpublic plan`` for many images, compared with ``crane digest`` for each tag."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from .app_names import TAGS, repository_of, tags_of
from .peers import CRANE, OURS, Tools
from .processes import Cost, run
from .registries import Registries
from .results import Attempt, Bound, Sample, Section, cost, measured
from .synthesis import app_of

IMAGES = (1, 50, 200)
MANY_ROUNDS = 3
MAX_RATIO = 1 / 5
PLAN = "import sys; from cdk_ecrpublic.cli import main; main()"

NOTE = f"""\
What a deployment will do to images of {TAGS} tags, each in its own repository and already as declared.
{CRANE} only reads the digest of each tag, one after the other.
"""


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Measure 1, 50 and 200 images."""
    section = Section(title="Plan", note=NOTE, units=("seconds", "peakMib", "cpuSeconds", "requests"), ours=OURS)
    there, digest = 0, ""
    for images in IMAGES[:1] if quick else IMAGES:
        for image in range(there, images):
            digest = registries.destination.publish(repository_of(image), tags_of(image))
        there = images
        with tempfile.TemporaryDirectory() as folder:
            app_of("PublicImage", images, Path(folder), digest)
            programs = {OURS: _plan(registries, folder), CRANE: _crane(registries, images)}
            attempts = {name: _counted(registries, each) for name, each in programs.items() if tools.has(name)}
            scenario = f"{images} images" if images > 1 else "one image"
            section.rows.append(measured(scenario, attempts, min(rounds, MANY_ROUNDS), console))
    if row := section.row(f"{IMAGES[-1]} images"):
        what = f"plan of {IMAGES[-1]} images: time, to {CRANE}'s"
        section.bounds.append(Bound(what, row.ratio("seconds", OURS, CRANE), MAX_RATIO))
    yield section


def _counted(registries: Registries, program: Callable[[], Cost]) -> Attempt:
    def attempt(_: str) -> Sample:
        registries.count_from_now()
        took = program()
        return {**cost(took), "requests": sum(registries.counted().values())}

    return attempt


def _plan(registries: Registries, folder: str) -> Callable[[], Cost]:
    return lambda: run([sys.executable, "-c", PLAN, "plan", folder], registries.environment)


def _crane(registries: Registries, images: int) -> Callable[[], Cost]:
    root = registries.destination.uri.removesuffix(f"/{registries.destination.repository}")
    names = [f"{root}/{repository_of(image)}:{tag}" for image in range(images) for tag in tags_of(image)]
    script = 'set -e; for name in "$@"; do crane digest --insecure "$name"; done'
    return lambda: run(["sh", "-c", script, "sh", *names], registries.environment)
