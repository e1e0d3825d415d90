"""A new user: the wheel in a clean environment, and an app that `cdk init` created."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image, resolve_tags
from tests.support.distribution import CHECKOUT, CleanEnvironment, build, run, source_archive_of, wheel_of

from .conftest import environment

pytestmark = pytest.mark.cdk

STACK = """
from aws_cdk import CfnOutput, Stack
from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository

class ReleaseStack(Stack):
    def __init__(self, scope, construct_id, **kwargs):
        super().__init__(scope, construct_id, **kwargs)
        repository = PublicRepository.from_repository_name(self, "Repository", "strangers/agent")
        release = PublicImage(
            self, "Release", repository=repository, source=ImageSource.digest("{digest}"), tags=["1.4.2", "latest"]
        )
        CfnOutput(self, "Image", value=release.image_uri)
"""

OWN_FUNCTION = """
        from aws_cdk import aws_lambda
        import lambda_handler
        assert lambda_handler.WHOSE == "the user's own"
        aws_lambda.Function(
            self, "Own", function_name="own", runtime=aws_lambda.Runtime.PYTHON_3_14,
            code=aws_lambda.Code.from_asset(".", exclude=["cdk.out"]), handler="lambda_handler.handler",
        )
"""

OWN_HANDLER = """
WHOSE = "the user's own"

def handler(event, context):
    return WHOSE
"""


@dataclass(frozen=True)
class Stranger:
    """A user with a clean environment, an app and an account."""

    installed: CleanEnvironment
    folder: Path
    sandbox: SandboxProcess

    def cdk(self, *arguments: str) -> str:
        """Run the cdk command line, which must succeed."""
        variables = self.installed.variables(environment(self.sandbox))
        return run("cdk", *arguments, "--ci", "--no-color", environment=variables, folder=self.folder)

    def python(self, program: str) -> str:
        """Run *program* in the folder of the app, like ``python3 app.py``."""
        (self.folder / "program.py").write_text(program, encoding="utf-8")
        return run(self.installed.python, "program.py", environment=self.installed.variables(), folder=self.folder)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """Install the wheel and its requirements, without extras."""
    clean = CleanEnvironment.make(tmp_path_factory.mktemp("installed"))
    clean.install(str(wheel_of(dist)))
    return clean


@pytest.fixture(scope="module")
def image(aws: SandboxProcess) -> Image:
    aws.client("ecr-public").create_repository(repositoryName="strangers/agent")
    image = build_image({"etc/name": b"stranger"}, platforms=("linux/amd64", "linux/arm64"))
    push_image(aws, "strangers/agent", image, ())
    return image


@pytest.fixture
def stranger(installed: CleanEnvironment, image: Image, aws: SandboxProcess, tmp_path: Path) -> Iterator[Stranger]:
    """Create an app with the template of the cdk command line, with all feature flags enabled."""
    folder = tmp_path / "release"
    folder.mkdir()
    stranger = Stranger(installed, folder, aws)
    stranger.cdk("init", "app", "--language", "python", "--generate-only")
    (folder / "release" / "release_stack.py").write_text(STACK.format(digest=image.digest), encoding="utf-8")
    yield stranger
    aws.client("cloudformation").delete_stack(StackName="ReleaseStack")


def test_the_installed_library_is_complete_without_the_checkout(stranger: Stranger) -> None:
    """Neither boto3 nor click is installed: an app needs neither the sandbox nor the command line."""
    program = "import importlib.util as u; print([u.find_spec(name) and u.find_spec(name).origin for name in {names}])"
    ours, *others = json.loads(
        stranger.python(program.format(names=["cdk_ecrpublic", "lambda_handler", "boto3", "click", "yaml"]))
        .replace("None", "null")
        .replace("'", '"')
    )

    assert Path(ours).is_relative_to(stranger.installed.folder)
    assert others == [None, None, None, None]


def test_a_new_app_is_synthesized_and_deployed(stranger: Stranger, image: Image) -> None:
    stranger.cdk("synth", "--quiet")
    stranger.cdk("deploy", "--app", "cdk.out", "--require-approval", "never")

    assert resolve_tags(stranger.sandbox, "strangers/agent") == {"1.4.2": image.digest, "latest": image.digest}
    assert "There were no differences" in stranger.cdk("diff", "--app", "cdk.out")


def test_a_package_lambda_handler_of_the_user_does_not_conflict_with_ours(stranger: Stranger, image: Image) -> None:
    """Decision 0002: neither shadows the other, either in the app or in Lambda."""
    (stranger.folder / "lambda_handler").mkdir()
    (stranger.folder / "lambda_handler" / "__init__.py").write_text(OWN_HANDLER, encoding="utf-8")
    stack = stranger.folder / "release" / "release_stack.py"
    stack.write_text(STACK.format(digest=image.digest) + OWN_FUNCTION, encoding="utf-8")

    stranger.cdk("deploy", "--require-approval", "never")

    answer = stranger.sandbox.client("lambda").invoke(FunctionName="own")
    assert json.loads(answer["Payload"].read()) == "the user's own"
    assert resolve_tags(stranger.sandbox, "strangers/agent") == {"1.4.2": image.digest, "latest": image.digest}
    assets = stranger.folder / "cdk.out"
    (entrypoint,) = assets.glob("asset.*/lambda_handler/entrypoint.py")
    assert entrypoint.read_text().count("\n") == (CHECKOUT / "lambda_handler" / "entrypoint.py").read_text().count("\n")


def test_the_source_archive_installs_the_same(dist: Path, installed: CleanEnvironment, tmp_path: Path) -> None:
    from_source = CleanEnvironment.make(tmp_path / "from-source")
    from_source.install("--no-deps", str(source_archive_of(dist)))

    assert _files(from_source) == _files(installed)


def _files(clean: CleanEnvironment) -> dict[str, bytes]:
    """Read our installed files, except the lists that name the place of their source."""
    (packages,) = clean.folder.glob("lib/python*/site-packages")
    return {
        str(path.relative_to(packages)): path.read_bytes()
        for folder in ("cdk_ecrpublic", "cdk_ecrpublic-*.dist-info")
        for root in packages.glob(folder)
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name not in ("RECORD", "REQUESTED", "direct_url.json")
    }


@pytest.mark.parametrize("present", [[], ["click"], ["click", "rich"]], ids=str)
def test_a_command_without_its_extra_says_what_to_install(dist: Path, tmp_path: Path, present: list[str]) -> None:
    """Many environments have click because of another package."""
    clean = CleanEnvironment.make(tmp_path / "environment")
    clean.install("--no-deps", str(wheel_of(dist)))
    for requirement in present:
        clean.install(requirement)
    command = clean.folder / "bin" / "cdk-ecrpublic"

    for arguments in (["plan"], ["verify"], ["pin"], ["snapshot", "acme/agent"]):
        failed = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        assert failed.returncode == 2
        assert len(failed.stderr.splitlines()) == 1
        assert failed.stderr.endswith(' is not installed; run: pip install "cdk-ecrpublic[cli]"\n')
