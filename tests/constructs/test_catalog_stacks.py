"""Catalogs with more images than fit into a stack: the limits, and the nested stack of each image."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, CfnOutput, Stack, Token
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSettings, PublicImageCatalog, PublicImageProvider
from cdk_ecrpublic.catalog import capacity
from cdk_ecrpublic.catalog.model import Repository
from cdk_ecrpublic.catalog.reader import Arguments, read_catalog

from .test_catalog import ACME, CATALOGS, IMAGE, A, listed, template

Images = dict[str, int]
"""How many images a repository has, by its name."""


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def many(folder: Path, number: int, tags: int = 1) -> Path:
    return listed(
        folder,
        {f"image-{n}": {f"sha256:{n * 1000 + t:064x}": [f"1.{t}"] for t in range(tags)} for n in range(number)},
    )


def spread(path: Path, stacks: int) -> dict[str, str]:
    """Return the nested stack of each repository."""
    stack = Stack(App(), "Stack")
    catalog = PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME, stacks=stacks)
    return {image.node.path.split("/")[3]: image.node.path.split("/")[2] for image in catalog.images}


def sized(folder: Path, images: Images) -> Path:
    """Write repositories of so many images each."""
    return listed(
        folder,
        {
            name: {f"sha256:{hashlib.sha256(f'{name}{n}'.encode()).hexdigest()}": [f"1.{n}"] for n in range(number)}
            for name, number in images.items()
        },
    )


def placed(folder: Path, images: Images, stacks: int, **arguments: Any) -> dict[tuple[str, str], int]:
    """Return the number of each image's nested stack, without synthesizing anything."""
    catalog = read_catalog(sized(folder, images), Arguments(destination=ACME, **arguments))
    places = capacity.Spread(catalog.repositories).places(stacks)
    assert places is not None
    return dict(places)


def test_spreads_repositories_over_nested_stacks_with_a_function_each(tmp_path: Path, stack: Stack) -> None:
    path = many(tmp_path, 40)

    catalog = PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME, stacks=4)

    assert [nested.node.id for nested in catalog.stacks] == ["Part0", "Part1", "Part2", "Part3"]
    found = [Template.from_stack(nested) for nested in catalog.stacks]
    sizes = [len(each.find_resources(IMAGE)) for each in found]
    assert sum(sizes) == len(catalog.images) == 40
    assert min(sizes) > 0
    for each in found:
        each.resource_count_is("AWS::Lambda::Function", 1)
    Template.from_stack(stack).resource_count_is("AWS::CloudFormation::Stack", 4)
    Template.from_stack(stack).resource_count_is(IMAGE, 0)


def test_creates_no_nested_stack_without_images(tmp_path: Path, stack: Stack) -> None:
    catalog = PublicImageCatalog.from_file(stack, "Catalog", many(tmp_path, 1), destination=ACME, stacks=9)

    assert len(catalog.stacks) == 1


def test_adding_a_repository_moves_no_other_to_another_nested_stack(tmp_path: Path) -> None:
    before, after = spread(many(tmp_path, 30), 4), spread(many(tmp_path, 31), 4)

    assert {name: after[name] for name in before} == before


def test_adding_a_nested_stack_moves_repositories_only_to_it(tmp_path: Path) -> None:
    before, after = spread(many(tmp_path, 30), 4), spread(many(tmp_path, 30), 5)

    assert {after[name] for name in before if after[name] != before[name]} == {"Part4"}


def test_attributes_of_an_image_in_a_nested_stack_can_be_used(tmp_path: Path, stack: Stack) -> None:
    catalog = PublicImageCatalog.from_file(stack, "Catalog", many(tmp_path, 1), destination=ACME, stacks=1)
    CfnOutput(stack, "Uri", value=catalog.image("image-0", "1.0").image_uri)

    (output,) = Template.from_stack(stack).find_outputs("Uri").values()
    assert output["Value"]["Fn::GetAtt"][1].startswith("Outputs.StackCatalogPart0")


def test_the_app_can_create_the_function_of_each_stack(tmp_path: Path, stack: Stack) -> None:
    catalog = PublicImageCatalog.from_file(
        stack,
        "Catalog",
        many(tmp_path, 20),
        destination=ACME,
        stacks=2,
        make_provider=lambda scope: PublicImageProvider(scope, "Provider", memory_size=1024),
    )

    for nested in catalog.stacks:
        Template.from_stack(nested).has_resource_properties("AWS::Lambda::Function", {"MemorySize": 1024})


def home(name: str, stacks: int) -> int:
    """The choice is the same as in every release, because deployed images must not move."""
    return max(range(stacks), key=lambda number: hashlib.sha256(f"{number}:{name}".encode()).digest())


@pytest.mark.parametrize("stacks", [1, 3, 7])
def test_repositories_that_fit_stay_in_the_same_stack_as_in_every_release(tmp_path: Path, stacks: int) -> None:
    images = {f"team-{n % 5}/image-{n}": 1 + n % 9 for n in range(60)}

    found = placed(tmp_path, images, stacks)

    assert found == {(name, key): home(name, stacks) for name, key in found}
    assert len(found) == sum(images.values())


def test_a_repository_that_fits_stays_in_its_stack_regardless_of_others(tmp_path: Path) -> None:
    """There are ten small repositories, and one that fills all stacks."""
    small = {f"image-{n}": 20 for n in range(10)}

    found = placed(tmp_path, {**small, "giant": 1_000}, 3)

    away = {name for (name, _), number in found.items() if number != home(name, 3)}
    full = {number for number in range(3) if sum(place == number for place in found.values()) == capacity.IMAGES_MAX}
    assert "giant" in away
    assert all(home(name, 3) in full for name in away - {"giant"})


def test_images_of_42_repositories_fit_into_five_stacks(tmp_path: Path) -> None:
    """They are 1,990 images, as in a public file. With whole repositories, 25 stacks were necessary."""
    images = {f"image-{n}": 20 + 27 * (n % 3) for n in range(42)}
    images["image-0"] += 1_990 - sum(images.values())

    found = placed(tmp_path, images, 5)

    assert len(found) == 1_990
    assert max(list(found.values()).count(number) for number in range(5)) <= capacity.IMAGES_MAX


def test_accepts_a_repository_with_more_images_than_fit_into_a_stack(tmp_path: Path, stack: Stack) -> None:
    path = sized(tmp_path, {"giant": 460, "empty": 0})

    catalog = PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME, stacks=2)

    found = [Template.from_stack(nested) for nested in catalog.stacks]
    assert sorted(len(each.find_resources(IMAGE)) for each in found) == [10, 450]
    for each in found:
        each.resource_count_is("AWS::Lambda::Function", 1)
    assert catalog.image("giant", "1.459").node.path.endswith("/giant/1.459")
    assert set(catalog.repositories) == {"giant", "empty"}


def test_adding_an_image_moves_few_others(tmp_path: Path) -> None:
    """If there is room, it moves none."""
    roomy = [placed(tmp_path, {"giant": number, "other": 30}, 6) for number in (1_000, 1_001)]
    full = [placed(tmp_path, {"giant": number, "other": 30}, 3) for number in (1_300, 1_301)]

    assert _moved(*roomy) <= 1
    assert _moved(*full) <= 3


def test_adding_a_stack_moves_few_images_between_others(tmp_path: Path) -> None:
    before, after = (placed(tmp_path, {"giant": 1_500, "other": 30}, stacks) for stacks in (5, 6))

    between = [image for image in before if after[image] not in {before[image], 5}]
    assert _moved(before, after) <= 1_530 / 6 * 1.5 + len(between)
    assert len(between) <= 15


def _moved(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> int:
    return sum(after[image] != number for image, number in before.items())


def test_an_empty_repository_creates_no_nested_stack(tmp_path: Path, stack: Stack) -> None:
    """CloudFormation refuses a template without resources."""
    catalog = PublicImageCatalog.from_file(
        stack, "Catalog", listed(tmp_path, {"empty": {}, "agent": {A: ["1"]}}), destination=ACME, stacks=9
    )

    assert len(catalog.stacks) == 1
    assert list(catalog.repositories) == ["agent", "empty"]


@pytest.mark.parametrize(
    ("repositories", "tags", "options", "said"),
    [
        (451, 1, {}, "Stack/Catalog: the catalog has 451 images, but a stack can have only 450"),
        (351, 1, {}, "the catalog has 351 permissions on repositories, but a stack can have only 350; set stacks=2"),
        (176, 1, {"source": "ghcr.io/x"}, "the catalog has 352 permissions on repositories"),
        (1, 451, {}, "Stack/Catalog: the catalog has 451 images, but a stack can have only 450; set stacks=2"),
        (
            1000,
            1,
            {"stacks": 2},
            "the catalog does not fit into 2 nested stacks: it has 1000 images, but a stack can have only 450; set",
        ),
        (1, 1, {"stacks": 0}, "Stack/Catalog: stacks: 0; allowed: 1 to 100"),
        (1, 1, {"stacks": 101}, "Stack/Catalog: stacks: 101; allowed: 1 to 100"),
        (1, 1, {"registry_id": "A"}, "Stack/Catalog: registry_id: 'A' is not a registry"),
        (1, 1, {"registry_id": Token.as_string({"Ref": "X"})}, "must be known at synthesis"),
        (1, 1, {"credentials": {"a/b": None}}, "Stack/Catalog: credentials: 'a/b' is not a registry host"),
        (1, 1, {"defaults": ImageSettings(platforms=("x",))}, "image-0/1.0: platforms[0]: 'x' is not a platform"),
    ],
)
def test_refuses_with_the_path_and_a_remedy(
    stack: Stack, tmp_path: Path, repositories: int, tags: int, options: dict[str, Any], said: str
) -> None:
    path = many(tmp_path, repositories, tags)

    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME, **options)

    assert said in str(failure.value)


def test_refuses_more_manifests_than_fit_into_a_template(tmp_path: Path, stack: Stack) -> None:
    base = json.loads((CATALOGS / "manifests/index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**base, "annotations": {"x": "x" * 10_000}}))
    entries = [{"manifest_file": "index.json", "tags": [f"a{number}"]} for number in range(100)]
    (tmp_path / "catalog.yaml").write_text(json.dumps({"repositories": {"ab": {"images": entries}}}))

    with pytest.raises(
        ValueError, match=r"the catalog has 1\d{6} bytes of template, but a stack can have only 900000; set stacks=2"
    ):
        PublicImageCatalog.from_file(stack, "Catalog", tmp_path / "catalog.yaml")


def test_our_limits_are_within_those_of_aws(tmp_path: Path) -> None:
    """This stack has as many permissions as allowed, and long names, up to the quotas of IAM."""
    names = [f"image-{number}-".ljust(100, "x") for number in range(capacity.PERMISSIONS_MAX // 2)]

    found = template(listed(tmp_path, {name: {A: []} for name in names}), source="ghcr.io/acme")

    sizes: dict[str, list[int]] = {"AWS::IAM::ManagedPolicy": [], "AWS::IAM::Policy": []}
    for each in found["Resources"].values():
        if each["Type"] in sizes:
            sizes[each["Type"]].append(_characters(each["Properties"]["PolicyDocument"]))
    assert len(sizes["AWS::IAM::ManagedPolicy"]) <= 10
    assert max(sizes["AWS::IAM::ManagedPolicy"]) <= 6_144
    assert sum(sizes["AWS::IAM::Policy"]) <= 10_240
    assert len(found["Resources"]) <= 500


REFERENCES = {
    "AWS::Partition": "aws",
    "AWS::AccountId": "1" * 12,
    "AWS::Region": "ap-southeast-1",
    "AWS::StackName": "s" * 128,
    "AWS::StackId": f"arn:aws:cloudformation:ap-southeast-1:{'1' * 12}:stack/{'s' * 128}/{'1' * 36}",
}


def _characters(document: dict[str, Any]) -> int:
    """Return the size of a policy as IAM counts it, without white space and with each ``Ref`` resolved."""

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "Fn::Join" in value:
            return "".join(resolved(value["Fn::Join"][1]))
        return REFERENCES.get(value.get("Ref", "")) or {key: resolved(each) for key, each in value.items()}

    return len(json.dumps(resolved(document), separators=(",", ":")))


def test_reports_immediately_what_fits_into_no_number_of_stacks(tmp_path: Path) -> None:
    """A stack can have 350 permissions, so a hundred stacks can have 35,000 repositories."""
    images = read_catalog(sized(tmp_path, {"agent": 1}), Arguments(destination=ACME)).repositories[0].images
    repositories = [Repository(name=f"image-{n}", at=images[0].at, images=images) for n in range(36_000)]
    started = time.process_time()

    excess = capacity.Spread(repositories).excess(None)

    assert excess == (
        "the catalog has 36000 images, but a stack can have only 450; split it into several catalogs with only="
    )
    assert time.process_time() - started < 10
