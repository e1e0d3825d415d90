"""What a catalog renders: which images, under which ids, in which stacks."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, CfnOutput, Stack, Token
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Annotations, Match, Template

from cdk_ecrpublic import ImageSettings, ImageSource, PublicImage, PublicImageCatalog, PublicImageProvider
from cdk_ecrpublic.catalog import capacity

from .messages import warnings

CATALOGS = Path(__file__).parent / "catalogs"

A, B, C, D = ("sha256:" + letter * 64 for letter in "abcd")
ACME = "public.ecr.aws/acme"
IMAGE = "Custom::ECRPublicImage"

Images = Mapping[str, Mapping[str, list[str]]]
"""Digests with their tags, by the name of the image."""


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def declare(stack: Stack, name: str, **options: Any) -> PublicImageCatalog:
    return PublicImageCatalog.from_file(stack, "Catalog", CATALOGS / name, **options)


def listed(folder: Path, images: Images) -> Path:
    """Write a bare list of images: digests and tags by name. JSON is YAML."""
    path = folder / "images.yaml"
    path.write_text(json.dumps([{"name": name, "dmap": dmap} for name, dmap in images.items()]))
    return path


def template(path: Path, **options: Any) -> dict[str, Any]:
    """Synthesize a bare list of images in a stack of its own."""
    stack = Stack(App(), "Stack")
    PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME, **options)
    return dict(Template.from_stack(stack).to_json())


def images(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the properties of the images of a template by logical id."""
    return {key: value["Properties"] for key, value in found["Resources"].items() if value["Type"] == IMAGE}


def properties(stack: Stack) -> list[dict[str, Any]]:
    """Return what the images of a stack say, without what they say of the function."""
    return [
        {key: value for key, value in each.items() if key not in {"ServiceToken", "ServiceTimeout"}}
        for each in images(Template.from_stack(stack).to_json()).values()
    ]


def test_a_catalog_of_the_promoter_renders_copies_by_digest(stack: Stack) -> None:
    declare(stack, "promoter.yaml")

    agent = {"RegistryId": "acme", "RepositoryName": "tools/agent"}
    staging = "ghcr.io/acme-staging/agent"
    assert properties(stack) == [
        {**agent, "ImageTags": ["1.3.9"], "Source": {"Image": {"Reference": f"{staging}@{B}"}}},
        {**agent, "ImageTags": ["1.4.2", "1.4", "latest"], "Source": {"Image": {"Reference": f"{staging}@{A}"}}},
        {
            "RegistryId": "acme",
            "RepositoryName": "tools/agent/sidecar",
            "Source": {"Image": {"Reference": f"{staging}/sidecar@{C}"}},
        },
    ]
    Annotations.from_stack(stack).has_no_warning("*", Match.any_value())


def test_images_that_are_there_already_are_only_tagged(stack: Stack) -> None:
    declare(stack, "images.yaml", destination=ACME)

    assert [each["Source"] for each in properties(stack)] == [{"Digest": A}, {"Digest": B}]


def test_a_catalog_of_our_own_format_renders_every_source_and_rule(stack: Stack) -> None:
    declare(stack, "repositories.yaml")

    by_tag = {each["ImageTags"][0]: each for each in properties(stack)}
    assert by_tag["1.4.2"] == {
        "RegistryId": "acme",
        "RepositoryName": "acme/agent",
        "ImageTags": ["1.4.2", "1.4", "latest"],
        "Source": {"Digest": A},
        "RequiredPlatforms": ["linux/amd64", "linux/arm64"],
        "ImmutableTags": ["*.*.*"],
    }
    assert by_tag["preview"] == {
        "RegistryId": "acme",
        "RepositoryName": "acme/agent",
        "ImageTags": ["preview"],
        "Source": {"Image": {"Reference": f"ghcr.io/acme/agent:1.5.0-rc.1@{B}"}},
        "RequiredPlatforms": ["linux/amd64", "linux/arm64"],
        "IncludeReferrers": True,
    }
    assert by_tag["1.3.9"]["ImageDigest"] == D
    assert by_tag["1.3.9"]["Platforms"] == ["linux/amd64"]
    host = "111122223333.dkr.ecr.eu-west-1."
    assert by_tag["1.3.9"]["Source"] == {
        "Image": {"Reference": {"Fn::Join": ["", [host, {"Ref": "AWS::URLSuffix"}, f"/team/agent@{C}"]]}}
    }
    content = (CATALOGS / "manifests/index.json").read_text()
    assert by_tag["nightly"]["Source"] == {"Manifest": {"Body": content}}


def test_private_ecr_grants_exactly_that_repository(stack: Stack) -> None:
    declare(stack, "repositories.yaml")

    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        {
                            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                            "Effect": "Allow",
                            "Resource": "arn:aws:ecr:eu-west-1:111122223333:repository/team/agent",
                        }
                    ]
                )
            }
        },
    )


def test_a_repository_of_private_ecr_is_imported_once(tmp_path: Path, stack: Stack) -> None:
    source = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/agent"
    entries = [{"source": f"{source}@{digest}", "tags": [digest[-1]]} for digest in (A, B)]
    (tmp_path / "catalog.yaml").write_text(json.dumps({"repositories": {"ab": {"images": entries}}}))

    PublicImageCatalog.from_file(stack, "Catalog", tmp_path / "catalog.yaml")

    found = [str(each["Source"]) for each in properties(stack)]
    assert [digest in source for digest, source in zip((A, B), found, strict=True)] == [True, True]


def test_another_public_repository_is_read_as_an_authenticated_client(stack: Stack) -> None:
    declare(stack, "images.yaml", source="public.ecr.aws/other/x", destination=ACME)

    policy = Template.from_stack(stack).find_resources("AWS::IAM::Policy")["ECRPublicImageHandlerPolicy"]
    assert properties(stack)[0]["Source"] == {"Image": {"Reference": f"public.ecr.aws/other/x/agent@{A}"}}
    assert "sts:GetServiceBearerToken" in json.dumps(policy)


def test_credentials_are_for_their_host(stack: Stack) -> None:
    secret = secretsmanager.Secret(stack, "Secret")

    declare(stack, "repositories.yaml", credentials={"GHCR.io": secret})

    with_credentials = [each["Source"] for each in properties(stack) if "CredentialsSecretArn" in str(each)]
    reference = {"Ref": stack.get_logical_id(secret.node.default_child)}  # type: ignore[arg-type]
    assert with_credentials == [
        {"Image": {"Reference": f"ghcr.io/acme/agent:1.5.0-rc.1@{B}", "CredentialsSecretArn": reference}}
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"credentials": ["ghcr.io"]}, "Stack/Catalog: credentials: a list; expected secrets by host: {"),
        (
            {"defaults": {"include_referrers": True}},
            "Stack/Catalog: defaults: {'include_referrers': True} is a dict; expected ImageSettings(",
        ),
        (
            {"defaults": ImageSettings(include_referrers="no")},  # type: ignore[arg-type]
            "include_referrers: 'no' is a str; expected True or False",
        ),
        ({"stacks": "4"}, "Stack/Catalog: stacks: '4' is a str; expected a whole number from 1 to 100"),
        ({"stacks": Token.as_number({"Ref": "N"})}, "Stack/Catalog: stacks: has to be known at synthesis"),
        ({"make_provider": lambda _: None}, "Stack/Catalog: make_provider(): None; expected a PublicImageProvider"),
    ],
    ids=["credentials", "defaults", "a setting", "stacks", "a token", "make_provider"],
)
def test_an_option_of_another_kind_is_refused(stack: Stack, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        declare(stack, "repositories.yaml", **options)

    assert said in str(failure.value)


@pytest.mark.parametrize("host", ["gchr.io", "public.ecr.aws", "111122223333.dkr.ecr.eu-west-1.amazonaws.com"])
def test_credentials_for_a_host_that_takes_none_are_warned_of(stack: Stack, host: str) -> None:
    secret = secretsmanager.Secret(stack, "Secret")

    declare(stack, "repositories.yaml", credentials={"ghcr.io": secret, host: secret})

    what = f"credentials for {host} are not used; hosts that may have some: ghcr.io"
    assert [text for text in warnings(stack) if "unusedCredentials" in text] == [
        f"{what} [ack: @cdk-ecrpublic:unusedCredentials]"
    ]


def test_credentials_that_are_used_are_not_warned_of(stack: Stack) -> None:
    declare(stack, "repositories.yaml", credentials={"ghcr.io": secretsmanager.Secret(stack, "Secret")})

    assert [text for text in warnings(stack) if "unusedCredentials" in text] == []


@pytest.mark.parametrize("given", ["user:password", {"ghcr.io": "user:password"}, {("user", "password"): "x"}])
def test_credentials_that_are_no_secret_are_not_repeated(stack: Stack, given: object) -> None:
    with pytest.raises(ValueError, match=r"a (str|tuple)( as a key)?; expected (a secret|secrets)") as failure:
        declare(stack, "repositories.yaml", credentials=given)

    assert "password" not in str(failure.value)


@pytest.mark.parametrize(
    ("registry_id", "rendered", "account"),
    [
        (None, "acme", {"Ref": "AWS::AccountId"}),
        ("other", "other", {"Ref": "AWS::AccountId"}),
        ("222222222222", "acme", "222222222222"),
    ],
)
def test_a_registry_of_another_account_is_named_by_its_id(
    stack: Stack, registry_id: str | None, rendered: str, account: object
) -> None:
    """The file has the alias, by which the function finds it; the ARNs need the account."""
    declare(stack, "images.yaml", destination=ACME, registry_id=registry_id)

    policy = Template.from_stack(stack).find_resources("AWS::IAM::Policy")["ECRPublicImageHandlerPolicy"]
    (publish,) = [
        each for each in policy["Properties"]["PolicyDocument"]["Statement"] if "ecr-public:PutImage" in each["Action"]
    ]
    resource = publish["Resource"][0]
    parts = resource["Fn::Join"][1] if isinstance(resource, dict) else resource.split(":")
    assert {each["RegistryId"] for each in properties(stack)} == {rendered}
    assert account in parts


def test_images_are_found_by_tag_digest_and_id(stack: Stack) -> None:
    catalog = declare(stack, "repositories.yaml")

    preview = catalog.image("acme/agent", "preview")
    CfnOutput(stack, "Uri", value=catalog.image("acme/agent", "latest").image_uri)

    assert catalog.image("acme/agent", A) is catalog.image("acme/agent", "1.4")
    assert preview.node.id == "preview"
    assert [image.node.path for image in catalog.images] == [
        "Stack/Catalog/acme--agent/1.3.9",
        "Stack/Catalog/acme--agent/1.4.2",
        "Stack/Catalog/acme--agent/preview",
        "Stack/Catalog/acme--index/nightly",
    ]
    assert list(catalog.repositories) == ["acme/agent", "acme/index"]
    assert catalog.stacks == ()


@pytest.mark.parametrize(
    ("repository", "name", "said"),
    [
        ("acme/agents", "1", "Stack/Catalog: there is no repository 'acme/agents'; there are: acme/agent, acme/index"),
        ("acme/index", "1", "there is no image of 'acme/index' '1'; there are: nightly"),
    ],
)
def test_refuses_to_find_what_is_not_there(stack: Stack, repository: str, name: str, said: str) -> None:
    catalog = declare(stack, "repositories.yaml")

    with pytest.raises(ValueError, match=said):
        catalog.image(repository, name)


def test_the_order_of_a_file_means_nothing(tmp_path: Path) -> None:
    content = {f"image-{number}": {A: ["1.0.0", "1"], B: ["0.9"], C: []} for number in range(5)}
    backwards = {name: dict(reversed(dmap.items())) for name, dmap in reversed(content.items())}

    assert template(listed(tmp_path, content)) == template(listed(tmp_path, backwards))


def test_what_is_added_and_removed_changes_no_other_image(tmp_path: Path) -> None:
    content: Images = {
        "agent": {A: ["1.0.0", "1"], B: ["0.9"]},
        "sidecar": {A: ["1"]},
        "web": {A: []},
    }
    changed: Images = {"web": {A: []}, "proxy": {A: ["1"]}, "agent": {C: ["1.0.1"], A: ["1.0.0", "1"]}}

    before, after = images(template(listed(tmp_path, content))), images(template(listed(tmp_path, changed)))

    kept = before.keys() & after.keys()
    assert {(before[key]["RepositoryName"], *before[key].get("ImageTags", ())) for key in kept} == {
        ("agent", "1.0.0", "1"),
        ("web",),
    }
    assert all(before[key] == after[key] for key in kept)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({A: ["latest"]}, {B: ["latest"]}),
        ({A: ["1.4.2", "1.4"]}, {B: ["1.4.2", "1.4"]}),
        ({A: ["latest", "1.4", "1.4.2"]}, {B: ["1.4.2"]}),
        ({A: ["1.4.2"]}, {A: ["latest", "1.4.2", "1.4"]}),
    ],
)
def test_a_tag_that_moves_to_another_digest_is_one_update_in_place(
    tmp_path: Path, before: dict[str, list[str]], after: dict[str, list[str]]
) -> None:
    old, new = (images(template(listed(tmp_path, {"agent": dmap}))) for dmap in (before, after))

    assert old.keys() == new.keys()
    assert old != new


def test_a_release_adds_one_image_and_updates_one(tmp_path: Path) -> None:
    """The tags that move with each release do not name the image that they point to."""
    old = images(template(listed(tmp_path, {"agent": {A: ["1.4.2", "1.4", "latest"]}})))
    new = images(template(listed(tmp_path, {"agent": {A: ["1.4.2"], B: ["1.4.3", "1.4", "latest"]}})))

    (kept,) = old.keys() & new.keys()
    (added,) = new.keys() - old.keys()
    assert (old[kept]["Source"], new[kept]["ImageTags"]) == (new[kept]["Source"], ["1.4.2"])
    assert new[added]["ImageTags"] == ["1.4.3", "1.4", "latest"]


def test_logical_ids_never_change(tmp_path: Path) -> None:
    """They are deployed."""
    path = listed(tmp_path, {"tools/agent": {A: ["1.4.2", "latest"], B: []}})

    assert list(images(template(path))) == [
        "Catalogtoolsagent1420C555142",
        "Catalogtoolsagentsha256bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbC7FA22A3",
    ]


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


def test_repositories_are_spread_over_nested_stacks_each_with_a_function(tmp_path: Path, stack: Stack) -> None:
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


def test_a_nested_stack_without_images_is_not_made(tmp_path: Path, stack: Stack) -> None:
    catalog = PublicImageCatalog.from_file(stack, "Catalog", many(tmp_path, 1), destination=ACME, stacks=9)

    assert len(catalog.stacks) == 1


def test_another_repository_moves_none_from_one_nested_stack_to_another(tmp_path: Path) -> None:
    before, after = spread(many(tmp_path, 30), 4), spread(many(tmp_path, 31), 4)

    assert {name: after[name] for name in before} == before


def test_another_nested_stack_takes_repositories_but_moves_none_between_others(tmp_path: Path) -> None:
    before, after = spread(many(tmp_path, 30), 4), spread(many(tmp_path, 30), 5)

    assert {after[name] for name in before if after[name] != before[name]} == {"Part4"}


def test_an_attribute_of_an_image_in_a_nested_stack_is_at_hand(tmp_path: Path, stack: Stack) -> None:
    catalog = PublicImageCatalog.from_file(stack, "Catalog", many(tmp_path, 1), destination=ACME, stacks=1)
    CfnOutput(stack, "Uri", value=catalog.image("image-0", "1.0").image_uri)

    (output,) = Template.from_stack(stack).find_outputs("Uri").values()
    assert output["Value"]["Fn::GetAtt"][1].startswith("Outputs.StackCatalogPart0")


def test_the_function_of_each_stack_is_made_as_the_app_likes(tmp_path: Path, stack: Stack) -> None:
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


def test_refuses_a_tag_that_the_app_declares_too(tmp_path: Path, stack: Stack) -> None:
    path = many(tmp_path, 2)
    catalog = PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME)
    repository = catalog.repositories["image-1"]

    with pytest.raises(ValueError, match=r"tag '1\.0' of repository 'image-1' is declared by 'Stack/Catalog/image-1/1"):
        PublicImage(stack, "Own", repository=repository, source=ImageSource.digest(A), tags=["1.0"])


@pytest.mark.parametrize(
    ("repositories", "tags", "options", "said"),
    [
        (451, 1, {}, "Stack/Catalog: there are 451 images, and a stack takes 450; pass stacks=2, or more to leave"),
        (351, 1, {}, "there are 351 permissions on repositories, and a stack takes 350; pass stacks=2"),
        (176, 1, {"source": "ghcr.io/x"}, "there are 352 permissions on repositories"),
        (1, 451, {}, "repository 'image-0' alone has 451 images, and a stack takes 450; split its images over two"),
        (1000, 1, {"stacks": 2}, "one of 2 nested stacks would have"),
        (1, 1, {"stacks": 0}, "Stack/Catalog: stacks: 0; allowed are 1 to 100"),
        (1, 1, {"stacks": 101}, "Stack/Catalog: stacks: 101; allowed are 1 to 100"),
        (1, 1, {"registry_id": "A"}, "Stack/Catalog: registry_id: 'A' is not a registry"),
        (1, 1, {"registry_id": Token.as_string({"Ref": "X"})}, "has to be known at synthesis"),
        (1, 1, {"credentials": {"a/b": None}}, "Stack/Catalog: credentials: 'a/b' is not a registry host"),
        (1, 1, {"defaults": ImageSettings(platforms=("x",))}, "image-0/1.0: platforms[0]: 'x' is not a platform"),
    ],
)
def test_refuses_with_place_and_what_would_do(
    stack: Stack, tmp_path: Path, repositories: int, tags: int, options: dict[str, Any], said: str
) -> None:
    path = many(tmp_path, repositories, tags)

    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME, **options)

    assert said in str(failure.value)


def test_refuses_more_manifests_than_a_template_takes(tmp_path: Path, stack: Stack) -> None:
    base = json.loads((CATALOGS / "manifests/index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**base, "annotations": {"x": "x" * 10_000}}))
    entries = [{"manifest_file": "index.json", "tags": [f"a{number}"]} for number in range(100)]
    (tmp_path / "catalog.yaml").write_text(json.dumps({"repositories": {"ab": {"images": entries}}}))

    with pytest.raises(ValueError, match=r"repository 'ab' alone has 1\d{6} bytes of template, and a stack takes"):
        PublicImageCatalog.from_file(stack, "Catalog", tmp_path / "catalog.yaml")


def test_what_fits_by_our_count_fits_by_that_of_aws(tmp_path: Path) -> None:
    """As many permissions as a stack takes, and long names: quotas of IAM."""
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
    """Count a policy as IAM does, which ignores white space, with the values that stand for ``Ref``."""

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "Fn::Join" in value:
            return "".join(resolved(value["Fn::Join"][1]))
        return REFERENCES.get(value.get("Ref", "")) or {key: resolved(each) for key, each in value.items()}

    return len(json.dumps(resolved(document), separators=(",", ":")))


def test_says_how_to_install_what_reads_yaml(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cdk_ecrpublic.catalog.reader", "cdk_ecrpublic.catalog.nodes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ModuleNotFoundError, match=r'yaml is not installed.*; run: pip install "cdk-ecrpublic\[cat'):
        declare(stack, "promoter.yaml")
