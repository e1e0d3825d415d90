"""The real handler with the credentials of the role that the construct renders, where policies are evaluated."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push, push_image
from tests.protocol.cloudformation import Answer, CloudFormation, answer_address
from tests.protocol.conftest import Lambda
from tests.support.archives import layout_of, tar_of
from tests.support.clock import SteppingClock

from .rendering import Rendered

IMAGE = build_image({"etc/name": b"an image"}, platforms=("linux/amd64", "linux/arm64"))
ARCHIVE = tar_of(layout_of((IMAGE, {})))
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
    ==============================  ==========================================

    Attributes:
        secret: The ARN of credentials for the public registry.
        stack_id: Of a stack that is not rolling back.
        archive: A file with the image.
    """

    sandbox: SandboxProcess
    secret: str
    stack_id: str
    archive: Path

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
    """Deploys what a stack rendered, with the real handler."""

    aws: Aws
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, rendered: Rendered, without: str = "", clock: SteppingClock | None = None) -> Answer:
        """
        Publish with the rendered role; what is remembered is then changed, changed back and deleted.

        Args:
            without: An action that is taken out of the role.

        Returns:
            The first answer that is a failure, else the last one.
        """
        self.use_role(self.aws.role(rendered.statements_without(without)))
        self.aws.sandbox.requests.clear()
        function = Lambda(clock=clock or SteppingClock())
        with answer_address() as address:
            answer = self._live(CloudFormation(function, address), rendered.properties)
        function.close()
        return answer

    def use_role(self, role: str) -> None:
        """Put a session of the role into the environment, as Lambda does."""
        for name, value in {**self.aws.sandbox.environment(), **self.aws.credentials(role)}.items():
            self.monkeypatch.setenv(name, value)

    def _live(self, cloudformation: CloudFormation, properties: Mapping[str, Any]) -> Answer:
        def send(kind: str, new: Mapping[str, Any], *rest: Any) -> Answer:
            return cloudformation.send(
                {**cloudformation.event(kind, new, "Release", *rest), "StackId": self.aws.stack_id}
            )

        answer = send("Create", properties)
        if "StateParameterName" not in properties or not answer.succeeded:
            return answer
        physical_id, fewer = answer.physical_id, {**properties, "ImageTags": properties["ImageTags"][1:]}
        for new, old in ((fewer, properties), (properties, fewer)):
            answer = send("Update", new, physical_id, old)
            if not answer.succeeded:
                return answer
        return send("Delete", properties, physical_id)


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


@pytest.fixture(scope="session")
def stack_id(guarded: SandboxProcess) -> str:
    client = guarded.client("cloudformation")
    body = {"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}
    found: str = client.create_stack(StackName="Stack", TemplateBody=json.dumps(body))["StackId"]
    client.get_waiter("stack_create_complete").wait(StackName="Stack", WaiterConfig={"Delay": 1})
    return found


@pytest.fixture
def aws(guarded: SandboxProcess, private: None, secret: str, stack_id: str, tmp_path: Path) -> Aws:
    del private  # nothing to hand over
    guarded.reset()
    _forget(guarded.client("ssm"))
    public = guarded.client("ecr-public")
    for name in ("acme/agent", "acme/copy", "up/stream"):
        public.create_repository(repositoryName=name)
    push_image(guarded, "acme/agent", IMAGE, ["build"])
    push_image(guarded, "up/stream", IMAGE, ["1"])
    _share(guarded, IMAGE)
    archive = tmp_path / "image.tar"
    archive.write_bytes(ARCHIVE)
    return Aws(guarded, secret, stack_id, archive)


@pytest.fixture
def deploy(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(aws, monkeypatch)


def _forget(client: Any) -> None:
    """Delete what handlers remembered."""
    pages = client.get_paginator("get_parameters_by_path").paginate(Path="/cdk-ecrpublic", Recursive=True)
    for name in [each["Name"] for page in pages for each in page["Parameters"]]:
        client.delete_parameter(Name=name)


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
