"""``pin`` as people and scripts use it: the registries it asks, the files it writes, its exit status."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App, Environment, Stack, Stage
from aws_cdk import aws_secretsmanager as secretsmanager
from click.testing import CliRunner, Result

from cdk_ecrpublic import IImageSource, ImageSource, PublicImage, PublicRepository
from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.review.pins import read_names, write_context
from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import build_image

from .conftest import HOME, UPSTREAM, World

OLD, NEW = build_image({"etc/name": b"old"}), build_image({"etc/name": b"new"})
OWN_ACCOUNT, OTHER_ACCOUNT = "123456789012", "222222222222"
KEY = "cdk-ecrpublic:digest:"

Declare = Callable[[App], object]


@pytest.fixture
def images(world: World) -> World:
    world.push(OLD, "stable")
    world.push(NEW, "v1", repository=UPSTREAM)
    return world


def synthesize(world: World, declare: Declare) -> Path:
    folder = Path(tempfile.mkdtemp(dir=world.folder))
    app = App(outdir=str(folder))
    declare(app)
    app.synth()
    return folder


def image(stack: Stack, source: IImageSource, name: str = "Release", **repository: str) -> None:
    imported = PublicRepository.from_repository_name(stack, f"{name}Repository", HOME, **repository)
    PublicImage(stack, name, repository=imported, source=source, tags=[name.lower()])


def of_account(account: str, name: str = "Agent") -> Declare:
    def declare(app: App) -> None:
        stack = Stack(app, name, env=Environment(account=account, region="us-east-1"))
        image(stack, ImageSource.tag("stable"))

    return declare


def of_two_accounts(app: App) -> None:
    for stage, account in (("Dev", OWN_ACCOUNT), ("Prod", OTHER_ACCOUNT)):
        of_account(account)(Stage(app, stage))  # type: ignore[arg-type] # a scope as the app is


def pin(world: World, folder: Path, *arguments: str) -> Result:
    file = world.folder / "cdk.context.json"
    return CliRunner().invoke(cli, ["pin", str(folder), "--context-file", str(file), *arguments])


def context(world: World) -> dict[str, object]:
    file = world.folder / "cdk.context.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def own_key(account: str) -> str:
    return f"{KEY}public.ecr.aws/{account}/{HOME}:stable"


def test_never_pins_a_tag_of_another_account_to_an_image_of_ours(images: World) -> None:
    result = pin(images, synthesize(images, of_account(OTHER_ACCOUNT)))

    assert result.exit_code == 2, result.output
    assert f"credentials of account {OTHER_ACCOUNT}" in result.stdout
    assert context(images) == {}


def test_a_named_registry_applies_to_one_account(without_credentials: World) -> None:
    world = without_credentials
    home = world.home
    world.push(OLD, "stable")

    both = pin(world, synthesize(world, of_two_accounts), "--registry", home)
    one = pin(world, synthesize(world, of_account(OWN_ACCOUNT)), "--registry", home)

    assert both.exit_code == 2, both.output
    assert "--stack" in both.stdout
    assert one.exit_code == 0, one.output
    assert context(world) == {own_key(OWN_ACCOUNT): OLD.digest}


def test_pins_accounts_one_by_one(images: World) -> None:
    folder = synthesize(images, of_two_accounts)
    pinned_before = {own_key(OTHER_ACCOUNT): NEW.digest}
    write_context(images.folder / "cdk.context.json", pinned_before)

    result = pin(images, folder, "--stack", "Dev/Agent")

    assert result.exit_code == 0, result.output
    assert context(images) == {**pinned_before, own_key(OWN_ACCOUNT): OLD.digest}
    assert "unused" not in result.stdout, "the other stack still uses it"
    assert pin(images, folder, "--check", "--stack", "Dev/Agent").exit_code == 0
    assert "its stacks are: " in pin(images, folder, "--stack", "Nowhere").output


def test_uses_credentials_even_if_only_one_of_two_images_has_them(images: World) -> None:
    secret = f"arn:aws:secretsmanager:us-east-1:{OWN_ACCOUNT}:secret:login-abcdef"

    def declare(app: App) -> None:
        stack = Stack(app, "Agent")
        credentials = secretsmanager.Secret.from_secret_complete_arn(stack, "Secret", secret)
        image(stack, ImageSource.registry("ghcr.io/a/b:1"), "First")
        image(stack, ImageSource.registry("ghcr.io/a/b:1", credentials=credentials), "Second")
        image(stack, ImageSource.registry("ghcr.io/a/b:1"), "Third")

    (name,) = read_names(synthesize(images, declare))

    assert name.has_credentials
    assert name.credentials_secret_arn == secret


def test_reads_the_key_names_of_an_older_cdk_from_the_manifest(images: World) -> None:
    folder = synthesize(images, of_account(OWN_ACCOUNT))
    manifest = json.loads((folder / "manifest.json").read_text())
    stack = manifest["artifacts"]["Agent"]
    stack["metadata"] = json.loads((folder / stack.pop("additionalMetadataFile")).read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert [name.key for name in read_names(folder)] == [own_key(OWN_ACCOUNT)]


@pytest.mark.parametrize("arguments", [[], ["--check"], ["--json"]])
def test_a_folder_without_an_app_exits_with_2(world: World, arguments: list[str]) -> None:
    result = pin(world, world.folder / "cdk.out", *arguments)

    assert result.exit_code == 2
    assert "run cdk synth first" in result.stderr


@pytest.mark.parametrize("text", ["[]", '{"a":', "\x00", '{"a": "' + "x" * 100])
def test_an_unreadable_context_exits_with_2_and_is_unchanged(images: World, text: str) -> None:
    (images.folder / "cdk.context.json").write_text(text)

    result = pin(images, synthesize(images, of_account(OWN_ACCOUNT)), "--check")

    assert result.exit_code == 2
    assert "cdk.context.json" in result.stderr
    assert (images.folder / "cdk.context.json").read_text() == text


def test_an_unwritable_context_exits_with_2_and_leaves_nothing_behind(images: World) -> None:
    folder = synthesize(images, of_account(OWN_ACCOUNT))
    absent = images.folder / "absent" / "cdk.context.json"

    result = CliRunner().invoke(cli, ["pin", str(folder), "--context-file", str(absent)])

    assert result.exit_code == 2, result.output
    assert f"{absent} cannot be written" in result.stderr


def test_reports_a_missing_profile(images: World, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = synthesize(images, of_account(OWN_ACCOUNT))
    monkeypatch.setenv("AWS_PROFILE", "nowhere")

    result = pin(images, folder, "--check")

    assert result.exit_code == 2, result.output
    assert "nowhere" in result.stdout
    assert isinstance(result.exception, SystemExit), "no traceback"


def test_private_ecr_without_credentials_says_to_set_some(without_credentials: World) -> None:
    def declare(app: App) -> None:
        image(Stack(app, "Agent"), ImageSource.registry(f"{OWN_ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/in/side:1"))

    result = pin(without_credentials, synthesize(without_credentials, declare))

    assert result.exit_code == 2
    assert "set AWS credentials" in result.stdout
    assert "function" not in result.stdout, "a user of the command line has no function"


def test_waits_for_a_failing_registry_and_says_so(images: World) -> None:
    images.sandbox.faults.add(Fault(operation="GetManifest", status=429, times=2))

    def declare(app: App) -> None:
        image(Stack(app, "Agent"), ImageSource.registry(f"{images.uri(UPSTREAM)}:v1"))

    result = pin(images, synthesize(images, declare))

    assert result.exit_code == 0, result.output
    assert "THROTTLED" in result.stderr
    assert context(images) == {f"{KEY}{images.uri(UPSTREAM)}:v1": NEW.digest}


def test_keeps_other_values_in_the_context(images: World) -> None:
    file = images.folder / "cdk.context.json"
    kept = {"vpc:zürich": {"b": 1, "a": ["é", None]}, f"{KEY}gone.example/a:1": OLD.digest}
    file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    file.chmod(0o640)

    result = pin(images, synthesize(images, of_account(OWN_ACCOUNT)))

    assert result.exit_code == 0, result.output
    expected = json.dumps({**kept, own_key(OWN_ACCOUNT): OLD.digest}, indent=2, ensure_ascii=False) + "\n"
    assert file.read_bytes() == expected.encode("utf-8")
    assert file.stat().st_mode & 0o777 == 0o640
    assert f"unused: {KEY}gone.example/a:1" in result.stdout


def test_a_symbolic_link_to_the_context_stays_a_link(world: World) -> None:
    target, link = world.folder / "shared.json", world.folder / "cdk.context.json"
    target.write_text("{}")
    link.symlink_to(target)

    write_context(link, {"a": 1})

    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"a": 1}
