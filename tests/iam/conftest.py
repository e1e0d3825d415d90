"""The real handler with the credentials of the rendered role, in a sandbox that evaluates policies."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import ImageScan, SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push, push_image
from tests.protocol.cloudformation import Answer, CloudFormation, answer_address
from tests.protocol.conftest import Lambda
from tests.support.archives import layout_of, tar_of
from tests.support.clock import SteppingClock

from .rendering import Rendered

IMAGE = build_image({"etc/name": b"an image"}, platforms=("linux/amd64", "linux/arm64"))
ARCHIVE = tar_of(layout_of((IMAGE, {})))
TAGS = ("1.0.0", "latest")
OTHER_ACCOUNT = "222222222222"


@dataclass(frozen=True)
class Aws:
    """
    The sandbox, with the same image in each place that a source can name.

    ==============================  ==========================================
    ``acme/agent:build``            the image, in the repository published to
    ``acme/copy``                   empty, for copies
    ``up/stream:1``                 the image, in another public repository
    ``private/app:1``               the image, in private ECR
    ``theirs/shared:build``         the image, in another account
    ==============================  ==========================================

    Attributes:
        secret: The ARN of credentials for the public registry.
        stack_id: The id of a stack that is not rolling back.
        archive: A file with the image.
        rendered: The stacks that are already synthesized.
    """

    sandbox: SandboxProcess
    secret: str
    stack_id: str
    archive: Path
    rendered: dict[object, Rendered] = field(default_factory=dict)

    def uri(self, repository: str) -> str:
        described = self.sandbox.client("ecr-public").describe_repositories(repositoryNames=[repository])
        uri: str = described["repositories"][0]["repositoryUri"]
        return uri

    def role(self, statements: Sequence[Mapping[str, object]]) -> str:
        """Create a role for Lambda, as the construct does; return its name."""
        iam, name = self.sandbox.client("iam"), f"handler-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document([trust]))
        self.grant(name, statements)
        return name

    def grant(self, role: str, statements: Sequence[Mapping[str, object]]) -> None:
        """Allow a role only these actions."""
        self.sandbox.client("iam").put_role_policy(
            RoleName=role, PolicyName="rendered", PolicyDocument=_document(statements)
        )

    def credentials(self, role: str) -> dict[str, str]:
        """Return a session's credentials, as Lambda puts them into the function's environment."""
        arn = f"arn:aws:iam::{self.sandbox.account}:role/{role}"
        session = self.sandbox.client("sts").assume_role(RoleArn=arn, RoleSessionName="handler")["Credentials"]
        names = {
            "ACCESS_KEY_ID": "AccessKeyId",
            "SECRET_ACCESS_KEY": "SecretAccessKey",
            "SESSION_TOKEN": "SessionToken",
        }
        return {f"AWS_{name}": session[member] for name, member in names.items()}


@dataclass
class IdleClock(SteppingClock):
    """A clock by which no request is ever old: CloudFormation would say that the stack of these tests is idle."""

    def wall(self) -> float:
        return self.epoch


@dataclass
class GrantingClock(IdleClock):
    """A clock that grants a permission when the handler waits for it."""

    grant: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.grant()
        super().sleep(seconds)


@dataclass(frozen=True)
class Deployment:
    """Deploys what a stack rendered, with the real handler."""

    aws: Aws
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, rendered: Rendered, without: str = "", *, is_late: bool = False, kind: str = "Create") -> Answer:
        """
        Publish with the rendered role; if there is a record, then change, change back and delete the resource.

        Args:
            without: An action that is removed from the role.
            is_late: Whether to grant it when the handler first waits for it.

        Returns:
            The first failed response, or else the last response.
        """
        role = self.aws.role(rendered.statements_without(without))
        for name, value in {**self.aws.sandbox.environment(), **self.aws.credentials(role)}.items():
            self.monkeypatch.setenv(name, value)
        self.aws.sandbox.requests.clear()
        late = GrantingClock(grant=lambda: self.aws.grant(role, rendered.statements))
        function = Lambda(clock=late if is_late else IdleClock())
        with answer_address() as address:
            answer = self._live(CloudFormation(function, address), rendered.properties, kind)
        function.close()
        return answer

    def _live(self, cloudformation: CloudFormation, properties: Mapping[str, Any], kind: str) -> Answer:
        def send(kind: str, new: Mapping[str, Any], *rest: Any) -> Answer:
            event = cloudformation.event(kind, new, "Release", *rest)
            return cloudformation.send({**event, "StackId": self.aws.stack_id})

        physical_id = f"ecr-public:{self.aws.sandbox.account}/{properties['RepositoryName']}:Release"
        if kind == "Update":
            return send(kind, properties, physical_id, {**properties, "ImageTags": []})
        answer = send(kind, properties)
        if "StateParameterName" not in properties or not answer.succeeded:
            return answer
        fewer = {**properties, "ImageTags": properties["ImageTags"][1:]}
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
    guarded.scans.add(ImageScan(repository="private/app"))


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


@pytest.fixture(scope="session")
def everything(
    guarded: SandboxProcess, private: None, secret: str, stack_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Aws:
    del private  # nothing to hand over
    public = guarded.client("ecr-public")
    for name in ("acme/agent", "acme/copy", "up/stream"):
        public.create_repository(repositoryName=name)
    push_image(guarded, "up/stream", IMAGE, ["1"])
    _share(guarded, IMAGE)
    archive = tmp_path_factory.mktemp("archives") / "image.tar"
    archive.write_bytes(ARCHIVE)
    return Aws(guarded, secret, stack_id, archive)


@pytest.fixture
def aws(everything: Aws) -> Aws:
    """Restore the state in the table, because earlier tests may have changed the destinations."""
    sandbox = everything.sandbox
    public = sandbox.client("ecr-public")
    for name in ("acme/agent", "acme/copy"):
        public.delete_repository(repositoryName=name, force=True)
        public.create_repository(repositoryName=name)
    push_image(sandbox, "acme/agent", IMAGE, ["build"])
    theirs = sandbox.client("ecr-public", aws_access_key_id=OTHER_ACCOUNT)
    theirs.batch_delete_image(repositoryName="theirs/shared", imageIds=[{"imageTag": tag} for tag in TAGS])
    _forget(sandbox.client("ssm"))
    return everything


@pytest.fixture
def deploy(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(aws, monkeypatch)


def _forget(client: Any) -> None:
    """Delete the records of handlers."""
    pages = client.get_paginator("get_parameters_by_path").paginate(Path="/cdk-ecrpublic", Recursive=True)
    for name in [each["Name"] for page in pages for each in page["Parameters"]]:
        client.delete_parameter(Name=name)


def _share(sandbox: SandboxProcess, image: Image) -> None:
    """Create ``theirs/shared``, whose policy lets our account put images."""
    theirs = sandbox.client("ecr-public", aws_access_key_id=OTHER_ACCOUNT)
    uri = theirs.create_repository(repositoryName="theirs/shared")["repository"]["repositoryUri"]
    ours = {"AWS": f"arn:aws:iam::{sandbox.account}:root"}
    policy = _document([{"Effect": "Allow", "Principal": ours, "Action": ["ecr-public:PutImage"]}])
    theirs.set_repository_policy(repositoryName="theirs/shared", policyText=policy)
    login = theirs.get_authorization_token()["authorizationData"]["authorizationToken"]
    push(uri, image, ["build"], login=base64.b64decode(login).decode())


def _document(statements: Sequence[Mapping[str, object]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
