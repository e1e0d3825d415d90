"""
The programs that are compared.

Versions are pinned in ``requirements/benchmarks.txt``. Programs that are missing
on this machine are omitted, and the report says so.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import boto3
import botocore
import urllib3

from .functions import Program
from .processes import BenchmarkError

OURS, WARM, GO, SKOPEO, CRANE, AWS_CUSTOM_RESOURCE, PLAIN = (
    "cdk-ecrpublic",
    "cdk-ecrpublic, warm",
    "cdk-ecr-deployment",
    "skopeo",
    "crane",
    "AwsCustomResource",
    "plain boto3",
)

CHECKOUT = Path(__file__).resolve().parents[1]
PINS = CHECKOUT / "requirements/benchmarks.txt"


@dataclass(frozen=True)
class Tools:
    """
    The programs of one run.

    Attributes:
        folder: The unpacked packages that only benchmarks need.
    """

    folder: Path

    @cached_property
    def ours(self) -> Program:
        """Our handler, as the CDK packs it, run by AWS's runtime client."""
        from aws_cdk import App, Stack  # noqa: PLC0415 - starts Node

        from cdk_ecrpublic import PublicImageProvider  # noqa: PLC0415

        # Recreated, because another version of the source would be another asset.
        assembly = self.folder / "cdk.out"
        shutil.rmtree(assembly, ignore_errors=True)
        app = App(outdir=str(assembly))
        PublicImageProvider(Stack(app, "Stack"), "Provider")
        app.synth()
        asset = next(path for path in assembly.iterdir() if (path / "lambda_handler").is_dir())
        return self._python(asset, "lambda_handler.entrypoint.handler")

    @property
    def plain(self) -> Program:
        """A simple function that uses only boto3."""
        return self._python(CHECKOUT, "benchmarks.plain_boto3.handler")

    def _python(self, place: Path, handler: str) -> Program:
        # Lambda's folder is read-only, so every cold start compiles the handler there.
        environment = {"PYTHONPATH": os.pathsep.join([str(place), str(self.folder)]), "PYTHONDONTWRITEBYTECODE": "1"}
        return Program([sys.executable, "-m", "awslambdaric", handler], place, environment)

    @property
    def go(self) -> Program:
        """The function of cdk-ecr-deployment."""
        return Program([str(self.folder / "bootstrap")], self.folder, {})

    def versions(self) -> dict[str, str]:
        """Return the version of each installed program."""
        return dict(self._versions())

    def _versions(self) -> Iterator[tuple[str, str]]:
        for line in PINS.read_text(encoding="utf-8").splitlines():
            name, _, version = line.partition("==")
            if name in (GO, "awslambdaric"):
                yield name, version
        for command in (["skopeo", "--version"], ["crane", "version"]):
            with suppress(OSError, subprocess.CalledProcessError):
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
                yield command[0], printed.split()[-1]

    def has(self, name: str) -> bool:
        """Return whether a program is installed. The functions always are, after ``install``."""
        return name in (OURS, WARM, GO) or shutil.which(name) is not None


def install(cache: Path) -> Tools:
    """
    Unpack the packages that only benchmarks need into the user's cache, once for each version.

    Raises:
        BenchmarkError: They could not be downloaded.
    """
    key = hashlib.sha256(PINS.read_bytes()).hexdigest()[:16]
    folder = cache / f"benchmarks-{key}-{sys.implementation.cache_tag}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command = [*pip, "--root-user-action=ignore", "--target", str(part), "--requirement", str(PINS)]
        if subprocess.run(command, check=False).returncode:  # noqa: S603
            message = f"the packages of {PINS.name} could not be installed; is there a network?"
            raise BenchmarkError(message)
        with tarfile.open(next(part.glob("cdk_ecr_deployment/_jsii/*.tgz"))) as package:
            source = package.extractfile("package/lambda-bin/bootstrap")
            if source is None:
                message = f"the package of {GO} no longer contains a function"
                raise BenchmarkError(message)
            (part / "bootstrap").write_bytes(source.read())
        (part / "bootstrap").chmod(0o755)
        part.rename(folder)
    _compile(folder)
    return Tools(folder)


def _compile(folder: Path) -> None:
    """Compile the packages that are compiled in Lambda's runtime, because the function may not write there."""
    libraries = [Path(module.__file__).parent for module in (boto3, botocore, urllib3) if module.__file__]
    for place in (*libraries, folder / "awslambdaric"):
        compileall.compile_dir(place, quiet=2)
