"""
The demonstration: a public image is released, reviewed, deployed, rolled back and left alone.

Everything that it says about the registry is read from the registry, over
HTTP and without credentials, as anybody who pulls the image would see it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image, resolve_tags

CHECKOUT = Path(__file__).parent.parent
REPOSITORY = "acme/agent"
PLATFORMS = ("linux/amd64", "linux/arm64")

Tags = Mapping[str, str]
"""Tag to digest."""


class DemonstrationError(Exception):
    """The demonstration did not show what it says."""


@dataclass
class Demonstration:
    """Tells the story, step by step, and holds each step to what it claims."""

    console: Console
    sandbox: SandboxProcess
    images: dict[str, Image] = field(default_factory=dict)
    tags: Tags = field(default_factory=dict)

    def run(self) -> None:
        """Tell all of it."""
        self.prepare()
        self.first_release()
        self.second_release()
        self.failed_release()
        self.leave()

    def prepare(self) -> None:
        """Make what exists before anybody declares anything."""
        self.step("An AWS account, and images that a build pushed")
        self.say("cdk bootstrap prepares the account, which is this machine's sandbox, for the CDK:")
        self.cdk("bootstrap", quiet=True)
        client = self.sandbox.client("ecr-public")
        uri = client.create_repository(repositoryName=REPOSITORY)["repository"]["repositoryUri"]
        for name in ("agent 1.4.1", "agent 1.4.1 debug", "agent 1.4.2", "agent 1.4.2 debug", "agent 1.4.2 rebuilt"):
            self.images[name] = image = build_image({"etc/release": f"{name}\n".encode()}, platforms=PLATFORMS)
            push_image(self.sandbox, REPOSITORY, image)
        self.say(
            f"{uri} now holds {len(self.images)} images, each for {' and '.join(PLATFORMS)}, "
            "pushed by digest as a build would: nobody can pull them by a tag yet."
        )
        self.show()

    def first_release(self) -> None:
        """Publish 1.4.1."""
        self.step("Release 1.4.1: declare its digest in app.py's context, and deploy")
        self.deploy("1.4.1", "agent 1.4.1", "agent 1.4.1 debug")
        self.expect({"1.4.1": "agent 1.4.1", "latest": "agent 1.4.1", "1.4": "agent 1.4.1", "debug": "agent 1.4.1 debug"})

    def second_release(self) -> None:
        """Review and publish 1.4.2."""
        self.step("Release 1.4.2: what a reviewer sees, before anything happens")
        arguments = self.release("1.4.2", "agent 1.4.2", "agent 1.4.2 debug")
        self.cdk("diff", *arguments)
        self.step("… and the deployment that follows the review")
        self.cdk("deploy", *arguments)
        self.show()
        self.expect({"1.4.2": "agent 1.4.2", "latest": "agent 1.4.2", "1.4": "agent 1.4.2", "1.4.1": "agent 1.4.1"})

    def failed_release(self) -> None:
        """Fail half-way, and be rolled back by CloudFormation."""
        self.step("A deployment that fails half-way: 1.4.2 rebuilt, but nobody pushed its debug image")
        before = self.tags
        self.say("The release itself goes through; then the debug variant names a digest that does not exist:")
        never_pushed = "sha256:" + "0" * 64
        self.deploy("1.4.2", "agent 1.4.2 rebuilt", never_pushed, fails=True)
        if self.tags != before:
            message = "the rollback did not bring every tag back"
            raise DemonstrationError(message)
        self.say("CloudFormation put the old declaration back, and every tag points again where it did.")

    def leave(self) -> None:
        """Destroy the stack."""
        self.step("cdk destroy: the stack goes, what people pull stays")
        before = self.tags
        self.cdk("destroy", "--force", *self.release("1.4.2", "agent 1.4.2", "agent 1.4.2 debug"))
        self.show()
        if self.tags != before:
            message = "an image or tag went away with the stack"
            raise DemonstrationError(message)

    def deploy(self, version: str, image: str, debug: str, *, fails: bool = False) -> None:
        """Deploy a release and show the registry after it."""
        self.cdk("deploy", *self.release(version, image, debug), fails=fails)
        self.show()

    def release(self, version: str, image: str, debug: str) -> Sequence[str]:
        """Return the declaration of a release as the example app takes it."""
        values = {"version": version, "digest": self.digest(image), "debug_digest": self.digest(debug)}
        return [argument for name, value in values.items() for argument in ("--context", f"{name}={value}")]

    def digest(self, name: str) -> str:
        """Return the digest of an image of the demonstration; a digest is itself."""
        return self.images[name].digest if name in self.images else name

    def cdk(self, command: str, *arguments: str, fails: bool = False, quiet: bool = False) -> None:
        """Run the real cdk command line, its output as it is."""
        self.console.print(f"$ cdk {command} {' '.join(arguments)}".rstrip(), style="bold cyan", highlight=False)
        options = ["--progress", "events", "--output", str(self.output)] if command == "deploy" else []
        result = subprocess.run(
            ["cdk", command, *arguments, *options],
            cwd=CHECKOUT,
            env=self.sandbox.environment(),
            check=False,
            stdout=subprocess.DEVNULL if quiet else None,
        )
        if bool(result.returncode) != fails:
            message = f"cdk {command} ended with status {result.returncode}"
            raise DemonstrationError(message)
