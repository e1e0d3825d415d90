"""Requests that no client sends, reads of the account, and reads that fail."""

from __future__ import annotations

from datetime import UTC, datetime

from cdk_ecrpublic.live_check.case import case
from cdk_ecrpublic.live_check.images import LAYER, image
from cdk_ecrpublic.live_check.target import Target

_API = "SpencerFrontendService"
HALF_HOUR = 1800


@case(
    fidelity=("`DescribeRegistries`", "`DescribeRepositories`"), settings=("alias",), handler=("ecr_public.location",)
)
def describe_registry(target: Target) -> None:
    """What does the account's registry look like, and a repository in it?"""
    target.repository()
    aliases = target.session.aliases()
    for alias in aliases:
        target.name(alias["name"], "alias")
    target.observe("the aliases", [{**alias, "name": "<alias>"} for alias in aliases])
    target.api("DescribeRepositories", repositoryNames=[target.repository()])
    target.api("DescribeRepositories", repositoryNames=[target.missing_repository()])


@case(fidelity=("`GetAuthorizationToken`",), settings=("password_ttl_seconds",), handler=("registry.logins",))
def get_authorization_token(target: Target) -> None:
    """How long is a password valid, and for whom?"""
    target.session.forget_logins()
    data = target.session.api("GetAuthorizationToken")["authorizationData"]
    left = (data["expiresAt"] - datetime.now(UTC)).total_seconds()
    target.observe("the password is valid for half hours", round(left / HALF_HOUR))


@case(fidelity=("another Region",), settings=("region",))
def call_another_region(target: Target) -> None:
    """What is said in the other Region that has an endpoint?"""
    target.api("GetAuthorizationToken")
    target.api("GetAuthorizationToken", region="us-west-2")
    target.api("DescribeRegistries", region="us-west-2")
    target.api("PutImage", region="us-west-2", imageManifest=image("one").text, imageTag="a")


@case(
    fidelity=(
        "any other `X-Amz-Target`",
        "another signing name, no signature",
        "unknown members, wrong types",
        "an alias where an account id is required",
    )
)
def send_malformed_requests(target: Target) -> None:
    """What is said about unknown operations and members, wrong types, another signing name and no signature?"""
    name = {"repositoryName": target.repository()}
    target.raw_api(f"{_API}.BatchGetImage", name, "an operation of private ECR")
    target.raw_api(f"{_API}.DescribeImages", {**name, "unknown": 1}, "an unknown member")
    target.raw_api(f"{_API}.DescribeImages", {**name, "maxResults": "ten"}, "a wrong type")
    target.raw_api(f"{_API}.DescribeImages", {**name, "maxResults": 0}, "a number that is too small")
    target.raw_api(f"{_API}.PutImage", name, "a member is missing")
    target.raw_api(f"{_API}.DescribeImages", name, "another signing name", signed_for="ecr")
    target.raw_api(f"{_API}.DescribeImages", name, "no signature", signed_for="")
    alias = target.session.guard.alias
    target.raw_api(f"{_API}.DescribeImages", {**name, "registryId": alias}, "an alias for DescribeImages")
    target.raw_api(f"{_API}.PutImage", {**name, "registryId": alias, "imageManifest": "{"}, "an alias for PutImage")


@case(
    fidelity=("`DescribeImages`", "`DescribeImageTags`"),
    handler=("ecr_public.repository.EcrPublicRepository.resolve", "retention.service"),
)
def describe_images(target: Target) -> None:
    """What do the descriptions say, in pages, and if something does not exist?"""
    one, other = image("one"), image("other")
    target.put(one, "a")
    target.put(other)
    target.describe(one, other, tags=("a",))
    target.describe(one, tags=("missing",))
    target.api("DescribeImages", imageIds=[{}])
    target.api("DescribeImages", imageIds=[{"imageDigest": one.digest, "imageTag": "a"}], note="both")
    target.api("DescribeImages", imageIds=[{"imageDigest": other.digest, "imageTag": "a"}], note="not the same")
    target.api("DescribeImages", imageIds=[{"imageTag": "a"}], maxResults=1)
    for size in (1, 1000, 1001):
        page = target.api("DescribeImages", maxResults=size)
        target.observe(f"there is a further page after {size}", "nextToken" in page.data)
    target.api("DescribeImages", nextToken="nonsense")
    target.api("DescribeImageTags", nextToken="nonsense")


@case(fidelity=("`BatchCheckLayerAvailability`",), handler=("ecr_public.repository.EcrPublicRepository.blob_sizes",))
def check_layers(target: Target) -> None:
    """Which layers are available: those of this repository, or of any?"""
    here, there = target.upload(LAYER), target.upload(b"in another repository", "other")
    target.name(here, "layer here")
    target.name(there, "layer of another repository")
    target.api("BatchCheckLayerAvailability", layerDigests=[here, there, f"sha256:{2:064}"])
    target.api("BatchCheckLayerAvailability", layerDigests=["nonsense"])


@case(
    fidelity=(
        "`CreateRepository`",
        "`GetRepositoryPolicy`, `SetRepositoryPolicy`, `DeleteRepositoryPolicy`",
        "`GetRepositoryCatalogData`, `PutRepositoryCatalogData`",
        "`TagResource`, `UntagResource`, `ListTagsForResource`",
    )
)
def read_what_is_not_there(target: Target) -> None:
    """What is said about a policy and catalog data that were never set, and about an existing repository?"""
    target.api("GetRepositoryPolicy")
    target.api("DeleteRepositoryPolicy")
    target.api("GetRepositoryCatalogData")
    target.api("SetRepositoryPolicy", policyText="{")
    target.api("CreateRepository", repositoryName=target.repository())
