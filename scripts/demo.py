"""
The demonstration: releases, reviews, deploys and rolls back a public image.

It works like a team does: the release is a few lines in a file, a pull request changes
them, and a pipeline deploys what was reviewed. It reads the registry through the registry
API without credentials, like anyone who pulls the image, and fails if the registry is not
as it says.
"""

from __future__ import annotations

import argparse
import base64
import difflib
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cdk_ecrpublic.sandbox import ImageScan, SandboxError, SandboxProcess, Settings
from cdk_ecrpublic.sandbox.images import push, push_image, write_layout
from scripts.demo_account import REPOSITORY, DemonstrationError, Inbox, build, run_schedule
from scripts.demo_stage import WIDTH, Stage

CHECKOUT = Path(__file__).parent.parent
PRIVATE_REPOSITORY = "acme/agent-internal"
PLATFORMS = ("linux/amd64", "linux/arm64")
NEVER_PUSHED = "sha256:" + "0" * 64

BUILDS = {
    "1.4.0": 60,
    "1.4.1": 40,
    "1.4.1 debug": 40,
    "1.4.2": 2,
    "1.4.2 debug": 2,
    "1.4.2 rebuilt": 1,
    "1.3.9": 0,
    "1.3.9 debug": 0,
}
"""The builds that were pushed, each with its age in days."""


@dataclass(frozen=True)
class Release:
    """What a release declares: a version, and the names of its builds."""

    version: str
    build: str
    debug: str


FIRST = Release("1.4.1", "1.4.1", "1.4.1 debug")
SECOND = Release("1.4.2", "1.4.2", "1.4.2 debug")
BROKEN = Release("1.4.2", "1.4.2 rebuilt", "1.4.2 rebuilt debug")
OLDER = Release("1.3.9", "1.3.9", "1.3.9 debug")


@dataclass
class Demonstration(Stage):
    """
    Runs the demonstration step by step, and checks the result of each step.

    Attributes:
        picture: Where to write what ``plan`` prints, as SVG; None for nowhere.
    """

    picture: Path | None = None

    def run(self) -> None:
        """Run all steps."""
        self.prepare()
        self.release()
        self.review()
        self.deploy()
        self.fail()
        self.release_older()
        self.other_sources()
        self.look_after()
        self.leave()

    def prepare(self) -> None:
        """Create what exists before the first declaration."""
        self.step("A team has an AWS account and a public repository")
        self.say("The account is the sandbox on this machine. cdk prepares it once:")
        self.cdk("bootstrap", f"aws://{self.sandbox.account}/us-east-1")
        created = self.sandbox.client("ecr-public").create_repository(repositoryName=REPOSITORY)
        uri = created["repository"]["repositoryUri"]
        for name, age in BUILDS.items():
            self.images[name] = image = build(name, PLATFORMS, age)
            self.sandbox.settings = Settings(push_age_seconds=age * 86400)
            push_image(self.sandbox, REPOSITORY, image)
        self.sandbox.settings = Settings()
        self.say(
            f"The builds have pushed {len(BUILDS)} images to {uri}, each for {' and '.join(PLATFORMS)}, by digest. "
            "No tag points to them yet."
        )
        self.say(f"You can watch in a browser: {self.sandbox.url}/")

    def release(self) -> None:
        """Deploy the first release."""
        self.step("They release 1.4.1")
        self.say(
            "app.py declares two images: the release with four tags, and its debug variant. The version and the "
            "digests are context values in cdk.json:"
        )
        self.declare(release=FIRST)
        self.cdk("deploy", "AgentRelease")
        self.show()
        self.expect({"1.4.1": "1.4.1", "1": "1.4.1", "latest": "1.4.1", "debug": "1.4.1 debug"})

    def review(self) -> None:
        """Review the second release."""
        self.step("A pull request releases 1.4.2")
        self.declare(release=SECOND)
        self.cdk("synth", "--quiet")
        self.say("The reviewer sees what the deployment will do to each tag of the registry:")
        self.tool("plan", "--stack", "AgentRelease", picture=self.picture)

    def deploy(self) -> None:
        """Deploy the second release as it was reviewed."""
        self.step("After the merge, the pipeline deploys what was reviewed")
        self.cdk("deploy", "AgentRelease", "--app", "cdk.out")
        self.show()
        self.expect({"1.4.2": "1.4.2", "1": "1.4.2", "latest": "1.4.2", "debug": "1.4.2 debug", "1.4.1": "1.4.1"})
        self.say("Later, a nightly job checks that no tag was moved by hand:")
        self.tool("verify", "--stack", "AgentRelease")

    def fail(self) -> None:
        """Deploy a release that fails halfway, so that CloudFormation rolls it back."""
        self.step("A release goes wrong: 1.4.2 was rebuilt, but its debug image was never pushed")
        before = self.tags
        self.declare(release=BROKEN)
        self.cdk("synth", "--quiet")
        self.say("The plan says so, and its exit status 1 would stop the pipeline:")
        self.tool("plan", "--stack", "AgentRelease", status=1)
        self.say("A person deploys it anyway:")
        self.cdk("deploy", "AgentRelease", "--app", "cdk.out", fails=True)
        self.show()
        if self.tags != before:
            message = "a tag does not point to its image from before the failed deployment"
            raise DemonstrationError(message)
        self.say(
            "Four tags had moved when the debug image was not found. CloudFormation rolled back, and every tag "
            "points to its previous image again. They revert the commit:"
        )
        self.declare(SECOND)

    def release_older(self) -> None:
        """Plan the release of a fix for an older version."""
        self.step("A customer needs a fix of 1.3, but latest must stay at 1.4.2")
        self.say("app.py has the rule ReleaseRule.forward_only(): moving tags never go to a lower version.")
        self.declare(OLDER)
        self.cdk("synth", "--quiet")
        plan = self.tool("plan", "--stack", "AgentRelease", "--changed")
        left = re.findall(r"^ +(\S+) +skip ", plan, re.MULTILINE)
        if left != ["1", "latest", "1-debug", "debug"]:
            message = f"the plan leaves other tags in place: {left}"
            raise DemonstrationError(message)
        self.say("They will deploy it later. For now, the commit is reverted:")
        self.declare(SECOND)

    def other_sources(self) -> None:
        """Combine two builds, copy from a private repository, and publish a folder."""
        self.step("Images also come from other places")
        values: dict[str, str] = {}
        for platform, key in zip(PLATFORMS, ("amd64_digest", "arm64_digest"), strict=True):
            self.images[f"nightly for {platform}"] = image = build("nightly", [platform])
            push_image(self.sandbox, REPOSITORY, image)
            values[key] = image.digest
        self.say(f"- nightly: two builds, for {' and for '.join(PLATFORMS)}, become one multi-platform image.")
        values["approved_digest"] = self.push_private()
        values["signing_key"] = self.create_key()
        self.say(
            f"- enterprise: the image is copied from the private repository {PRIVATE_REPOSITORY} if its scan has no "
            "finding above MEDIUM, and signed with a key of AWS KMS before its tag appears."
        )
        self.images["preview"] = build("preview", PLATFORMS)
        write_layout(self.images["preview"], self.project / "agent-image")
        values |= {"preview_image": "agent-image", "preview_tag": "pr-7"}
        self.say("- pr-7: a folder that a build wrote. It is declared with removal_policy=DESTROY.")
        self.declare(SECOND, values)
        self.cdk("synth", "--quiet")
        self.tool("plan", "--stack", "AgentFromPrivate")
        stacks = ("AgentNightly", "AgentFromPrivate", "AgentPreview", "AgentUpkeep")
        self.cdk("deploy", *stacks, "--concurrency", "3", "--app", "cdk.out")
        self.show()
        self.expect({"enterprise": "enterprise", "pr-7": "preview", "latest": "1.4.2"})
        if "nightly" not in self.tags:
            message = "there is no tag nightly"
            raise DemonstrationError(message)

    def push_private(self) -> str:
        """Push an image to a private repository, and return its digest."""
        self.images["enterprise"] = image = build("enterprise", PLATFORMS, age=3)
        private = self.sandbox.client("ecr")
        private.create_repository(repositoryName=PRIVATE_REPOSITORY)
        self.sandbox.scans.add(ImageScan(repository=PRIVATE_REPOSITORY))
        login = private.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        uri = f"{self.sandbox.registry_host}/{PRIVATE_REPOSITORY}"
        push(uri, image, ["approved"], login=base64.b64decode(login).decode())
        return image.digest

    def create_key(self) -> str:
        """Create a key for signatures, and return its ARN."""
        created = self.sandbox.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
        return str(created["KeyMetadata"]["Arn"])

    def look_after(self) -> None:
        """Move a tag by hand, run the monitor, and list what lifecycle rules expire."""
        self.step("Someone moves latest by hand. The monitor notices, and puts it back")
        before = self.tags
        inbox = Inbox.subscribe(self.sandbox, "AgentUpkeep")
        image = self.images["1.4.1"]
        self.sandbox.client("ecr-public").put_image(
            repositoryName=REPOSITORY,
            imageManifest=image.manifest.decode(),
            imageManifestMediaType=image.media_type,
            imageTag="latest",
        )
        self.show()
        self.say("\nAn hour later at most, the monitor of the stack AgentUpkeep runs, and sends a message:\n")
        run_schedule(self.sandbox, "AgentUpkeep", "Monitor")
        self.say(inbox.read())
        self.show()
        if self.tags != before:
            message = "the monitor did not put the tag back"
            raise DemonstrationError(message)
        self.step("Images without a tag expire after 30 days, unless something needs them")
        self.say("The report of the retention removes nothing. It shows why an image stays or goes:")
        self.tool("retention", "--expiring")

    def leave(self) -> None:
        """Destroy the stacks."""
        self.step("The stacks are deleted. The images stay, except for the preview")
        before = {tag: digest for tag, digest in self.tags.items() if tag != "pr-7"}
        self.cdk("destroy", "--all", "--force", "--concurrency", "3", "--app", "cdk.out")
        self.show()
        if self.tags != before:
            message = "a tag was deleted with its stack, or the preview was not"
            raise DemonstrationError(message)

    def declare(self, release: Release, values: Mapping[str, str] | None = None) -> None:
        """
        Change the context values in ``cdk.json``, and show the change as in a pull request.

        Args:
            values: Values of other images, which were placeholders before.
        """
        file = self.project / "cdk.json"
        before = file.read_text()
        data = json.loads(before)
        digests = {"digest": self.digest(release.build), "debug_digest": self.digest(release.debug)}
        data["context"] |= {"version": release.version, **digests, **(values or {})}
        file.write_text(after := json.dumps(data, indent=2) + "\n")
        self.console.print()
        replaces_placeholders = bool(values) or not self.tags
        for line in list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]:
            is_removed = line.startswith("-")
            if not line.startswith("@@") and not (is_removed and replaces_placeholders):
                self.console.print(Text(line, "red" if is_removed else "green"), soft_wrap=True)

    def digest(self, build: str) -> str:
        """Return the digest of a build, or a digest that was never pushed."""
        return self.images[build].digest if build in self.images else NEVER_PUSHED

    def expect(self, builds: Mapping[str, str]) -> None:
        """Check that tags point to the expected builds."""
        wrong = {tag: build for tag, build in builds.items() if self.tags.get(tag) != self.digest(build)}
        if wrong:
            message = f"these tags do not point to these builds: {wrong}"
            raise DemonstrationError(message)


@contextmanager
def new_project() -> Iterator[Path]:
    """Yield a folder with the example app."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "agent")
        project.mkdir()
        for name in ("app.py", "cdk.json"):
            shutil.copy(CHECKOUT / name, project / name)
        yield project


def wait(console: Console, sandbox: SandboxProcess, project: Path) -> None:
    """Leave the sandbox running until Ctrl-C."""
    console.print(f"\nThe sandbox is still running. Look at it: {sandbox.url}/", style="bold")
    console.print(f"The app is in {project}. Ctrl-C ends the sandbox and removes the app.", highlight=False)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print()


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration in a sandbox, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=main.__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the sandbox running until Ctrl-C")
    parser.add_argument("--verbose", action="store_true", help="show everything that cdk prints")
    parser.add_argument("--picture", type=Path, help="write what plan prints to this SVG file")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    started = time.monotonic()
    console.print(
        "How a team publishes images with cdk-ecrpublic, from the first release to cdk destroy. "
        "Everything happens in a sandbox on this machine.",
        style="bold",
    )
    try:
        with new_project() as project, SandboxProcess() as sandbox:
            demonstration = Demonstration(sandbox, console, project, options.verbose, picture=options.picture)
            demonstration.run()
            console.print(f"\nDone: {demonstration.steps} steps in {time.monotonic() - started:.0f} s.", style="bold")
            console.print("The deployed app is app.py. The documentation starts at docs/index.md.")
            if options.keep:
                wait(console, sandbox, project)
    except (DemonstrationError, SandboxError) as error:
        console.print(f"\nthe demonstration failed: {error}", style="bold red", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
