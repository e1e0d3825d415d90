"""
The demonstration: a public image is released, reviewed, deployed, rolled back and left alone.

Everything that it says about the registry is read from the registry, over
HTTP and without credentials, as anybody who pulls the image would see it; and
it fails when it does not show what it says.
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
"""Tag to digest."""


class DemonstrationError(Exception):
    """The demonstration did not show what it says."""


@dataclass(frozen=True)
class Release:
    """What the example app is told: a version, and by name the builds that it consists of."""

    version: str
    build: str
    debug: str


FIRST = Release("1.4.1", "1.4.1", "1.4.1 debug")
SECOND = Release("1.4.2", "1.4.2", "1.4.2 debug")
BROKEN = Release("1.4.2", "1.4.2 rebuilt", "1.4.2 rebuilt debug")


@dataclass
class Demonstration:
    """Tells the story step by step, and holds each step to what it claims."""

    sandbox: SandboxProcess
    console: Console
    output: Path
    images: dict[str, Image] = field(default_factory=dict)
    tags: Tags = field(default_factory=dict)
    steps: int = 0

    def run(self) -> None:
        """Tell all of it."""
        self.prepare()
        self.release()
        self.review()
        self.fail()
        self.assemble()
        self.copy()
        self.preview()
        self.leave()

    def prepare(self) -> None:
        """Make what exists before anybody declares anything."""
        self.step("An AWS account (this machine's sandbox), prepared for the CDK")
        self.say("cdk bootstrap makes the bucket and the roles that every CDK deployment uses, once for an account.")
        self.cdk("bootstrap", f"aws://{self.sandbox.account}/us-east-1")
        self.step("A public repository, and images that a build pushed")
        created = self.sandbox.client("ecr-public").create_repository(repositoryName=REPOSITORY)
        uri = created["repository"]["repositoryUri"]
        for build in BUILDS:
            image = build_image({"etc/agent-release": f"agent {build}\n".encode()}, platforms=PLATFORMS)
            self.images[build] = image
            push_image(self.sandbox, REPOSITORY, image)
        self.say(
            f"{uri} holds {len(BUILDS)} images now, each an index for {' and '.join(PLATFORMS)}. "
            "They were pushed by digest, over HTTP, as a container tool does. No tag points to them yet."
        )
        self.show()

    def release(self) -> None:
        """Publish the first release."""
        self.step("Release 1.4.1: app.py declares digests and tags, and cdk deploy puts them there")
        self.say(
            "The stack has two PublicImage resources, the release with three tags and its debug variant, "
            "and the Lambda function that serves both. The digests are the reviewed input, here as context values."
        )
        self.cdk("deploy", *self.declaration(FIRST))
        self.show()
        self.expect({"1.4.1": "1.4.1", "1.4": "1.4.1", "latest": "1.4.1", "debug": "1.4.1 debug"})

    def review(self) -> None:
        """Review the second release, and publish it."""
        self.step("Release 1.4.2: what a reviewer sees before anything happens")
        self.say(
            "cdk diff shows which tags and which digest change. ('May be replaced' is what CloudFormation "
            "says of every custom resource; this one changes in place.)"
        )
        self.cdk("diff", *self.declaration(SECOND))
        self.say(
            "It cannot see the registry. cdk-ecrpublic plan can, and says what the deployment will do to each tag:"
        )
        self.tool("plan", "--stack", "AgentRelease")
        self.step("The deployment after the review")
        self.cdk("deploy", *self.declaration(SECOND))
        self.show()
        self.say("And it is what was declared, down to every layer:")
        self.tool("verify", "--stack", "AgentRelease")
        self.expect({"1.4.2": "1.4.2", "1.4": "1.4.2", "latest": "1.4.2", "debug": "1.4.2 debug", "1.4.1": "1.4.1"})

    def fail(self) -> None:
        """Fail half-way, and be rolled back by CloudFormation."""
        self.step("A deployment that fails half-way: 1.4.2 is rebuilt, but nobody pushed its debug image")
        before = self.tags
        self.say("The release comes first and succeeds; then the debug variant names a digest that does not exist.")
        self.say("A plan would have told, with exit status 1:")
        self.cdk("synth", "--quiet", *self.declaration(BROKEN))
        self.tool("plan", "--stack", "AgentRelease", status=1)
        self.say("Nobody looked.")
        self.cdk("deploy", *self.declaration(BROKEN), fails=True)
        self.show()
        if self.tags != before:
            message = "a tag does not point where it did before the failed deployment"
            raise DemonstrationError(message)
        self.say(
            "The function's log above has it all: three tags were put, the debug image was not found, "
            "CloudFormation rolled back, and the three tags were put back. Every tag points where it did."
        )

    def assemble(self) -> None:
        """Make one image out of two builds."""
        self.step("One image out of two builds, one for each platform")
        values: dict[str, str] = {}
        for platform, key in zip(PLATFORMS, ("amd64_digest", "arm64_digest"), strict=True):
            build = f"nightly for {platform}"
            self.images[build] = image = build_image({"etc/agent-release": b"nightly\n"}, platforms=[platform])
            push_image(self.sandbox, REPOSITORY, image)
            values[key] = image.digest
        self.say(
            "ImageSource.index writes an index of the two, with platform, size and digest as the images have them. "
            "The same images always make the same index."
        )
        self.cdk("deploy", "AgentNightly", *context(values))
        self.show()
        if "nightly" not in self.tags:
            message = "there is no tag nightly"
            raise DemonstrationError(message)

    def copy(self) -> None:
        """Copy an image from private ECR."""
        self.step("A copy of an approved image from private ECR, with all its layers")
        image = build_image({"etc/agent-release": b"enterprise\n"}, platforms=PLATFORMS)
        self.images["enterprise"] = image
        private = self.sandbox.client("ecr")
        private.create_repository(repositoryName=PRIVATE_REPOSITORY)
        login = private.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        uri = f"{self.sandbox.registry_host}/{PRIVATE_REPOSITORY}"
        push(uri, image, ["approved"], login=base64.b64decode(login).decode())
        self.say(
            f"The image is in the private repository {PRIVATE_REPOSITORY} only; the function copies it, in one stream."
        )
        self.cdk("deploy", "AgentFromPrivate", *context({"approved_digest": image.digest}))
        self.show()
        self.expect({"enterprise": "enterprise"})

    def preview(self) -> None:
        """Publish what a build wrote to disk, and take it away again."""
        self.step("A preview out of a folder that a build wrote, without Docker and without another registry")
        image = build_image({"etc/agent-release": b"change under discussion\n"}, platforms=PLATFORMS)
        self.images["preview"] = image
        folder = self.output.parent / "agent-image"
        write_layout(image, folder)
        before = self.tags
        values = context({"preview_image": str(folder), "preview_tag": "pr-7"})
        self.cdk("deploy", "AgentPreview", *values)
        self.show()
        self.expect({"pr-7": "preview"})
        self.say("This image is declared with removal_policy=DESTROY: tag, index and images go away with the stack.")
        self.cdk("destroy", "AgentPreview", *values, "--force")
        self.show()
        if self.tags != before:
            message = "the preview is still there, or something else went with it"
            raise DemonstrationError(message)

    def leave(self) -> None:
        """Destroy the stack."""
        self.step("cdk destroy: the stacks go, what people pull stays")
        before = self.tags
        self.cdk("destroy", "--all", "--force")
        self.show()
        if self.tags != before:
            message = "a tag went away with the stack"
            raise DemonstrationError(message)
        self.say("Nothing was removed from the registry.")

    def declaration(self, release: Release) -> Sequence[str]:
        """Return a release as the example app takes it."""
        values = {
            "version": release.version,
            "digest": self.digest(release.build),
            "debug_digest": self.digest(release.debug),
        }
        return ["AgentRelease", *context(values)]

    def digest(self, build: str) -> str:
        """Return the digest of a build, or one that nobody ever pushed."""
        return self.images[build].digest if build in self.images else NEVER_PUSHED

    def cdk(self, command: str, *arguments: str, fails: bool = False) -> None:
        """Run the real cdk command line, its output as it is."""
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
        """Run our own command line on what was synthesized last."""
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
        """Begin a step."""
        self.steps += 1
        self.console.print()
        self.console.rule(f"[bold]{self.steps}. {title}", align="left")
        self.console.print()

    def say(self, text: str) -> None:
        """Explain."""
        self.console.print(text, highlight=False)

    def show(self) -> None:
        """Show what everybody can pull now, and what changed since the last look."""
        before, self.tags = self.tags, resolve_tags(self.sandbox, REPOSITORY)
        if not self.tags:
            return
        table = Table(title=f"what everybody can pull of {REPOSITORY}, read anonymously", title_justify="left")
        for column in ("tag", "digest", "build", "since the last step"):
            table.add_column(column, no_wrap=True)
        for tag, digest in self.tags.items():
            table.add_row(tag, digest[:19], self.build_of(digest), self.change(before.get(tag), digest))
        self.console.print()
        self.console.print(table)

    def build_of(self, digest: str) -> str:
        """Name the build that has a digest."""
        return next((build for build, image in self.images.items() if image.digest == digest), "made by the deployment")

    def change(self, before: str | None, now: str) -> str:
        """Say how a tag came where it is."""
        if before == now:
            return "[dim]unchanged"
        return f"[green]moved from {self.build_of(before)}" if before else "[green]new"

    def expect(self, builds: Mapping[str, str]) -> None:
        """Hold the registry to what this step promises."""
        wrong = {tag: build for tag, build in builds.items() if self.tags.get(tag) != self.digest(build)}
        if wrong:
            message = f"these tags do not point to these builds: {wrong}"
            raise DemonstrationError(message)


def context(values: Mapping[str, str]) -> list[str]:
    """Return context values as cdk takes them."""
    return [argument for name, value in values.items() for argument in ("--context", f"{name}={value}")]


def main() -> int:
    """Run it in a sandbox of its own; returns the exit status."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    started = time.monotonic()
    console.print("ECR Public, declared in a CDK stack: the whole way, in a sandbox on this machine.", style="bold")
    try:
        with tempfile.TemporaryDirectory() as output, SandboxProcess() as sandbox:
            demonstration = Demonstration(sandbox=sandbox, console=console, output=Path(output, "cdk.out"))
            demonstration.run()
    except (DemonstrationError, SandboxError) as error:
        console.print(f"\nthe demonstration failed: {error}", style="bold red")
        return 1
    console.print(f"\nThat was {demonstration.steps} steps in {time.monotonic() - started:.0f} s.", style="bold")
    console.print("The app that was deployed is app.py; the documentation begins in docs/index.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
