"""
The demonstration: releases, reviews, deploys and rolls back a public image.

It reads the registry through the registry API without credentials, like anyone who
pulls the image. It fails if the registry is not as it says.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cdk_ecrpublic.sandbox import SandboxError, SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push, push_image, resolve_tags, write_layout

CHECKOUT = Path(__file__).parent.parent
REPOSITORY = "acme/agent"
PRIVATE_REPOSITORY = "acme/agent-internal"
PLATFORMS = ("linux/amd64", "linux/arm64")
NEVER_PUSHED = "sha256:" + "0" * 64

BUILDS = ("1.4.1", "1.4.1 debug", "1.4.2", "1.4.2 debug", "1.4.2 rebuilt")

Tags = Mapping[str, str]
"""Digests by tag."""


class DemonstrationError(Exception):
    """The result differs from what the demonstration says."""


@dataclass(frozen=True)
class Release:
    """The input of the example app: a version, and the names of its builds."""

    version: str
    build: str
    debug: str


FIRST = Release("1.4.1", "1.4.1", "1.4.1 debug")
SECOND = Release("1.4.2", "1.4.2", "1.4.2 debug")
BROKEN = Release("1.4.2", "1.4.2 rebuilt", "1.4.2 rebuilt debug")


@dataclass
class Demonstration:
    """Runs the demonstration step by step, and checks the result of each step."""

    sandbox: SandboxProcess
    console: Console
    output: Path
    images: dict[str, Image] = field(default_factory=dict)
    tags: Tags = field(default_factory=dict)
    steps: int = 0

    def run(self) -> None:
        """Run all steps."""
        self.prepare()
        self.release()
        self.review()
        self.fail()
        self.assemble()
        self.copy()
        self.preview()
        self.leave()

    def prepare(self) -> None:
        """Create what exists before the first declaration."""
        self.step("Bootstrap an AWS account, which is the sandbox on this machine")
        self.say(
            "cdk bootstrap creates the bucket and the roles for CDK deployments, once for each account and Region."
        )
        self.cdk("bootstrap", f"aws://{self.sandbox.account}/us-east-1")
        self.step("Create a public repository, and push images to it")
        created = self.sandbox.client("ecr-public").create_repository(repositoryName=REPOSITORY)
        uri = created["repository"]["repositoryUri"]
        for build in BUILDS:
            image = build_image({"etc/agent-release": f"agent {build}\n".encode()}, platforms=PLATFORMS)
            self.images[build] = image
            push_image(self.sandbox, REPOSITORY, image)
        self.say(
            f"{uri} now has {len(BUILDS)} images, each an index for {' and '.join(PLATFORMS)}. "
            "They were pushed by digest, as a container tool does. No tag points to them yet."
        )
        self.show()

    def release(self) -> None:
        """Deploy the first release."""
        self.step("Release 1.4.1: app.py declares digests and tags, and cdk deploy puts the tags")
        self.say(
            "The stack has two PublicImages, the release with three tags and its debug variant, and the Lambda "
            "function that serves both. The digests are the reviewed input; here they are context values."
        )
        self.cdk("deploy", *self.declaration(FIRST))
        self.show()
        self.expect({"1.4.1": "1.4.1", "1.4": "1.4.1", "latest": "1.4.1", "debug": "1.4.1 debug"})

    def review(self) -> None:
        """Review and deploy the second release."""
        self.step("Release 1.4.2: review it before the deployment")
        self.say(
            "cdk diff shows which tags and which digest change. (It says 'may be replaced' for every custom "
            "resource; this one is updated in place.)"
        )
        self.cdk("diff", *self.declaration(SECOND))
        self.say(
            "It does not read the registry. cdk-ecrpublic plan does, and shows what the deployment will do to each tag:"
        )
        self.tool("plan", "--stack", "AgentRelease")
        self.step("Deploy the reviewed release")
        self.cdk("deploy", *self.declaration(SECOND))
        self.show()
        self.say("The registry matches the declaration, down to every layer:")
        self.tool("verify", "--stack", "AgentRelease")
        self.expect({"1.4.2": "1.4.2", "1.4": "1.4.2", "latest": "1.4.2", "debug": "1.4.2 debug", "1.4.1": "1.4.1"})

    def fail(self) -> None:
        """Deploy a release that fails halfway, so that CloudFormation rolls it back."""
        self.step("A deployment fails halfway: 1.4.2 was rebuilt, but its debug image was never pushed")
        before = self.tags
        self.say("The release comes first and succeeds. Then the digest of the debug variant does not exist.")
        self.say("A plan shows this beforehand, with exit status 1:")
        self.cdk("synth", "--quiet", *self.declaration(BROKEN))
        self.tool("plan", "--stack", "AgentRelease", status=1)
        self.say("Deploy it anyway:")
        self.cdk("deploy", *self.declaration(BROKEN), fails=True)
        self.show()
        if self.tags != before:
            message = "a tag does not point to its image from before the failed deployment"
            raise DemonstrationError(message)
        self.say(
            "The function's log above shows it: three tags were put, the debug image was not found, CloudFormation "
            "rolled back, and the three tags were moved back. Every tag points to its previous image."
        )

    def assemble(self) -> None:
        """Combine two builds into one image."""
        self.step("Combine two builds, one for each platform, into one image")
        values: dict[str, str] = {}
        for platform, key in zip(PLATFORMS, ("amd64_digest", "arm64_digest"), strict=True):
            build = f"nightly for {platform}"
            self.images[build] = image = build_image({"etc/agent-release": b"nightly\n"}, platforms=[platform])
            push_image(self.sandbox, REPOSITORY, image)
            values[key] = image.digest
        self.say(
            "ImageSource.index writes an index with the platform, size and digest of both images. "
            "The same images always give the same index."
        )
        self.cdk("deploy", "AgentNightly", *context(values))
        self.show()
        if "nightly" not in self.tags:
            message = "there is no tag nightly"
            raise DemonstrationError(message)

    def copy(self) -> None:
        """Copy an image from private ECR."""
        self.step("Copy an approved image from private ECR, with all its layers")
        image = build_image({"etc/agent-release": b"enterprise\n"}, platforms=PLATFORMS)
        self.images["enterprise"] = image
        private = self.sandbox.client("ecr")
        private.create_repository(repositoryName=PRIVATE_REPOSITORY)
        login = private.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        uri = f"{self.sandbox.registry_host}/{PRIVATE_REPOSITORY}"
        push(uri, image, ["approved"], login=base64.b64decode(login).decode())
        self.say(
            f"The image is in the private repository {PRIVATE_REPOSITORY}. The function copies it to the public one."
        )
        self.cdk("deploy", "AgentFromPrivate", *context({"approved_digest": image.digest}))
        self.show()
        self.expect({"enterprise": "enterprise"})

    def preview(self) -> None:
        """Publish an image that a build wrote to disk, and delete it again."""
        self.step("Publish a preview from a folder that a build wrote, without Docker or another registry")
        image = build_image({"etc/agent-release": b"change under discussion\n"}, platforms=PLATFORMS)
        self.images["preview"] = image
        folder = self.output.parent / "agent-image"
        write_layout(image, folder)
        before = self.tags
        values = context({"preview_image": str(folder), "preview_tag": "pr-7"})
        self.cdk("deploy", "AgentPreview", *values)
        self.show()
        self.expect({"pr-7": "preview"})
        self.say(
            "This image is declared with removal_policy=DESTROY: its tag, index and images are deleted with the stack."
        )
        self.cdk("destroy", "AgentPreview", *values, "--force")
        self.show()
        if self.tags != before:
            message = "the preview still exists, or something else was deleted with it"
            raise DemonstrationError(message)

    def leave(self) -> None:
        """Destroy the stack."""
        self.step("cdk destroy: the stacks are deleted, the published images stay")
        before = self.tags
        self.cdk("destroy", "--all", "--force")
        self.show()
        if self.tags != before:
            message = "a tag was deleted with the stack"
            raise DemonstrationError(message)
        self.say("Nothing was removed from the registry.")

    def declaration(self, release: Release) -> Sequence[str]:
        """Return the arguments for a release of the example app."""
        values = {
            "version": release.version,
            "digest": self.digest(release.build),
            "debug_digest": self.digest(release.debug),
        }
        return ["AgentRelease", *context(values)]

    def digest(self, build: str) -> str:
        """Return the digest of a build, or a digest that was never pushed."""
        return self.images[build].digest if build in self.images else NEVER_PUSHED

    def cdk(self, command: str, *arguments: str, fails: bool = False) -> None:
        """Run the real cdk command line, and show its output."""
        self.console.print(f"$ cdk {command} {' '.join(arguments)}", style="bold cyan", highlight=False, soft_wrap=True)
        self.console.print()
        started = time.monotonic()
        result = subprocess.run(  # noqa: S603 - the cdk of this checkout
            ["cdk", command, *arguments, "--output", str(self.output)],  # noqa: S607
            cwd=CHECKOUT,
            env={**os.environ, **self.sandbox.environment()},
            check=False,
            stderr=subprocess.STDOUT,
        )
        self.console.print(f"({time.monotonic() - started:.0f} s)", style="dim")
        if bool(result.returncode) != fails:
            message = f"cdk {command} ended with status {result.returncode}"
            raise DemonstrationError(message)

    def tool(self, command: str, *arguments: str, status: int = 0) -> None:
        """Run the cdk-ecrpublic command line on the latest cloud assembly."""
        shown = " ".join(["cdk-ecrpublic", command, *arguments])
        self.console.print(f"$ {shown}", style="bold cyan", highlight=False, soft_wrap=True)
        self.console.print()
        result = subprocess.run(  # noqa: S603 - of this checkout
            [sys.executable, "-m", "cdk_ecrpublic.cli", command, str(self.output), *arguments],
            cwd=CHECKOUT,
            env={**os.environ, **self.sandbox.environment()},
            check=False,
        )
        if result.returncode != status:
            message = f"{shown} ended with status {result.returncode}"
            raise DemonstrationError(message)

    def step(self, title: str) -> None:
        """Print the title of a step."""
        self.steps += 1
        self.console.print()
        self.console.rule(f"[bold]{self.steps}. {title}", align="left")
        self.console.print()

    def say(self, text: str) -> None:
        """Print an explanation."""
        self.console.print(text, highlight=False)

    def show(self) -> None:
        """Show the public tags, and what has changed since the last step."""
        before, self.tags = self.tags, resolve_tags(self.sandbox, REPOSITORY)
        if not self.tags:
            return
        table = Table(title=f"tags of {REPOSITORY}, read anonymously", title_justify="left")
        for column in ("tag", "digest", "build", "since the last step"):
            table.add_column(column, no_wrap=True)
        for tag, digest in self.tags.items():
            table.add_row(tag, digest[:19], self.build_of(digest), self.change(before.get(tag), digest))
        self.console.print()
        self.console.print(table)

    def build_of(self, digest: str) -> str:
        """Return the name of the build with a digest."""
        return next(
            (build for build, image in self.images.items() if image.digest == digest), "created by the deployment"
        )

    def change(self, before: str | None, now: str) -> str:
        """Describe the change of a tag."""
        if before == now:
            return "[dim]unchanged"
        return f"[green]moved from {self.build_of(before)}" if before else "[green]new"

    def expect(self, builds: Mapping[str, str]) -> None:
        """Check that tags point to the expected builds."""
        wrong = {tag: build for tag, build in builds.items() if self.tags.get(tag) != self.digest(build)}
        if wrong:
            message = f"these tags do not point to these builds: {wrong}"
            raise DemonstrationError(message)


def context(values: Mapping[str, str]) -> list[str]:
    """Return context values as arguments of cdk."""
    return [argument for name, value in values.items() for argument in ("--context", f"{name}={value}")]


def main() -> int:
    """Run the demonstration in a sandbox, and return the exit status."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    started = time.monotonic()
    console.print(
        "ECR Public, declared in a CDK stack: from the first release to cdk destroy, in a sandbox on this machine.",
        style="bold",
    )
    try:
        with tempfile.TemporaryDirectory() as output, SandboxProcess() as sandbox:
            demonstration = Demonstration(sandbox=sandbox, console=console, output=Path(output, "cdk.out"))
            demonstration.run()
    except (DemonstrationError, SandboxError) as error:
        console.print(f"\nthe demonstration failed: {error}", style="bold red")
        return 1
    console.print(f"\nDone: {demonstration.steps} steps in {time.monotonic() - started:.0f} s.", style="bold")
    console.print("The deployed app is app.py. The documentation starts at docs/index.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
