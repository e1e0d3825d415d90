"""
What the project costs, side by side with what a user would write instead, in one run.

So far: synthesis of many images, against one ``AwsCustomResource`` for each
tag, which is how aws-cdk-lib alone would put an image. Each figure is the
median of several processes; read the ratios, since absolute times differ from
machine to machine.

Run it with ``make bench``; ``--runs N`` changes the number of processes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from aws_cdk import Stack

IMAGES = (1, 50, 200)
TAGS = 5
STACK_IMAGES = 40
"""40 images are 400 resources with AwsCustomResource; CloudFormation allows 500 in a stack."""

REPOSITORY = "acme/agent"


def measure(kind: str, images: int) -> dict[str, float]:
    """
    Synthesize *images* in this process, in stacks of 40.

    Shape:
        ``{"seconds": 1.25, "templateBytes": 40210}``: the time from the first
        construct to the finished template, without the import of aws-cdk-lib.
    """
    from aws_cdk import App, Stack  # noqa: PLC0415 - starts Node, which only the measured process needs

    declare = {"PublicImage": public_image, "AwsCustomResource": custom_resources}[kind]
    started = time.perf_counter()
    app = App()
    for first in range(0, images, STACK_IMAGES):
        stack = Stack(app, f"Stack{first}")
        for image in range(first, min(first + STACK_IMAGES, images)):
            declare(stack, image)
    assembly = app.synth()
    seconds = time.perf_counter() - started
    size = sum(Path(stack.template_full_path).stat().st_size for stack in assembly.stacks)
    return {"seconds": seconds, "templateBytes": size}


def public_image(stack: Stack, image: int) -> None:
    """Declare an image with this library."""
    from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository  # noqa: PLC0415

    PublicImage(
        stack,
        f"Image{image}",
        repository=PublicRepository.from_repository_name(stack, f"Repository{image}", REPOSITORY),
        source=ImageSource.digest(f"sha256:{image:064x}"),
        tags=[f"{image}.{tag}" for tag in range(TAGS)],
    )


def custom_resources(stack: Stack, image: int) -> None:
    """Declare a PutImage call for each tag of an image with aws-cdk-lib alone."""
    from aws_cdk import custom_resources as cr  # noqa: PLC0415

    arn = f"arn:aws:ecr-public::123456789012:repository/{REPOSITORY}"
    for tag in range(TAGS):
        call = cr.AwsSdkCall(
            service="ecr-public",
            action="putImage",
            region="us-east-1",
            physical_resource_id=cr.PhysicalResourceId.of(f"{REPOSITORY}:{image}.{tag}"),
            output_paths=["image.imageId.imageDigest"],
            parameters={
                "repositoryName": REPOSITORY,
                "imageTag": f"{image}.{tag}",
                "imageDigest": f"sha256:{image:064x}",
                "imageManifest": "{}",
            },
        )
        cr.AwsCustomResource(
            stack,
            f"Image{image}Tag{tag}",
            on_update=call,
            install_latest_aws_sdk=False,
            policy=cr.AwsCustomResourcePolicy.from_sdk_calls(resources=[arn]),
        )


def median(kind: str, images: int, runs: int, console: Console) -> dict[str, float]:
    """Measure in *runs* fresh processes."""
    results = []
    for run in range(runs):
        console.print(f"  {kind}, {images} images of {TAGS} tags: run {run + 1} of {runs}", style="dim")
        command = [sys.executable, __file__, "--measure", kind, str(images)]
        results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))  # noqa: S603 - ourselves
    return {name: statistics.median(result[name] for result in results) for name in results[0]}


def report(runs: int) -> None:
    """Run everything, and print it as a table."""
    console = Console()
    table = Table(title="Synthesis: from the first construct to the template")
    for column in ("images", "PublicImage", "AwsCustomResource", "ratio", "template", "theirs", "ratio "):
        table.add_column(column, justify="right")
    for images in IMAGES:
        ours = median("PublicImage", images, runs, console)
        theirs = median("AwsCustomResource", images, runs, console)
        table.add_row(
            str(images),
            f"{ours['seconds']:.2f} s",
            f"{theirs['seconds']:.2f} s",
            f"{ours['seconds'] / theirs['seconds']:.2f}",
            f"{ours['templateBytes'] / 1000:.0f} kB",
            f"{theirs['templateBytes'] / 1000:.0f} kB",
            f"{ours['templateBytes'] / theirs['templateBytes']:.2f}",
        )
    console.print(table)
    console.print(
        f"median of {runs} processes; Python {platform.python_version()}, aws-cdk-lib {version('aws-cdk-lib')}, "
        f"{platform.machine()}",
        style="dim",
    )


def main() -> None:
    """Report, or measure once for a report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="processes for each figure (default: 3)")
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "IMAGES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        kind, images = arguments.measure
        sys.stdout.write(json.dumps(measure(kind, int(images))))
    else:
        report(arguments.runs)


if __name__ == "__main__":
    main()
