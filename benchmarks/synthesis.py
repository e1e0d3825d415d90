"""Synthesis of many images, compared with one ``AwsCustomResource`` for each tag; and the sizes of the assets."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from .app_names import TAGS
from .peers import AWS_CUSTOM_RESOURCE, CHECKOUT, GO, OURS, Tools
from .results import Attempt, Bound, Row, Sample, Section, measured

IMAGES = (1, 50, 200)
ANY_DIGEST = "sha256:" + 64 * "0"
ASSET_MAX_KB = 200.0
MAX_RATIO = 0.7

NOTE = f"""\
Images of {TAGS} tags, 40 in a stack, from the first construct to the finished templates.
{AWS_CUSTOM_RESOURCE} of aws-cdk-lib makes an API call: one for each tag.
"""
ASSET_NOTE = f"""\
The asset of the function: the zip that the CDK uploads, and its unpacked size.
For {GO}, it is the program in its package.
"""


def app_of(kind: str, images: int, folder: Path, digest: str = ANY_DIGEST) -> Sample:
    """Synthesize an app into *folder*, in a separate process."""
    command = [sys.executable, "-m", "benchmarks.apps", kind, str(images), str(folder), digest]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=CHECKOUT).stdout  # noqa: S603 - our own program
    sample: Sample = json.loads(printed)
    return sample


def sections(tools: Tools, rounds: int, console: Console, *, quick: bool = False) -> Iterator[Section]:
    """Measure 1, 50 and 200 images, and the packed function."""
    section = Section(title="Synthesis", note=NOTE, units=("seconds", "templateBytes"), ours=OURS)
    attempts = {OURS: "PublicImage", AWS_CUSTOM_RESOURCE: "AwsCustomResource"}
    for images in IMAGES[:1] if quick else IMAGES:
        scenario = f"{images} images" if images > 1 else "one image"
        of_images = {name: _attempt(kind, images) for name, kind in attempts.items()}
        section.rows.append(measured(scenario, of_images, rounds, console))
    if row := section.row(f"{IMAGES[-1]} images"):
        what = f"synthesis of {IMAGES[-1]} images, to {AWS_CUSTOM_RESOURCE}"
        section.bounds.append(Bound(what, row.ratio("seconds", OURS, AWS_CUSTOM_RESOURCE), MAX_RATIO))
    yield section
    yield _assets(tools)


def _attempt(kind: str, images: int) -> Attempt:
    def attempt(_: str) -> Sample:
        with tempfile.TemporaryDirectory() as folder:
            return app_of(kind, images, Path(folder))

    return attempt


def _assets(tools: Tools) -> Section:
    samples = {OURS: [_packed(tools.ours.folder)], GO: [_packed(tools.go.folder / "bootstrap")]}
    row = Row("the function", samples)
    ours = row.median(OURS, "zippedKb")
    return Section(
        title="The packed function",
        note=ASSET_NOTE,
        units=("zippedKb", "unpackedKb"),
        ours=OURS,
        rows=[row],
        bounds=[Bound("the packed asset", ours, ASSET_MAX_KB, "kB")],
    )


def _packed(place: Path) -> Sample:
    """Zip a file, or all files of a folder."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    # CDK zips what is in the folder of an asset, without the name of that folder.
    top = place.parent if place.is_file() else place
    with tempfile.TemporaryFile() as scrap:
        with zipfile.ZipFile(scrap, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in files:
                archive.write(path, path.relative_to(top))
        zipped = scrap.tell()
    return {"zippedKb": zipped / 1000, "unpackedKb": sum(path.stat().st_size for path in files) / 1000}
