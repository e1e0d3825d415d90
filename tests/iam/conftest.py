"""The real handler with the credentials of the role that the construct renders, where policies are evaluated."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push, push_image
from tests.protocol.cloudformation import Answer, CloudFormation, answer_address
from tests.protocol.conftest import Lambda

from .rendering import Rendered

IMAGE = build_image({"etc/name": b"an image"}, platforms=("linux/amd64", "linux/arm64"))
OTHER_ACCOUNT = "222222222222"


@dataclass(frozen=True)
class Aws:
    """
    The sandbox, and what is in it for every test: the same image in each place that a source can name.

    ==============================  ==========================================
    ``acme/agent:build``            the image, in the repository published to
    ``acme/copy``                   empty, for copies
    ``up/stream:1``                 the image, in another public repository
    ``private/app:1``               the image, in private ECR
    ``theirs/shared:build``         the image, in another account
    *secret*                        the ARN of credentials for the public registry
    ==============================  ==========================================
    """

    sandbox: SandboxProcess
    secret: str

    def uri(self, repository: str) -> str:
        described = self.sandbox.client("ecr-public").describe_repositories(repositoryNames=[repository])
        uri: str = described["repositories"][0]["repositoryUri"]
        return uri

    def role(self, statements: Sequence[Mapping[str, object]]) -> str:
        """Create a role for Lambda, as the construct does; return its ARN."""
        iam, name = self.sandbox.client("iam"), f"handler-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
        role: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document([trust]))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="rendered", PolicyDocument=_document(statements))
        return role

    def credentials(self, role: str) -> dict[str, str]:
        """Return a session's credentials, as Lambda puts them into the function's environment."""
        session = self.sandbox.client("sts").assume_role(RoleArn=role, RoleSessionName="handler")["Credentials"]
        names = {
            "ACCESS_KEY_ID": "AccessKeyId",
            "SECRET_ACCESS_KEY": "SecretAccessKey",
            "SESSION_TOKEN": "SessionToken",
        }
        return {f"AWS_{name}": session[member] for name, member in names.items()}


@dataclass(frozen=True)
class Deployment:
    """Deploys what a stack rendered."""

    aws: Aws
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, rendered: Rendered, without: str = "") -> Answer:
        """Publish with the rendered role; *without* is an action that is taken out of it."""
        role = self.aws.role(rendered.statements_without(without))
        for name, value in {**self.aws.sandbox.environment(), **self.aws.credentials(role)}.items():
            self.monkeypatch.setenv(name, value)
        self.aws.sandbox.requests.clear()
        with answer_address() as address:
            return CloudFormation(Lambda(), address).create(rendered.properties)


@pytest.fixture(scope="session")
def guarded() -> Iterator[SandboxProcess]:
    with SandboxProcess(options=["--auth"]) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def private(guarded: SandboxProcess) -> None:
    client = guarded.client("ecr")
    client.create_repository(repositoryName="private/app")
    data = client.get_authorization_token()["authorizationData"][0]
    login = base64.b64decode(data["authorizationToken"]).decode()
    push(f"{guarded.registry_host}/private/app", IMAGE, ["1"], login=login)


@pytest.fixture(scope="session")
def secret(guarded: SandboxProcess) -> str:
    login = guarded.client("ecr-public").get_authorization_token()["authorizationData"]["authorizationToken"]
    username, _, password = base64.b64decode(login).decode().partition(":")
    text = json.dumps({"username": username, "password": password})
    arn: str = guarded.client("secretsmanager").create_secret(Name="registry", SecretString=text)["ARN"]
    return arn


@pytest.fixture
def aws(guarded: SandboxProcess, private: None, secret: str) -> Aws:
    del private  # nothing to hand over
    guarded.reset()
    public = guarded.client("ecr-public")
    for name in ("acme/agent", "acme/copy", "up/stream"):
        public.create_repository(repositoryName=name)
    push_image(guarded, "acme/agent", IMAGE, ["build"])
    push_image(guarded, "up/stream", IMAGE, ["1"])
    _share(guarded, IMAGE)
    return Aws(guarded, secret)


@pytest.fixture
def deploy(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(aws, monkeypatch)


def _share(sandbox: SandboxProcess, image: Image) -> None:
    """Make ``theirs/shared``, whose policy lets our account put images."""
    theirs = sandbox.client("ecr-public", aws_access_key_id=OTHER_ACCOUNT)
    uri = theirs.create_repository(repositoryName="theirs/shared")["repository"]["repositoryUri"]
    ours = {"AWS": f"arn:aws:iam::{sandbox.account}:root"}
    policy = _document([{"Effect": "Allow", "Principal": ours, "Action": ["ecr-public:PutImage"]}])
    theirs.set_repository_policy(repositoryName="theirs/shared", policyText=policy)
    login = theirs.get_authorization_token()["authorizationData"]["authorizationToken"]
    push(uri, image, ["build"], login=base64.b64decode(login).decode())


def _document(statements: Sequence[Mapping[str, object]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
