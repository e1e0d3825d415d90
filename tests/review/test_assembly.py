"""Reading a synthesized app: all its images, with everything that is known before deployment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App, CfnParameter, Environment, Fn, NestedStack, Stack, Stage
from aws_cdk import aws_ecr as ecr

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository
from cdk_ecrpublic.review.app.assembly import Assembly, AssemblyError, Reading, read_assembly
from cdk_ecrpublic.review.app.declared import DeclaredImage
from cdk_ecrpublic.review.app.unknown import unknowns

DIGEST = "sha256:" + "a" * 64
SOMEWHERE = Environment(account="123456789012", region="eu-west-1")


def synthesize(folder: Path, build: Callable[[App], object]) -> Assembly:
    app = App(outdir=str(folder))
    build(app)
    app.synth()
    return read_assembly(folder)


def declare(stack: Stack, name: str = "acme/agent", **options: object) -> PublicImage:
    return PublicImage(
        stack,
        "Release",
        repository=PublicRepository.from_repository_name(stack, "Repository", name),
        source=ImageSource.digest(DIGEST),
        **options,  # type: ignore[arg-type]
    )


def only(assembly: Assembly) -> DeclaredImage:
    (image,) = assembly.images
    return image


def test_finds_an_image_with_its_stack_and_path(tmp_path: Path) -> None:
    image = only(synthesize(tmp_path, lambda app: declare(Stack(app, "Agent", env=SOMEWHERE), tags=["1"])))

    assert (image.stack, image.stack_name, image.path) == ("Agent", "Agent", "Agent/Release")
    assert (image.account, image.region) == ("123456789012", "eu-west-1")
    assert image.properties["ImageTags"] == ["1"]
    assert image.properties["Source"] == {"Digest": DIGEST}
    assert list(unknowns(image.properties)) == []


def test_reads_stages(tmp_path: Path) -> None:
    image = only(synthesize(tmp_path, lambda app: declare(Stack(Stage(app, "Prod"), "Agent"))))

    assert (image.stack, image.stack_name) == ("Prod/Agent", "Prod-Agent")
    for pattern in ("Prod/Agent", "Prod-Agent", "Prod/*", "Prod-*", "*"):
        assert read_assembly(tmp_path, [pattern]).images == (image,)
    with pytest.raises(AssemblyError, match=r"no stack Dev/\*.*its stacks are: Prod-Agent, Prod/Agent"):
        read_assembly(tmp_path, ["Dev/*"])


def test_reads_nested_stacks(tmp_path: Path) -> None:
    """The parameters that the parent passes to them are known."""

    def build(app: App) -> None:
        parent = Stack(app, "Agent")
        tag = CfnParameter(parent, "Tag", default="1.4")
        declare(NestedStack(parent, "Images"), tags=[tag.value_as_string])

    assert [str(each) for each in unknowns(only(synthesize(tmp_path, build)).properties)] == ["<the parameter Tag>"]
    image = only(read_assembly(tmp_path, reading=Reading(parameters={"Tag": "1.5"})))

    assert (image.stack, image.stack_name) == ("Agent", "")
    assert image.properties["ImageTags"] == ["1.5"]


def test_refuses_a_parameter_that_no_stack_has(tmp_path: Path) -> None:
    def build(app: App) -> None:
        CfnParameter(Stack(app, "Agent"), "Tag")

    synthesize(tmp_path, build)

    with pytest.raises(AssemblyError, match="no parameter Tug in the chosen stacks; their parameters are: Tag"):
        read_assembly(tmp_path, reading=Reading(parameters={"Agent:Tag": "1", "Tug": "1"}))


def test_resolves_exports_of_another_stack_of_the_app(tmp_path: Path) -> None:
    def build(app: App) -> None:
        first, second = Stack(app, "First"), Stack(app, "Second")
        repository = ecr.CfnPublicRepository(first, "Repository", repository_name="acme/agent")
        PublicImage(
            second,
            "Release",
            repository=PublicRepository.from_repository_name(second, "Imported", repository.ref),
            source=ImageSource.digest(DIGEST),
        )

    assert only(synthesize(tmp_path, build)).properties["RepositoryName"] == "acme/agent"


def test_knows_that_a_repository_of_the_same_stack_will_be_created(tmp_path: Path) -> None:
    def build(app: App) -> None:
        stack = Stack(app, "Agent", env=Environment(account="123456789012", region="us-east-1"))
        repository = PublicRepository(stack, "Repository", repository_name="acme/new")
        PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(DIGEST), tags=["1"])

    image = only(synthesize(tmp_path, build))

    assert image.properties["RepositoryName"] == "acme/new"
    assert image.created_here


def test_names_values_that_are_known_only_at_deployment(tmp_path: Path) -> None:
    def build(app: App) -> None:
        declare(Stack(app, "Agent"), name=Fn.import_value("elsewhere"))

    image = only(synthesize(tmp_path, build))

    assert [str(each) for each in unknowns(image.properties)] == ["<Fn::ImportValue elsewhere>"]


def test_accepts_an_app_without_images(tmp_path: Path) -> None:
    assert synthesize(tmp_path, lambda app: Stack(app, "Empty")).images == ()


@pytest.mark.parametrize("content", ["", "[]", "nonsense", "[" * 100_000])
def test_reports_a_corrupt_assembly(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)

    with pytest.raises(AssemblyError, match=r"manifest\.json .*run cdk synth again"):
        read_assembly(tmp_path)


def test_reports_a_missing_template(tmp_path: Path) -> None:
    synthesize(tmp_path, lambda app: declare(Stack(app, "Agent")))
    (tmp_path / "Agent.template.json").unlink()

    with pytest.raises(AssemblyError, match=r"Agent\.template\.json cannot be read"):
        read_assembly(tmp_path)
