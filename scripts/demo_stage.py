"""How the demonstration runs commands, and what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, resolve_tags
from scripts.demo_account import REPOSITORY, DemonstrationError

WIDTH = 120

NOISE = re.compile(
    # What the cdk says of itself, of assets, and of resources other than images.
    r"feature flags are not configured|^Trusted accounts|^Using default execution policy|^Hold on|^Supply a stack id|"
    r"^Successfully synthesized|Synthesis time|Deployment time|Total time|^\S*: (?:start|success): |"
    r"creating CloudFormation changeset|: deploying\.\.\.|destroying\.\.\.|^Agent\w+$|_IN_PROGRESS |\| AWS::|"
    # What it says twice, and links that lead nowhere in a sandbox.
    r"^Failed resources|^\w+ \| [0-9:]+ [AP]M \| UPDATE_FAILED|^Stack ARN|^arn:|^ *Source Location|\(no user code in|"
    r"^ *(?:INFO|WARNING|ERROR) |^ *Logs|^ *CloudTrail"
)
"""The lines of cdk that do not tell anything about images. ``--verbose`` shows them."""

COUNT = re.compile(r"(?<=\w )\| *\d+(?:/\d+)? \|")
"""How far cdk is. The sandbox reports resources that do not change, too, so it counts more than it expects: 7/4."""

Tags = Mapping[str, str]
"""Digests by tag."""


@dataclass
class Stage:
    """
    The terminal, and what the demonstration knows.

    Attributes:
        project: The folder with ``app.py`` and ``cdk.json``.
        images: The images that were pushed, by the names of their builds.
        tags: The public tags when they were shown last.
        steps: How many steps have begun.
    """

    sandbox: SandboxProcess
    console: Console
    project: Path
    is_verbose: bool = False
    images: dict[str, Image] = field(default_factory=dict)
    tags: Tags = field(default_factory=dict)
    steps: int = 0

    def cdk(self, command: str, *arguments: str, fails: bool = False) -> None:
        """Run the real cdk command line, and show its output."""
        self.show_command("cdk", command, *arguments)
        started = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - the cdk of this checkout
            ["cdk", command, *arguments, "--ci"],  # noqa: S607
            cwd=self.project,
            # The validation of templates takes half of a synthesis.
            env={**os.environ, **self.sandbox.environment(), "CDK_VALIDATION": "false"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout  # noqa: S101 - it is a pipe
        output = []
        for line in process.stdout:
            output.append(line)
            if self.is_verbose or (line.strip() and not NOISE.search(line)):
                self.console.print(Text(re.sub(r" {2,}", "  ", COUNT.sub("|", line.rstrip()))), soft_wrap=True)
        status = process.wait()
        self.console.print(f"({time.monotonic() - started:.0f} s)", style="dim")
        if bool(status) != fails:
            message = f"cdk {command} ended with status {status}:\n{''.join(output)}"
            raise DemonstrationError(message)

    def tool(self, command: str, *arguments: str, status: int = 0, picture: Path | None = None) -> str:
        """Run the cdk-ecrpublic command line on the cloud assembly, and return what it printed."""
        shown = self.show_command("cdk-ecrpublic", command, *arguments)
        result = subprocess.run(  # noqa: S603 - of this checkout
            [sys.executable, "-m", "cdk_ecrpublic.cli", command, *arguments],
            cwd=self.project,
            env={**os.environ, **self.sandbox.environment(), "FORCE_COLOR": "1", "COLUMNS": str(self.console.width)},
            check=False,
            capture_output=True,  # of the standard error, too, which has a progress bar
            text=True,
        )
        output = Text.from_ansi(result.stdout.rstrip())
        self.console.print(output, soft_wrap=True)
        if picture:
            draw(f"$ {shown}", output, picture)
        if result.returncode != status:
            message = f"{shown} ended with status {result.returncode}:\n{result.stderr}"
            raise DemonstrationError(message)
        return output.plain

    def show_command(self, *words: str) -> str:
        """Print a command as a person types it."""
        shown = " ".join(words)
        self.console.print(f"\n$ {shown}\n", style="bold cyan", highlight=False, soft_wrap=True)
        return shown

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
        """Show the public tags that have changed since the last step."""
        before, self.tags = self.tags, resolve_tags(self.sandbox, REPOSITORY)
        table = Table(title=f"tags of {REPOSITORY}, read anonymously", title_justify="left")
        for column in ("tag", "digest", "build", "since the last step"):
            table.add_column(column, no_wrap=True)
        for tag, digest in self.tags.items():
            if digest != before.get(tag):
                table.add_row(tag, digest[:19], self.build_of(digest), self.change(before.get(tag)))
        for tag in before.keys() - self.tags.keys():
            table.add_row(tag, "", "", "[red]removed")
        self.console.print()
        if table.rows:
            self.console.print(table)
        if unchanged := [tag for tag, digest in self.tags.items() if digest == before.get(tag)]:
            self.say(f"{'Other' if table.rows else 'All'} tags are unchanged: {', '.join(unchanged)}")

    def build_of(self, digest: str) -> str:
        """Return the name of the build with a digest."""
        return next(
            (build for build, image in self.images.items() if image.digest == digest), "created by the deployment"
        )

    def change(self, before: str | None) -> str:
        """Describe the change of a tag."""
        return f"[green]moved from {self.build_of(before)}" if before else "[green]new"


def draw(title: str, output: Text, file: Path) -> None:
    """Write terminal output as an SVG picture without external resources."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(output)
        svg = console.export_svg(title=title)
    # The font would be loaded from another host.
    file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, ", ""))
