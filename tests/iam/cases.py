"""Each kind of source and each option that changes the role, with the purpose of each action of the role."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager

from cdk_ecrpublic import (
    IImageSource,
    ImageSource,
    OnTagRemoved,
    PublicImage,
    PublicImageProvider,
    PublicRepository,
    ReleaseRule,
    RequiredSignature,
    Signing,
)

from .conftest import ARCHIVE, IMAGE, OTHER_ACCOUNT, TAGS, Aws
from .keys import new_key, new_profile, sign_with_key
from .rendering import ACCOUNT, REGION, Rendered, new_stack, render


class Without(Enum):
    """What happens when an action is removed from the role."""

    DENIED = "the deployment fails and names the action"
    DENIED_OVER_HTTP = "the registry denies a request; the hint names the action"
    DENIED_LOGIN = "the login fails, and the service's own words name the action"
    ANONYMOUS = "manifests are read anonymously"
    LOGGED = "the deployment goes on, and the log names the action"
    NOTHING = "nothing that this deployment shows; beside the action is said why"


DENIED, DENIED_OVER_HTTP, DENIED_LOGIN, ANONYMOUS, LOGGED, NOTHING = Without

Actions = Mapping[str, Without]

LOG = {"logs:CreateLogStream": NOTHING, "logs:PutLogEvents": NOTHING}
"""Lambda itself writes the log."""

PUBLISH = {f"ecr-public:{name}": DENIED for name in ("DescribeImages", "DescribeRepositories", "PutImage")}
LOGIN = {"ecr-public:GetAuthorizationToken": DENIED, "sts:GetServiceBearerToken": DENIED_LOGIN}
COPY = {
    "ecr-public:BatchCheckLayerAvailability": DENIED,
    **{f"ecr-public:{name}LayerUpload": DENIED_OVER_HTTP for name in ("Complete", "Initiate")},
    "ecr-public:UploadLayerPart": DENIED_OVER_HTTP,
    **LOGIN,
}
READ = {"ecr-public:GetAuthorizationToken": ANONYMOUS, "sts:GetServiceBearerToken": ANONYMOUS}
LOGIN_FOR_READING = dict.fromkeys(READ, NOTHING)
"""Lists of referrers and tags are read anonymously, too."""

ALIAS = {"ecr-public:DescribeRegistries": DENIED}
CHECK = {"ecr-public:BatchCheckLayerAvailability": DENIED}
OBJECT = {"s3:GetObject": DENIED}
KEY = {"kms:Decrypt": NOTHING}
"""S3 asks for it in the role's name, which the sandbox does not."""

RECORDS = {
    **{f"ssm:{name}Parameter": NOTHING for name in ("Delete", "Get", "Put")},
    "ssm:GetParametersByPath": NOTHING,
    **{f"cloudformation:Describe{name}": NOTHING for name in ("StackEvents", "StackResource", "Stacks")},
}
"""Every role has them: any image may take a tag over. The usual release does not call them."""

STATE = {"ssm:GetParameter": LOGGED, "ssm:PutParameter": LOGGED}
"""The image is published all the same, and the log says what could not be remembered."""

REMOVAL = {"ecr-public:BatchDeleteImage": DENIED}
SECRET = {
    "secretsmanager:GetSecretValue": DENIED,
    # Part of the CDK's grant_read, which also covers encryption keys and ARNs without their last six characters.
    "secretsmanager:DescribeSecret": NOTHING,
}
PRIVATE = {
    "ecr:GetAuthorizationToken": DENIED,
    "ecr:BatchGetImage": DENIED_OVER_HTTP,
    "ecr:GetDownloadUrlForLayer": DENIED_OVER_HTTP,
}
SCANS = {"ecr:DescribeImageScanFindings": DENIED}
INSPECTOR = {"inspector2:ListCoverage": NOTHING, "inspector2:ListFindings": NOTHING}
"""Private ECR asks for them in the role's name if Amazon Inspector scans the repository, which the sandbox does not."""

VPC = {
    f"ec2:{name}": NOTHING
    for name in (
        "AssignPrivateIpAddresses",
        "CreateNetworkInterface",
        "DeleteNetworkInterface",
        "DescribeNetworkInterfaces",
        "DescribeSubnets",
        "UnassignPrivateIpAddresses",
    )
}
"""Lambda itself attaches the function to its network."""

LARGE = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
        "annotations": {"org.opencontainers.image.description": "larger than 16 KiB " * 1000},
    }
)


@dataclass(frozen=True, eq=False)
class Case:
    """
    A declared image, and the role that it needs.

    Attributes:
        source: Creates the source.
        actions: The actions of the role in addition to those that it always has.
        repository: The repository that it is published to.
        options: Options of ``PublicImage``.
        signing: Creates more options, with keys and profiles of the account.
        of_stack: Prepares the stack.
        stored: The content of the S3 object.
    """

    source: Callable[[Stack, Aws], IImageSource]
    actions: Actions
    repository: str = "acme/agent"
    options: Mapping[str, Any] = field(default_factory=dict)
    signing: Callable[[Stack, Aws], Mapping[str, Any]] = lambda _stack, _aws: {}
    of_stack: Callable[[Stack], object] = lambda _stack: None
    stored: bytes = b""

    def render(self, aws: Aws) -> Rendered:
        """Synthesize it once, and upload its asset as ``cdk deploy`` does."""
        if self not in aws.rendered:
            aws.rendered[self] = self._render(aws)
        return aws.rendered[self]

    def _render(self, aws: Aws) -> Rendered:
        stack = new_stack()
        self.of_stack(stack)
        options = {"tags": list(TAGS), **self.options, **self.signing(stack, aws)}
        repository = _repository(stack, aws, self.repository)
        PublicImage(stack, "Image", repository=repository, source=self.source(stack, aws), **options)
        rendered = render(stack, aws.stack_id)
        for place in rendered.properties["Source"].values():
            if "Bucket" in place:
                client = aws.sandbox.client("s3")
                client.create_bucket(Bucket=place["Bucket"])
                client.put_object(Bucket=place["Bucket"], Key=place["Key"], Body=self.stored)
        return rendered


def _repository(stack: Stack, aws: Aws, name: str) -> Any:
    if name == "acme/agent by alias":
        alias = aws.uri("acme/agent").split("/")[1]
        return PublicRepository.from_repository_name(stack, "Repository", "acme/agent", registry_id=alias)
    if name == "theirs/shared":
        theirs = aws.sandbox.client("ecr-public", aws_access_key_id=OTHER_ACCOUNT)
        alias = theirs.describe_registries()["registries"][0]["aliases"][0]["name"]
        arn = f"arn:aws:ecr-public::{OTHER_ACCOUNT}:repository/{name}"
        return PublicRepository.from_repository_arn(stack, "Repository", arn, registry_alias=alias)
    return PublicRepository.from_repository_name(stack, "Repository", name)


def _digest(_stack: Stack, _aws: Aws) -> IImageSource:
    return ImageSource.digest(IMAGE.digest)


def _registry(stack: Stack, aws: Aws) -> IImageSource:
    secret = secretsmanager.Secret.from_secret_complete_arn(stack, "Secret", aws.secret)
    return ImageSource.registry(f"{aws.uri('up/stream')}:1", credentials=secret)


def _public(_stack: Stack, aws: Aws) -> IImageSource:
    return ImageSource.public(aws.uri("up/stream"), tag="1")


def _private(stack: Stack, _aws: Aws) -> IImageSource:
    return ImageSource.ecr(ecr.Repository.from_repository_name(stack, "Private", "private/app"), digest=IMAGE.digest)


def _archive(_stack: Stack, aws: Aws) -> IImageSource:
    return ImageSource.archive(aws.archive)


def _object(stack: Stack, _aws: Aws) -> IImageSource:
    key = kms.Key.from_key_arn(stack, "Key", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{uuid.UUID(int=1)}")
    bucket = s3.Bucket.from_bucket_attributes(stack, "Bucket", bucket_name="archives", encryption_key=key)
    return ImageSource.archive_object(bucket, "builds/image.tar")


def _index(stack: Stack, aws: Aws) -> IImageSource:
    return ImageSource.index(
        {
            "linux/amd64": _private(stack, aws),
            "linux/arm64": ImageSource.public(aws.uri("up/stream"), digest=IMAGE.digest),
        }
    )


def _in_a_network(stack: Stack) -> None:
    vpc = ec2.Vpc.from_vpc_attributes(
        stack, "Vpc", vpc_id="vpc-1", availability_zones=["us-east-1a"], private_subnet_ids=["subnet-1"]
    )
    PublicImageProvider(stack, "Provider", vpc=vpc)


def _sign_with_kms(stack: Stack, aws: Aws) -> Mapping[str, Any]:
    return {"sign_with": Signing.kms(kms.Key.from_key_arn(stack, "Key", new_key(aws)))}


def _sign_with_signer(_: Stack, aws: Aws) -> Mapping[str, Any]:
    return {"sign_with": Signing.signer_profile(new_profile(aws))}


def _require_kms(stack: Stack, aws: Aws) -> Mapping[str, Any]:
    key = new_key(aws)
    sign_with_key(aws, "up/stream", key)
    required = RequiredSignature.kms(kms.Key.from_key_arn(stack, "Key", key))
    return {"rules": [ReleaseRule.required_signatures([required])]}


def _require_managed(_: Stack, aws: Aws) -> Mapping[str, Any]:
    profile = new_profile(aws)
    rules = {"rules": [{"signingProfileArn": profile}]}
    aws.sandbox.client("ecr").put_signing_configuration(signingConfiguration=rules)
    return {"rules": [ReleaseRule.required_signatures([RequiredSignature.ecr_managed(profile)])]}


CASES: Mapping[str, Case] = {
    "digest": Case(_digest, {**PUBLISH, **READ}),
    "tag": Case(lambda *_: ImageSource.tag("build"), {**PUBLISH, **READ, **STATE}),
    "manifest": Case(lambda *_: ImageSource.manifest(IMAGE.manifest.decode()), PUBLISH),
    "manifest of an image": Case(
        lambda *_: ImageSource.manifest(IMAGE.children[0].manifest.decode() + "\n"), {**PUBLISH, **CHECK}
    ),
    "manifest in S3": Case(lambda *_: ImageSource.manifest(LARGE), {**PUBLISH, **OBJECT}, stored=LARGE.encode()),
    "registry": Case(_registry, {**PUBLISH, **COPY, **SECRET, **STATE}, repository="acme/copy"),
    "public": Case(_public, {**PUBLISH, **COPY, **STATE}, repository="acme/copy"),
    "private ECR": Case(_private, {**PUBLISH, **COPY, **PRIVATE}, repository="acme/copy"),
    "archive": Case(_archive, {**PUBLISH, **COPY, **OBJECT}, repository="acme/copy", stored=ARCHIVE),
    "archive in S3": Case(
        _object,
        {**PUBLISH, **COPY, **OBJECT, **KEY, **STATE},
        repository="acme/copy",
        stored=ARCHIVE,
    ),
    "index": Case(_index, {**PUBLISH, **COPY, **PRIVATE}, repository="acme/copy"),
    "platforms, referrers and refresh": Case(
        lambda _, aws: ImageSource.public(aws.uri("up/stream"), digest=IMAGE.digest),
        {**PUBLISH, **COPY},
        repository="acme/copy",
        options={
            "platforms": ["linux/arm64"],
            "required_platforms": ["linux/arm64"],
            "include_referrers": True,
            "refresh": "again",
        },
    ),
    "no tags": Case(lambda *_: ImageSource.manifest(IMAGE.manifest.decode() + "\n"), PUBLISH, options={"tags": []}),
    "immutable tags": Case(_digest, {**PUBLISH, **READ}, options={"immutable_tags": ["1.*"]}),
    "required referrers": Case(
        lambda *_: ImageSource.manifest(IMAGE.manifest.decode()),
        {**PUBLISH, **LOGIN_FOR_READING},
        options={"rules": [ReleaseRule.required_referrers(["sbom"], warn_only=True)]},
    ),
    "scan findings": Case(
        _private,
        {**PUBLISH, **COPY, **PRIVATE, **SCANS},
        repository="acme/copy",
        options={"rules": [ReleaseRule.scan_findings("NONE")]},
    ),
    "scan findings of Inspector, of an index": Case(
        _index,
        {**PUBLISH, **COPY, **PRIVATE, **SCANS, **INSPECTOR},
        repository="acme/copy",
        options={"rules": [ReleaseRule.scan_findings("HIGH", inspector=True)]},
    ),
    "removal": Case(
        _digest,
        {**PUBLISH, **READ, **STATE, **REMOVAL},
        options={"on_tag_removed": OnTagRemoved.UNTAG, "removal_policy": RemovalPolicy.DESTROY},
    ),
    "registry by its alias": Case(_digest, {**PUBLISH, **READ, **ALIAS}, repository="acme/agent by alias"),
    "another account": Case(
        _digest,
        # The control-plane API cannot read repositories of other accounts, so the registry API is used.
        {**PUBLISH, **READ, **ALIAS, "ecr-public:DescribeImages": NOTHING, "ecr-public:DescribeRepositories": NOTHING},
        repository="theirs/shared",
    ),
    "signed with KMS": Case(
        _digest,
        # kms:Verify shows whether the key has already signed, which a new image does not need.
        {**PUBLISH, **COPY, "kms:GetPublicKey": DENIED, "kms:Sign": DENIED, "kms:Verify": NOTHING},
        signing=_sign_with_kms,
    ),
    "signed with AWS Signer": Case(
        _digest, {**PUBLISH, **COPY, "signer:SignPayload": DENIED}, signing=_sign_with_signer
    ),
    "a signature of KMS is required": Case(
        lambda _, aws: ImageSource.public(aws.uri("up/stream"), digest=IMAGE.digest),
        {**PUBLISH, **COPY, "kms:GetPublicKey": DENIED, "kms:Verify": DENIED},
        repository="acme/copy",
        signing=_require_kms,
    ),
    "managed signing is required": Case(
        _private,
        {**PUBLISH, **COPY, **PRIVATE, "ecr:DescribeImageSigningStatus": DENIED},
        repository="acme/copy",
        signing=_require_managed,
    ),
    "in a network": Case(_digest, {**PUBLISH, **READ, **VPC}, of_stack=_in_a_network),
}
