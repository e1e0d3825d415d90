"""The images that a catalog renders, with their ids and stacks."""

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

from cdk_ecrpublic import ImageSettings, ImageSource, PublicImage, PublicImageCatalog

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
    """Write a bare list of images, with digests and tags by name. It is JSON, which is also YAML."""
    path = folder / "images.yaml"
    path.write_text(json.dumps([{"name": name, "dmap": dmap} for name, dmap in images.items()]))
    return path


def template(path: Path, **options: Any) -> dict[str, Any]:
    """Synthesize a bare list of images in a new stack."""
    stack = Stack(App(), "Stack")
    PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME, **options)
    return dict(Template.from_stack(stack).to_json())


def images(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the properties of the images in a template, by logical id."""
    return {key: value["Properties"] for key, value in found["Resources"].items() if value["Type"] == IMAGE}


def properties(stack: Stack) -> list[dict[str, Any]]:
    """Return the properties of the images in a stack, without those about the function."""
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


def test_existing_images_are_only_tagged(stack: Stack) -> None:
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


def test_private_ecr_sources_grant_exactly_that_repository(stack: Stack) -> None:
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


def test_imports_a_repository_of_private_ecr_once(tmp_path: Path, stack: Stack) -> None:
    source = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/agent"
    entries = [{"source": f"{source}@{digest}", "tags": [digest[-1]]} for digest in (A, B)]
    (tmp_path / "catalog.yaml").write_text(json.dumps({"repositories": {"ab": {"images": entries}}}))

    PublicImageCatalog.from_file(stack, "Catalog", tmp_path / "catalog.yaml")

    found = [str(each["Source"]) for each in properties(stack)]
    assert [digest in source for digest, source in zip((A, B), found, strict=True)] == [True, True]


def test_reads_another_public_repository_with_a_login(stack: Stack) -> None:
    declare(stack, "images.yaml", source="public.ecr.aws/other/x", destination=ACME)

    policy = Template.from_stack(stack).find_resources("AWS::IAM::Policy")["ECRPublicImageHandlerPolicy"]
    assert properties(stack)[0]["Source"] == {"Image": {"Reference": f"public.ecr.aws/other/x/agent@{A}"}}
    assert "sts:GetServiceBearerToken" in json.dumps(policy)


def test_a_part_of_a_file_is_rendered_as_in_the_whole_file(tmp_path: Path) -> None:
    path = listed(tmp_path, {"agent": {A: ["1.0.0", "latest"], B: []}, "web": {C: ["2"]}})

    whole, part = images(template(path)), images(template(path, only=["agent:1.*", "web"]))

    assert set(part) < set(whole)
    assert sorted(each.get("ImageTags", []) for each in part.values()) == [["1.0.0"], ["2"]]


def test_credentials_are_used_only_for_their_host(stack: Stack) -> None:
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
        (
            {"only": "agent"},
            "Stack/Catalog: only: 'agent' is a str; expected a list of patterns, e.g. ['agent'",
        ),
        ({"only": []}, "Stack/Catalog: only: is empty, which selects nothing; add a pattern, or omit it"),
        ({"only": ["agent@sha256:0"]}, "Stack/Catalog: only[0]: 'agent@sha256:0' is not a pattern; expected <name> or"),
        ({"only": [Token.as_string({"Ref": "N"})]}, "Stack/Catalog: only: must be known at synthesis"),
        ({"stacks": "4"}, "Stack/Catalog: stacks: '4' is a str; expected an integer from 1 to 100"),
        ({"stacks": Token.as_number({"Ref": "N"})}, "Stack/Catalog: stacks: must be known at synthesis"),
        ({"make_provider": lambda _: None}, "Stack/Catalog: make_provider(): None; expected a PublicImageProvider"),
    ],
    ids=[
        "credentials",
        "defaults",
        "a setting",
        *(f"only {n}" for n in range(4)),
        "stacks",
        "a token",
        "make_provider",
    ],
)
def test_refuses_an_option_of_the_wrong_type(stack: Stack, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        declare(stack, "repositories.yaml", **options)

    assert said in str(failure.value)


@pytest.mark.parametrize("host", ["gchr.io", "public.ecr.aws", "111122223333.dkr.ecr.eu-west-1.amazonaws.com"])
def test_warns_about_unused_credentials(stack: Stack, host: str) -> None:
    secret = secretsmanager.Secret(stack, "Secret")

    declare(stack, "repositories.yaml", credentials={"ghcr.io": secret, host: secret})

    what = f"credentials for {host} are not used; hosts that may need credentials: ghcr.io"
    assert [text for text in warnings(stack) if "unusedCredentials" in text] == [
        f"{what} [ack: @cdk-ecrpublic:unusedCredentials]"
    ]


def test_does_not_warn_about_used_credentials(stack: Stack) -> None:
    declare(stack, "repositories.yaml", credentials={"ghcr.io": secretsmanager.Secret(stack, "Secret")})

    assert [text for text in warnings(stack) if "unusedCredentials" in text] == []


@pytest.mark.parametrize("given", ["user:password", {"ghcr.io": "user:password"}, {("user", "password"): "x"}])
def test_the_error_does_not_repeat_credentials_that_are_not_a_secret(stack: Stack, given: object) -> None:
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
def test_a_registry_of_another_account_is_rendered_with_its_id(
    stack: Stack, registry_id: str | None, rendered: str, account: object
) -> None:
    """The function finds the registry by the alias in the file, but ARNs need the account."""
    declare(stack, "images.yaml", destination=ACME, registry_id=registry_id)

    policy = Template.from_stack(stack).find_resources("AWS::IAM::Policy")["ECRPublicImageHandlerPolicy"]
    (publish,) = [
        each for each in policy["Properties"]["PolicyDocument"]["Statement"] if "ecr-public:PutImage" in each["Action"]
    ]
    resource = publish["Resource"][0]
    parts = resource["Fn::Join"][1] if isinstance(resource, dict) else resource.split(":")
    assert {each["RegistryId"] for each in properties(stack)} == {rendered}
    assert account in parts


def test_finds_images_by_tag_digest_and_id(stack: Stack) -> None:
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
def test_refuses_to_find_missing_images(stack: Stack, repository: str, name: str, said: str) -> None:
    catalog = declare(stack, "repositories.yaml")

    with pytest.raises(ValueError, match=said):
        catalog.image(repository, name)


def test_the_order_of_a_file_does_not_matter(tmp_path: Path) -> None:
    content = {f"image-{number}": {A: ["1.0.0", "1"], B: ["0.9"], C: []} for number in range(5)}
    backwards = {name: dict(reversed(dmap.items())) for name, dmap in reversed(content.items())}

    assert template(listed(tmp_path, content)) == template(listed(tmp_path, backwards))


def test_adding_and_removing_images_changes_no_other_image(tmp_path: Path) -> None:
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
def test_moving_a_tag_to_another_digest_is_one_update_in_place(
    tmp_path: Path, before: dict[str, list[str]], after: dict[str, list[str]]
) -> None:
    old, new = (images(template(listed(tmp_path, {"agent": dmap}))) for dmap in (before, after))

    assert old.keys() == new.keys()
    assert old != new


def test_a_release_adds_one_image_and_updates_one(tmp_path: Path) -> None:
    """Logical ids do not contain the tags that move with each release."""
    old = images(template(listed(tmp_path, {"agent": {A: ["1.4.2", "1.4", "latest"]}})))
    new = images(template(listed(tmp_path, {"agent": {A: ["1.4.2"], B: ["1.4.3", "1.4", "latest"]}})))

    (kept,) = old.keys() & new.keys()
    (added,) = new.keys() - old.keys()
    assert (old[kept]["Source"], new[kept]["ImageTags"]) == (new[kept]["Source"], ["1.4.2"])
    assert new[added]["ImageTags"] == ["1.4.3", "1.4", "latest"]


def test_logical_ids_never_change(tmp_path: Path) -> None:
    """Deployed stacks depend on them."""
    path = listed(tmp_path, {"tools/agent": {A: ["1.4.2", "latest"], B: []}})

    assert list(images(template(path))) == [
        "Catalogtoolsagent1420C555142",
        "Catalogtoolsagentsha256bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbC7FA22A3",
    ]


def test_refuses_a_tag_that_the_app_also_declares(tmp_path: Path, stack: Stack) -> None:
    path = listed(tmp_path, {"image-0": {A: ["1.0"]}, "image-1": {B: ["1.0"]}})
    catalog = PublicImageCatalog.from_file(stack, "Catalog", path, destination=ACME)
    repository = catalog.repositories["image-1"]

    with pytest.raises(
        ValueError, match=r"tag '1\.0' of repository 'image-1' is already declared by 'Stack/Catalog/image-1/1"
    ):
        PublicImage(stack, "Own", repository=repository, source=ImageSource.digest(A), tags=["1.0"])


def test_says_how_to_install_the_yaml_reader(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cdk_ecrpublic.catalog.reader", "cdk_ecrpublic.catalog.nodes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ModuleNotFoundError, match=r'yaml is not installed.*; run: pip install "cdk-ecrpublic\[cat'):
        declare(stack, "promoter.yaml")
