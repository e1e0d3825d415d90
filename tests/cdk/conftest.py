"""The real cdk command line, in a sandbox that is bootstrapped once for all tests in this folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image, resolve_tags

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Project:
    """A user's CDK project in a separate folder, and the sandbox that it is deployed to."""

    sandbox: SandboxProcess
    folder: Path
    repository: str

    def write_app(self, body: str) -> None:
        """Write ``app.py``, with *body* as the content of a stack called ``Test``."""
        lines = "\n".join(f"        {line}" for line in body.strip().splitlines())
        (self.folder / "app.py").write_text(_APP.format(body=lines, repository=self.repository))

    def cdk(self, *arguments: str, own_process: bool = False) -> subprocess.CompletedProcess[str]:
        """
        Run cdk, with standard output and error combined.

        Args:
            own_process: Whether cdk runs the app. Default: the app is synthesized in
                this process if it needs nothing from cdk, and cdk gets the result.
        """
        options = () if own_process or "--app" in arguments else self._synthesized()
        return subprocess.run(
            ["cdk", *arguments, *options, "--ci", "--no-color"],
            cwd=self.folder,
            env=environment(self.sandbox),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    def deploy(self, *, own_process: bool = False) -> str:
        """Deploy, which must succeed."""
        result = self.cdk("deploy", "--require-approval", "never", own_process=own_process)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def fail_to_deploy(self) -> str:
        """Deploy, which must fail."""
        result = self.cdk("deploy", "--require-approval", "never")
        assert result.returncode != 0, result.stdout
        return result.stdout

    def _synthesized(self) -> Sequence[str]:
        """
        Synthesize in this process, and return the option that makes cdk use the result.

        Starting Python, and Node.js with aws-cdk-lib, takes four seconds of CPU time; here, they run already.
        """
        app = self.folder / "app.py"
        source = app.read_text() if app.exists() else ""
        if _NEW_APP not in source or (self.folder / "cdk.context.json").exists():
            # Only the command line gives an app its context.
            return ()
        output = self.folder / "cdk.out"
        shutil.rmtree(output, ignore_errors=True)
        new_app = f"app = App(outdir={str(output)!r}, context={_CONTEXT!r})"
        program = compile(source.replace(_NEW_APP, new_app), "app.py", "exec")
        with chdir(self.folder), patch.dict(os.environ, environment(self.sandbox)):
            exec(program, {"__name__": "__main__"})  # noqa: S102 - the test's own app
        lacks_context = "missing" in json.loads((output / "manifest.json").read_text())
        return () if lacks_context else ("--app", str(output))

    def push(self, name: str, *tags: str) -> Image:
        """Push an image for two platforms; *name* makes it unique."""
        image = build_image({"etc/name": name.encode()}, platforms=("linux/amd64", "linux/arm64"))
        push_image(self.sandbox, self.repository, image, tags)
        return image

    def tags(self) -> dict[str, str]:
        """Return the public tags and their digests."""
        return resolve_tags(self.sandbox, self.repository)


_APP = """
from aws_cdk import App, CfnOutput, CfnParameter, Stack
from cdk_ecrpublic import ImageSource, PublicImage, PublicImageProvider, PublicRepository

class Test(Stack):
    def __init__(self, scope, id):
        super().__init__(scope, id)
        repository = PublicRepository.from_repository_name(self, "Repository", "{repository}")
{body}

app = App()
Test(app, "Test")
app.synth()
"""

_NEW_APP = "app = App()"

_CONTEXT = {"aws:cdk:enable-path-metadata": True, "aws:cdk:enable-asset-metadata": True}
"""What the command line adds to the context of each app."""


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with bootstrapped(tmp_path_factory) as sandbox:
        yield sandbox


@contextmanager
def bootstrapped(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Iterator[SandboxProcess]:
    """Run a sandbox that apps can be deployed to, with these options of the command."""
    # This folder has no cdk.json, because bootstrapping needs no app.
    folder = tmp_path_factory.mktemp("bootstrap")
    with SandboxProcess(options=options) as sandbox:
        command = ["cdk", "bootstrap", f"aws://{sandbox.account}/us-east-1", "--ci"]
        result = subprocess.run(
            command, cwd=folder, env=environment(sandbox), check=False, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
        yield sandbox


@pytest.fixture
def project(aws: SandboxProcess, tmp_path: Path) -> Iterator[Project]:
    """A project with its own repository, whose stack is deleted afterwards."""
    (tmp_path / "cdk.json").write_text('{"app": "python3 app.py", "versionReporting": false, "notices": false}')
    repository = f"test/{uuid.uuid4().hex[:12]}"
    aws.client("ecr-public").create_repository(repositoryName=repository)
    project = Project(aws, tmp_path, repository)
    yield project
    aws.faults.clear()
    aws.client("cloudformation").delete_stack(StackName="Test")


def environment(sandbox: SandboxProcess) -> dict[str, str]:
    own = {
        "PYTHONPATH": str(CHECKOUT),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {**os.environ, **sandbox.environment(), **own}
