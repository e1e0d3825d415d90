"""``plan`` and ``verify``, as people and scripts use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_cdk import App, CfnResource, Environment, Stack
from click.testing import CliRunner, Result

from cdk_ecrpublic import IImageSource, ImageSource, IPublicRepository, PublicImage, PublicRepository
from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.cli.output.markdown import COMMENT_MAX_CHARACTERS, MARKER, as_markdown
from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import build_image
from cdk_ecrpublic.sandbox.store.registries import Caller

from .conftest import HOME, UPSTREAM, Body, World

OLD = build_image({"etc/name": b"old"}, platforms=("linux/amd64", "linux/386"))
NEW = build_image({"etc/name": b"new"}, platforms=("linux/amd64", "linux/arm64"))
FAR = build_image({"etc/name": b"far"})
ABSENT = "sha256:" + "0" * 64


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def release(digest: str, *tags: str, **options: object) -> Body:
    def body(stack: Stack, repository: IPublicRepository) -> None:
        PublicImage(
            stack,
            "Release",
            repository=repository,
            source=ImageSource.digest(digest),
            tags=list(tags),
            **options,  # type: ignore[arg-type]
        )

    return body


@pytest.fixture
def images(world: World) -> World:
    world.push(OLD, "latest", "1.3")
    world.push(NEW)
    world.push(FAR, "v1", repository=UPSTREAM)
    return world


def test_a_plan_for_a_terminal(images: World) -> None:
    result = run("plan", images.synthesize(release(NEW.digest, "1.4", "latest")))

    assert result.exit_code == 0
    assert "Agent/Release" in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["1.4", "create", NEW.digest[:19]] in lines
    assert ["latest", "move", OLD.digest[:19], "→", NEW.digest[:19], "+linux/arm64,", "-linux/386"] in lines
    assert "1 image: 1 changed; 1 tag will move, 1 will be new" in result.stdout


@pytest.mark.parametrize("tags", [("1.3",), ("1.3", "1.4"), ()], ids=["nothing moves", "something is new", "no tags"])
def test_a_plan_outside_a_terminal_is_not_truncated(images: World, tags: tuple[str, ...]) -> None:
    """Nothing is truncated, and no line ends with spaces."""
    part = ImageSource.digest(NEW.children[1].digest)

    def body(stack: Stack, repository: IPublicRepository) -> None:
        release(OLD.digest, *tags, include_referrers=True)(stack, repository)
        PublicImage(stack, "Index", repository=repository, source=ImageSource.index({"linux/arm64": part}), tags=["i"])

    lines = run("plan", images.synthesize(body)).stdout.splitlines()

    assert [line for line in lines if line != line.rstrip() or "…" in line] == []


def test_a_tag_that_does_not_move_shows_its_digest(images: World) -> None:
    """One column of this plan is empty in every line."""
    folder = images.synthesize(release(OLD.digest, "1.3", "lint"))

    assert f"  1.3   unchanged  {OLD.digest[:19]}" in run("plan", folder).stdout.splitlines()


def test_a_plan_for_a_program(images: World) -> None:
    result = run("plan", "--format", "json", images.synthesize(release(NEW.digest, "1.4", "latest")))

    data = json.loads(result.stdout)
    assert data["formatVersion"] == 1
    (image,) = data["images"]
    assert image["path"] == "Agent/Release"
    assert image["repository"] == images.uri(HOME)
    assert image["tags"] == [
        {"tag": "1.4", "action": "create", "before": None, "after": NEW.digest},
        {"tag": "latest", "action": "move", "before": OLD.digest, "after": NEW.digest},
    ]
    assert image["images"][NEW.digest]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert image["images"][NEW.digest]["mediaType"] == NEW.media_type


def test_a_plan_for_a_pull_request(images: World) -> None:
    result = run("plan", "--format", "markdown", images.synthesize(release(NEW.digest, "1.4", "latest")))

    assert result.stdout.startswith(f"{MARKER}\n### ")
    before, after = OLD.digest[:19], NEW.digest[:19]
    assert f"| `latest` | move | `{before}` | `{after}` | \\+linux/arm64, \\-linux/386 |" in result.stdout


def test_a_plan_shows_the_size_of_a_copy(images: World) -> None:
    def body(stack: Stack, repository: IPublicRepository) -> None:
        source = ImageSource.registry(f"{images.uri(UPSTREAM)}@{FAR.digest}")
        PublicImage(stack, "Copy", repository=repository, source=source, tags=["far"])

    size = sum(map(len, FAR.blobs.values()))
    assert f"copies 2 blobs of {size} bytes, puts 1 manifest" in run("plan", images.synthesize(body)).stdout


def test_a_deployment_that_would_be_refused_exits_with_1(images: World) -> None:
    result = run("plan", images.synthesize(release(NEW.digest, "1.3", immutable_tags=["1.*"])))

    assert result.exit_code == 1
    assert "tag '1.3' is immutable" in result.stdout
    assert "1 image: 1 refused" in result.stdout


def test_a_source_that_does_not_exist_exits_with_1(images: World) -> None:
    result = run("plan", images.synthesize(release(ABSENT, "1.4")))

    assert result.exit_code == 1
    assert f"NOT_FOUND: the image {ABSENT} does not exist" in result.stdout


def test_a_registry_that_does_not_respond_exits_with_2(images: World) -> None:
    folder = images.synthesize(release(NEW.digest, "1.4"))
    images.sandbox.faults.add(Fault(operation="DescribeRepositories", code="AccessDeniedException", times=None))
    images.sandbox.faults.add(Fault(operation="GetManifest", status=403, times=None))

    assert run("plan", folder).exit_code == 2
    assert run("verify", folder).exit_code == 2


def test_a_plan_needs_no_credentials(without_credentials: World) -> None:
    """This needs the URI of the account's registry, which only its owner can look up."""
    world = without_credentials
    home = world.home
    world.push(OLD, "latest")
    world.push(NEW)
    folder = world.synthesize(release(NEW.digest, "1.4", "latest"))

    without = run("plan", folder)
    result = run("plan", folder, "--registry", home)

    assert without.exit_code == 2
    assert "--registry public.ecr.aws/ALIAS" in without.stdout
    assert result.exit_code == 0, result.stdout
    assert "1 image: 1 changed; 1 tag will move, 1 will be new" in result.stdout
    assert world.sandbox.requests.count("DescribeImages", "PutImage") <= 2, "only the calls that pushed the images"


def test_a_missing_repository_is_not_mistaken_for_an_empty_one(without_credentials: World) -> None:
    """Over HTTP, both have no tags, and a mistyped name must not look like a first release."""
    world = without_credentials
    home = world.home
    manifest = NEW.manifest.decode()

    def body(stack: Stack, _: IPublicRepository) -> None:
        repository = PublicRepository.from_repository_name(stack, "Typo", "acme/agnet")
        PublicImage(stack, "Release", repository=repository, source=ImageSource.manifest(manifest), tags=["1"])

    folder = world.synthesize(body)
    result = run("plan", folder, "--registry", home)

    assert result.exit_code == 1
    assert f"NOT_FOUND: the repository {home}/acme/agnet does not exist" in result.stdout
    assert "create it first" in result.stdout


def test_an_empty_repository_counts_as_existing(without_credentials: World) -> None:
    world = without_credentials
    result = run("plan", world.synthesize(release(ABSENT)), "--registry", world.home)

    assert f"NOT_FOUND: the image {ABSENT} does not exist" in result.stdout


def test_a_repository_that_the_app_creates_may_be_missing(without_credentials: World) -> None:
    world = without_credentials
    home = world.home
    world.push(FAR, repository=UPSTREAM)

    def body(stack: Stack, _: IPublicRepository) -> None:
        repository = PublicRepository(stack, "New", repository_name="acme/new")
        source = ImageSource.registry(f"{home}/{UPSTREAM}@{FAR.digest}")
        PublicImage(stack, "Copy", repository=repository, source=source, tags=["1"])

    result = run("plan", world.synthesize(body), "--registry", home)

    assert result.exit_code == 0, result.stdout
    assert "1 will be new" in result.stdout


def test_a_stack_of_another_account_is_not_searched_in_ours(images: World) -> None:
    """With credentials for one of two accounts, neither the foreign repository nor ours is read for the other."""

    def synthesize(account: str) -> Path:
        folder = images.folder / account
        stack = Stack(App(outdir=str(folder)), "Agent", env=Environment(account=account, region="eu-west-1"))
        release(OLD.digest, "latest")(stack, PublicRepository.from_repository_name(stack, "Repository", HOME))
        app = stack.node.root
        assert isinstance(app, App)
        app.synth()
        return folder

    ours, theirs = synthesize(images.sandbox.account), synthesize("222222222222")

    assert run("plan", ours).exit_code == run("verify", ours).exit_code == 0
    result = run("plan", theirs)
    assert result.exit_code == 2
    assert "the address of the repository 'acme/agent' of account 222222222222 is not known" in result.stdout
    assert "set AWS credentials of account 222222222222" in result.stdout
    assert run("verify", theirs).exit_code == 2
    assert run("verify", theirs, "--registry", images.home).exit_code == 0


def test_waits_for_a_failing_registry_and_says_so(images: World) -> None:
    folder = images.synthesize(release(NEW.digest, "1.4"))
    images.sandbox.faults.add(Fault(operation="GetManifest", status=429, times=2))

    result = run("plan", folder)

    assert result.exit_code == 0
    assert "retrying" in result.stderr
    assert "THROTTLED" in result.stderr


def test_control_characters_in_labels_are_removed(images: World) -> None:
    """Labels are untrusted: they must not add colors, links, mentions or tables."""
    label = "\x1b[31mred\x1b[0m `@team` | <img src=x> [a](b)\u202e"
    image = build_image({"a": b"1"}, labels={"org.opencontainers.image.version": label})
    images.push(image)
    folder = images.synthesize(release(image.digest, "1.4"))

    text, markdown = run("plan", folder).stdout, run("plan", "--format", "markdown", folder).stdout

    assert "\x1b" not in text + markdown
    assert "\u202e" not in text + markdown
    assert "`version [31mred[0m '@team' ¦ <img src=x> [a](b)`" in markdown


def test_a_comment_is_never_too_long_to_post(images: World) -> None:
    def body(stack: Stack, repository: IPublicRepository) -> None:
        for number in range(20):
            tags = [f"v{number}.{minor}" for minor in range(5)]
            PublicImage(
                stack,
                f"Image{number}",
                repository=repository,
                source=ImageSource.digest(NEW.digest),
                tags=tags,
            )

    effects = images.review(images.read(body))
    text = as_markdown(effects * 20, effects * 20)

    assert len(text) <= COMMENT_MAX_CHARACTERS + 200
    assert "more; the job's log has them all" in text


@pytest.mark.parametrize(
    "address",
    [
        "public.ecr.aws/a1b2c3d4/",
        "https://public.ecr.aws/a1b2c3d4",
        "a1b2c3d4",
        "public.ecr.aws",
        "public.ecr.aws/",
        "/a1b2c3d4",
        "public.ecr.aws/a1b2c3d4/acme/agent",
        "public.ecr.aws/123456789012",
        "public ecr/a1b2c3d4",
    ],
)
@pytest.mark.parametrize("command", ["plan", "verify", "pin"])
def test_refuses_an_address_that_is_not_a_registry(command: str, address: str, tmp_path: Path) -> None:
    result = run(command, tmp_path, "--registry", address)

    assert result.exit_code == 2
    assert "Invalid value for '--registry'" in result.stderr
    assert "'public.ecr.aws/a1b2c3d4'" in result.stderr


def test_refuses_a_log_that_cannot_be_written_before_starting(tmp_path: Path) -> None:
    result = run("sandbox", "--log-file", tmp_path / "nowhere" / "log", "--", "true")

    assert result.exit_code == 2
    assert "Invalid value for '--log-file'" in result.stderr
    assert "cannot be written: No such file or directory" in result.stderr


COMMANDS = pytest.mark.parametrize("command", ["plan", "verify", "pin"])


@COMMANDS
def test_a_folder_without_an_app_says_what_to_run(command: str, tmp_path: Path) -> None:
    result = run(command, tmp_path)

    assert result.exit_code == 2
    assert "run cdk synth first" in result.stderr


@COMMANDS
def test_reports_a_missing_stack(command: str, images: World) -> None:
    result = run(command, images.synthesize(release(NEW.digest, "1.4")), "--stack", "Nowhere")

    assert result.exit_code == 2
    assert "no stack Nowhere" in result.stderr
    assert "its stacks are: Agent" in result.stderr


def test_verifies_a_registry_that_is_as_declared(images: World) -> None:
    result = run("verify", images.synthesize(release(OLD.digest, "1.3", "latest")))

    assert result.exit_code == 0
    assert "1 image: 1 as declared" in result.stdout


def test_names_tags_that_are_missing_or_point_elsewhere(images: World) -> None:
    result = run("verify", images.synthesize(release(NEW.digest, "1.4", "latest")))

    assert result.exit_code == 1
    assert f"tag 1.4 does not exist, but should point to {NEW.digest}" in result.stdout
    assert f"tag latest points to {OLD.digest}, but should point to {NEW.digest}" in result.stdout


def test_names_a_missing_image(images: World) -> None:
    result = run("verify", "--json", images.synthesize(release(ABSENT)))

    assert result.exit_code == 1
    (image,) = json.loads(result.stdout)["images"]
    assert image["verdict"] == "different"
    assert image["differences"] == [f"image {ABSENT} is missing"]


def made_of(source: IImageSource, **options: object) -> Body:
    def body(stack: Stack, repository: IPublicRepository) -> None:
        PublicImage(stack, "Release", repository=repository, source=source, tags=["1"], **options)  # type: ignore[arg-type]

    return body


@pytest.mark.parametrize("who", ["owner", "anybody"])
def test_an_unobtainable_image_is_a_difference(world: World, who: str, request: pytest.FixtureRequest) -> None:
    """The registries responded, unlike with an unreachable registry."""
    home = world.home
    world.push(OLD, "build")
    if who == "anybody":
        request.getfixturevalue("without_credentials")

    def elsewhere(stack: Stack, _: IPublicRepository) -> None:
        made_of(ImageSource.digest(OLD.digest))(
            stack, PublicRepository.from_repository_name(stack, "Typo", "acme/agnet")
        )

    for body, reason in [
        (elsewhere, "NOT_FOUND"),
        (made_of(ImageSource.tag("nothing")), "NOT_FOUND"),
        (made_of(ImageSource.registry(f"{home}/{UPSTREAM}:nothing")), "NOT_FOUND"),
        (made_of(ImageSource.tag("build"), platforms=["linux/s390x"]), "linux/s390x"),
    ]:
        result = run("verify", world.synthesize(body), "--registry", home)

        assert (result.exit_code, "1 image: 1 different" in result.stdout) == (1, True), result.stdout
        assert reason in result.stdout


def test_invalid_properties_are_a_difference(images: World) -> None:
    folder = images.synthesize(release(OLD.digest, "latest"))
    template = folder / "Agent.template.json"
    template.write_text(template.read_text(encoding="utf-8").replace('"latest"', '"no tag"'), encoding="utf-8")

    result = run("verify", folder)

    assert result.exit_code == 1
    assert "'no tag' is not a tag" in result.stdout


@pytest.mark.parametrize("who", ["owner", "anybody"])
def test_names_a_missing_child_or_blob(images: World, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service has no call that deletes them, but may lose them, and then pulls fail."""
    child = OLD.children[0]
    home = images.home
    folder = images.synthesize(release(OLD.digest, "latest"))
    lose(images, OLD.children[1].digest, next(iter(child.blobs)))
    if who == "anybody":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    result = run("verify", folder, "--registry", home)

    assert result.exit_code == 1
    assert f"child of {OLD.digest} {OLD.children[1].digest} is missing" in result.stdout
    assert f"blob {next(iter(child.blobs))} of {OLD.digest} is missing" in result.stdout
    assert run("verify", folder, "--registry", home, "--tags-only").exit_code == 0


def lose(world: World, manifest: str, blob: str) -> None:
    """Lose a manifest and a blob, which no client could cause."""
    repository = world.sandbox.store.repository(Caller(account=world.sandbox.account), HOME)
    del repository.images[Digest.parse(manifest)]
    del repository.layers[Digest.parse(blob)]


def two_releases(stack: Stack, repository: IPublicRepository) -> None:
    release(NEW.digest, "1.4", "latest")(stack, repository)
    PublicImage(stack, "Old", repository=repository, source=ImageSource.digest(OLD.digest), tags=["1.3"])


def test_can_show_only_changes(images: World) -> None:
    folder = images.synthesize(two_releases)

    whole, changed = run("plan", folder), run("plan", "--changed", folder)

    assert "Agent/Old" in whole.stdout
    assert "Agent/Old" not in changed.stdout
    assert "Agent/Release" in changed.stdout
    assert whole.stdout.splitlines()[-2:] == changed.stdout.splitlines()[-2:], "the summary counts all images"


def test_can_return_only_changes_to_a_program(images: World) -> None:
    folder = images.synthesize(two_releases)

    data = json.loads(run("plan", "--changed", "--format", "json", folder).stdout)

    assert [image["path"] for image in data["images"]] == ["Agent/Release"]


@pytest.mark.parametrize("command", ["plan", "verify"])
@pytest.mark.parametrize(("option", "status"), [((), 2), (("--allow-unknown",), 0)], ids=["", "allowed"])
def test_can_allow_unknown_values(images: World, command: str, option: tuple[str, ...], status: int) -> None:
    images.push(OLD, "known")

    def body(stack: Stack, repository: IPublicRepository) -> None:
        token = CfnResource(stack, "Build", type="Custom::Build").get_att("Digest").to_string()
        PublicImage(stack, "Built", repository=repository, source=ImageSource.digest(token), tags=["built"])
        PublicImage(stack, "Known", repository=repository, source=ImageSource.digest(OLD.digest), tags=["known"])

    result = run(command, *option, images.synthesize(body))

    assert result.exit_code == status, result.output
    assert "Agent/Built" in result.stdout
    assert "unknown" in result.stdout


def test_allowing_unknown_values_does_not_allow_refusals(images: World) -> None:
    folder = images.synthesize(release(ABSENT, "1.4"))

    assert run("plan", "--allow-unknown", folder).exit_code == 1
