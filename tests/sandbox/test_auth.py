"""``--auth``: IAM policies apply to ECR Public as to the rest of AWS."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import build_image, push

from .conftest import REPOSITORY, Api, make_api

ARN = f"arn:aws:ecr-public::123456789012:repository/{REPOSITORY}"
REGISTRY_ARN = "arn:aws:ecr-public::123456789012:registry/123456789012"


@pytest.fixture(scope="module")
def guarded() -> Iterator[SandboxProcess]:
    with SandboxProcess(options=["--auth"]) as process:
        yield process


@pytest.fixture
def aws(guarded: SandboxProcess) -> SandboxProcess:
    guarded.reset()
    guarded.client("ecr-public").create_repository(repositoryName=REPOSITORY)
    return guarded


def allow(*actions: str, on: str, **more: object) -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def document(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def as_role(aws: SandboxProcess, *statements: Mapping[str, object]) -> Api:
    """Return the API with the credentials of a new role that has these statements."""
    return make_api(aws, **keys_of_role(aws, *statements))


def keys_of_role(aws: SandboxProcess, *statements: Mapping[str, object]) -> dict[str, str]:
    """Return the keys of a session of a new role that has these statements."""
    name = f"role-{uuid.uuid4().hex[:8]}"
    trusted = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": aws.account}}
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document(trusted))["Role"]["Arn"]
    if statements:
        aws.client("iam").put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
    return keys_of_session(aws, role)


def keys_of_session(aws: SandboxProcess, role: str) -> dict[str, str]:
    session = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }


def denial(api: Api, operation: str, **arguments: Any) -> str:
    """Call an operation that IAM must deny; return the text after the caller's name."""
    refused = api.refusal(operation, **arguments)
    assert (refused.code, refused.status) == ("AccessDeniedException", 400)
    user, _, rest = refused.message.partition(" is not authorized to perform: ")
    assert user.startswith("User: arn:aws:sts::123456789012:assumed-role/role-")
    assert user.endswith("/test")
    return rest


def test_a_role_without_policies_may_do_nothing(aws: SandboxProcess) -> None:
    api = as_role(aws)

    assert denial(api, "describe_images", repositoryName=REPOSITORY) == (
        f"ecr-public:DescribeImages on resource: {ARN} "
        "because no identity-based policy allows the ecr-public:DescribeImages action"
    )


@pytest.mark.parametrize(
    ("operation", "arguments", "action", "resource"),
    [
        ("describe_repositories", {}, "DescribeRepositories", ARN.replace(REPOSITORY, "*")),
        ("describe_repositories", {"repositoryNames": [REPOSITORY]}, "DescribeRepositories", ARN),
        ("create_repository", {"repositoryName": "new"}, "CreateRepository", ARN.replace(REPOSITORY, "new")),
        ("describe_registries", {}, "DescribeRegistries", REGISTRY_ARN),
        ("get_registry_catalog_data", {}, "GetRegistryCatalogData", REGISTRY_ARN),
        ("list_tags_for_resource", {"resourceArn": ARN}, "ListTagsForResource", ARN),
        ("get_authorization_token", {}, "GetAuthorizationToken", "*"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_operation_needs_its_action_on_its_resource(
    aws: SandboxProcess, operation: str, arguments: dict[str, Any], action: str, resource: str
) -> None:
    name = f"ecr-public:{action}"

    assert denial(as_role(aws), operation, **arguments).startswith(f"{name} on resource: {resource} because")
    granted = allow(name, on=resource), allow("sts:GetServiceBearerToken", on="*")
    assert getattr(as_role(aws, *granted), operation)(**arguments)


def test_the_alias_of_a_registry_stands_for_its_account(aws: SandboxProcess) -> None:
    (registry,) = aws.client("ecr-public").describe_registries()["registries"]
    named = {"registryId": registry["aliases"][0]["name"], "repositoryName": REPOSITORY}

    text = denial(as_role(aws), "initiate_layer_upload", **named)

    assert text.startswith(f"ecr-public:InitiateLayerUpload on resource: {ARN} because")


def test_a_password_also_needs_the_bearer_token_of_sts(aws: SandboxProcess) -> None:
    condition = {"StringEquals": {"sts:AWSServiceName": "ecr-public.amazonaws.com"}}
    login = allow("ecr-public:GetAuthorizationToken", on="*")
    bearer = allow("sts:GetServiceBearerToken", on="*", Condition=condition)

    text = denial(as_role(aws, login), "get_authorization_token")

    assert text.startswith("sts:GetServiceBearerToken on resource: * because")
    assert as_role(aws, login, bearer).get_authorization_token()["authorizationData"]["authorizationToken"]


def test_a_deny_statement_wins(aws: SandboxProcess) -> None:
    everything = allow("ecr-public:*", on="*")
    api = as_role(aws, everything, {**allow("ecr-public:Delete*", on=ARN), "Effect": "Deny"})

    text = denial(api, "delete_repository", repositoryName=REPOSITORY)

    assert text == f"ecr-public:DeleteRepository on resource: {ARN} with an explicit deny in an identity-based policy"
    assert api.describe_images(repositoryName=REPOSITORY)["imageDetails"] == []


def test_managed_policies_and_permissions_boundaries_apply(aws: SandboxProcess) -> None:
    iam, name = aws.client("iam"), f"role-{uuid.uuid4().hex[:8]}"
    policies = {
        action: iam.create_policy(
            PolicyName=f"{name}-{action}", PolicyDocument=document(allow(f"ecr-public:{action}", on=ARN))
        )["Policy"]["Arn"]
        for action in ("DescribeImages", "DescribeImageTags")
    }
    trusted = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": aws.account}}
    role = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=document(trusted),
        PermissionsBoundary=policies["DescribeImages"],
    )["Role"]["Arn"]
    for arn in policies.values():
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)

    api = make_api(aws, **keys_of_session(aws, role))

    assert api.describe_images(repositoryName=REPOSITORY)["imageDetails"] == []
    assert denial(api, "describe_image_tags", repositoryName=REPOSITORY)


def test_a_user_is_identified_by_its_access_key(aws: SandboxProcess) -> None:
    iam, name = aws.client("iam"), f"user-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    api = make_api(aws, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    refused = api.refusal("describe_images", repositoryName=REPOSITORY)

    assert refused.message.startswith(f"User: arn:aws:iam::123456789012:user/{name} is not authorized")
    iam.put_user_policy(
        UserName=name, PolicyName="inline", PolicyDocument=document(allow("ecr-public:DescribeImages", on=ARN))
    )
    assert api.describe_images(repositoryName=REPOSITORY)["imageDetails"] == []


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_access_key_id": "AKIANOBODYKNOWSTHISO"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "another"}, "InvalidSignatureException"),
        ({"aws_session_token": ""}, "UnrecognizedClientException"),
        ({"aws_session_token": "another"}, "UnrecognizedClientException"),
    ],
    ids=["unknown key", "wrong secret", "no token", "wrong token"],
)
def test_refuses_callers_with_invalid_credentials(aws: SandboxProcess, keys: dict[str, str], code: str) -> None:
    refused = make_api(aws, **{**keys_of_role(aws), **keys}).refusal("describe_registries")

    assert (refused.code, refused.status) == (code, 400)


def test_the_credentials_of_the_sandbox_may_do_everything(aws: SandboxProcess) -> None:
    api = make_api(aws)

    assert api.describe_registries()["registries"][0]["registryId"] == aws.account
    assert api.delete_repository(repositoryName=REPOSITORY)


@pytest.fixture
def private(aws: SandboxProcess) -> Iterator[str]:
    """``private/app:1`` in private ECR; its ARN."""
    client = aws.client("ecr")
    arn: str = client.create_repository(repositoryName="private/app")["repository"]["repositoryArn"]
    push(f"{aws.registry_host}/private/app", build_image({"a": b"1"}), ["1"], login=private_login(aws))
    yield arn
    client.delete_repository(repositoryName="private/app", force=True)


def private_login(aws: SandboxProcess, **keys: str) -> str:
    data = aws.client("ecr", **keys).get_authorization_token()["authorizationData"][0]
    return base64.b64decode(data["authorizationToken"]).decode()


def get(aws: SandboxProcess, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", f"{aws.url}/v2/private/app/{path}", headers=headers, retries=False)


@pytest.mark.parametrize("login", [None, "AWS:ministack-auth-token", "AWS:nonsense"])
def test_private_ecr_shows_nothing_without_a_login(aws: SandboxProcess, private: str, login: str | None) -> None:
    assert private
    answer = get(aws, "manifests/1", **(urllib3.make_headers(basic_auth=login) if login else {}))

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="')


@pytest.mark.parametrize(
    ("action", "path"), [("BatchGetImage", "manifests/1"), ("GetDownloadUrlForLayer", "blobs/{blob}")]
)
def test_the_registry_of_private_ecr_needs_the_permissions_of_its_api(
    aws: SandboxProcess, private: str, action: str, path: str
) -> None:
    path = path.format(blob=next(iter(build_image({"a": b"1"}).blobs)))
    may_log_in, may_read = allow("ecr:GetAuthorizationToken", on="*"), allow(f"ecr:{action}", on=private)

    def answer(*statements: Mapping[str, object]) -> urllib3.BaseHTTPResponse:
        login = private_login(aws, **keys_of_role(aws, may_log_in, *statements))
        return get(aws, path, **urllib3.make_headers(basic_auth=login))

    refused = answer()
    (error,) = refused.json()["errors"]
    assert (refused.status, error["code"]) == (403, "DENIED")
    assert f"is not authorized to perform: ecr:{action} on resource: {private} because" in error["message"]
    assert answer(may_read).status == 200


def test_a_token_from_a_login_of_private_ecr_keeps_the_caller(aws: SandboxProcess, private: str) -> None:
    login = private_login(aws, **keys_of_role(aws, allow("ecr:GetAuthorizationToken", on="*")))
    headers = urllib3.make_headers(basic_auth=login)
    token = urllib3.request("GET", f"{aws.url}/token/", headers=headers, retries=False).json()["token"]

    answer = get(aws, "manifests/1", Authorization=f"Bearer {token}")

    assert answer.status == 403
    assert f"ecr:BatchGetImage on resource: {private}" in answer.json()["errors"][0]["message"]


def test_listing_parameters_needs_permission_on_their_path(aws: SandboxProcess) -> None:
    path = f"arn:aws:ssm:us-east-1:{aws.account}:parameter/acme"
    client = aws.client("ssm", **keys_of_role(aws, allow("ssm:GetParametersByPath", on=path)))

    assert client.get_parameters_by_path(Path="/acme")["Parameters"] == []
    with pytest.raises(ClientError, match="parameter/others because no identity-based policy"):
        client.get_parameters_by_path(Path="/others")


def test_without_the_option_a_role_may_do_everything() -> None:
    with SandboxProcess() as process:
        process.client("ecr-public").create_repository(repositoryName=REPOSITORY)

        assert as_role(process).describe_images(repositoryName=REPOSITORY)["imageDetails"] == []
