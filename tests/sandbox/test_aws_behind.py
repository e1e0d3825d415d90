"""All of AWS on one port: public repositories in CloudFormation, private ECR, accounts, Lambda."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from cdk_ecrpublic.sandbox import Fault, SandboxProcess, Settings
from cdk_ecrpublic.sandbox.images import build_image, pull, push, push_image, resolve_tags, tags_of
from cdk_ecrpublic.sandbox.testing.client import RegistryError

from .conftest import Api, make_api, wait_for_stack

STACK = "stack"


@pytest.fixture
def process(aws: SandboxProcess) -> Iterator[SandboxProcess]:
    """All of AWS, with ECR Public empty."""
    aws.reset()
    yield aws
    aws.reset()
    stacks = aws.client("cloudformation")
    stacks.delete_stack(StackName=STACK)
    with pytest.raises(ClientError, match="does not exist"):
        wait_for_stack(stacks, STACK)


@pytest.fixture
def public(process: SandboxProcess) -> Api:
    return make_api(process)


def template(name: str | None = "acme/agent", **properties: Any) -> str:
    given = {**({"RepositoryName": name} if name else {}), **properties}
    outputs = {"Ref": {"Value": {"Ref": "Repository"}}, "Arn": {"Value": {"Fn::GetAtt": ["Repository", "Arn"]}}}
    resource = {"Type": "AWS::ECR::PublicRepository", "Properties": given}
    return json.dumps({"Resources": {"Repository": resource}, "Outputs": outputs})


def deploy(process: SandboxProcess, body: str, *, update: bool = False) -> tuple[str, dict[str, str]]:
    """Create or update the stack; return its status and outputs."""
    client = process.client("cloudformation")
    (client.update_stack if update else client.create_stack)(StackName=STACK, TemplateBody=body)
    stack = wait_for_stack(client, STACK)
    return stack["StackStatus"], {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def reasons(process: SandboxProcess) -> str:
    events = process.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
    return " ".join(event.get("ResourceStatusReason", "") for event in events)


def names(api: Api) -> list[str]:
    return [repository["repositoryName"] for repository in api.describe_repositories()["repositories"]]


def test_all_services_agree_on_the_account(process: SandboxProcess, public: Api) -> None:
    account = process.client("sts").get_caller_identity()["Account"]

    assert account == process.account == public.describe_registries()["registries"][0]["registryId"]
    assert process.environment()["CDK_DEFAULT_ACCOUNT"] == account


def test_an_assumed_role_belongs_to_its_account(process: SandboxProcess) -> None:
    iam = process.client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    session = process.client("sts").assume_role(RoleArn=role, RoleSessionName="deploy")["Credentials"]

    api = make_api(process, aws_access_key_id=session["AccessKeyId"], aws_session_token=session["SessionToken"])

    assert api.describe_registries()["registries"][0]["registryId"] == process.account


def test_a_stack_creates_a_repository(process: SandboxProcess, public: Api) -> None:
    body = template(
        RepositoryCatalogData={"RepositoryDescription": "An agent", "OperatingSystems": ["Linux"]},
        RepositoryPolicyText={"Version": "2008-10-17", "Statement": [{"Effect": "Allow"}]},
        Tags=[{"Key": "team", "Value": "agent"}],
    )

    status, outputs = deploy(process, body)

    arn = f"arn:aws:ecr-public::{process.account}:repository/acme/agent"
    assert (status, outputs) == ("CREATE_COMPLETE", {"Ref": "acme/agent", "Arn": arn})
    catalog = public.get_repository_catalog_data(repositoryName="acme/agent")["catalogData"]
    assert catalog == {"description": "An agent", "operatingSystems": ["Linux"]}
    assert json.loads(public.get_repository_policy(repositoryName="acme/agent")["policyText"])["Statement"]
    assert public.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "team", "Value": "agent"}]


def test_a_repository_without_a_name_gets_a_generated_one(process: SandboxProcess, public: Api) -> None:
    _, outputs = deploy(process, template(None))

    assert outputs["Ref"].startswith("stack-repository-")
    assert names(public) == [outputs["Ref"]]


def test_a_stack_updates_a_repository_in_place(process: SandboxProcess, public: Api) -> None:
    deploy(process, template(Tags=[{"Key": "old", "Value": "1"}]))
    before = public.describe_repositories()["repositories"][0]["createdAt"]
    update = template(Tags=[{"Key": "new", "Value": "2"}], RepositoryCatalogData={"AboutText": "x"})

    status, outputs = deploy(process, update, update=True)

    assert status == "UPDATE_COMPLETE"
    assert public.describe_repositories()["repositories"][0]["createdAt"] == before
    assert public.list_tags_for_resource(resourceArn=outputs["Arn"])["tags"] == [{"Key": "new", "Value": "2"}]


def test_changing_the_name_replaces_a_repository(process: SandboxProcess, public: Api) -> None:
    deploy(process, template("acme/old"))

    status, outputs = deploy(process, template("acme/new"), update=True)

    assert (status, outputs["Ref"], names(public)) == ("UPDATE_COMPLETE", "acme/new", ["acme/new"])


def test_a_change_set_shows_that_changing_the_name_replaces_the_repository(process: SandboxProcess) -> None:
    deploy(process, template("acme/old"))
    client = process.client("cloudformation")
    client.create_change_set(StackName=STACK, ChangeSetName="rename", TemplateBody=template("acme/new"))

    client.get_waiter("change_set_create_complete").wait(
        StackName=STACK, ChangeSetName="rename", WaiterConfig={"Delay": 1}
    )
    change = client.describe_change_set(StackName=STACK, ChangeSetName="rename")["Changes"][0]["ResourceChange"]

    assert change["Replacement"] == "True"


def test_a_stack_deletes_an_empty_repository(process: SandboxProcess, public: Api) -> None:
    deploy(process, template())

    process.client("cloudformation").delete_stack(StackName=STACK)

    with pytest.raises(ClientError, match="does not exist"):
        wait_for_stack(process.client("cloudformation"), STACK)
    assert names(public) == []


def test_a_stack_does_not_delete_a_repository_with_images(process: SandboxProcess, public: Api) -> None:
    deploy(process, template())
    push_image(process, "acme/agent", build_image({"a": b"b"}))

    process.client("cloudformation").delete_stack(StackName=STACK)
    status = wait_for_stack(process.client("cloudformation"), STACK)["StackStatus"]

    assert (status, names(public)) == ("DELETE_FAILED", ["acme/agent"])
    assert "cannot be deleted because it still contains images" in reasons(process)


def test_a_stack_fails_if_the_repository_exists(process: SandboxProcess, public: Api) -> None:
    public.create_repository(repositoryName="acme/agent")

    status, _ = deploy(process, template())

    assert status == "ROLLBACK_COMPLETE"
    assert "already exists in the registry" in reasons(process)
    assert names(public) == ["acme/agent"]


def test_private_ecr_is_another_registry(process: SandboxProcess, public: Api) -> None:
    private = process.client("ecr")
    private.create_repository(repositoryName="private/app")

    assert names(public) == []
    assert private.describe_repositories()["repositories"][0]["repositoryUri"].endswith(".amazonaws.com/private/app")
    private.delete_repository(repositoryName="private/app", force=True)


def test_private_ecr_reports_this_port(process: SandboxProcess) -> None:
    assert process.client("ecr").get_authorization_token()["authorizationData"][0]["proxyEndpoint"] == process.url


def test_an_archived_image_of_private_ecr_can_be_described_but_not_pulled(process: SandboxProcess) -> None:
    private, name = process.client("ecr"), "private/archive"
    private.create_repository(repositoryName=name)
    data = private.get_authorization_token()["authorizationData"][0]
    login = base64.b64decode(data["authorizationToken"]).decode()
    image = build_image({"a": b"b"})
    uri = f"{process.registry_host}/{name}"
    push(uri, image, ["1"], login=login)

    def move(storage_class: str) -> tuple[str, str]:
        """Return the status in the response, and in the description afterwards."""
        answer = private.update_image_storage_class(
            repositoryName=name, imageId={"imageTag": "1"}, targetStorageClass=storage_class
        )
        (detail,) = private.describe_images(repositoryName=name)["imageDetails"]
        return answer["imageStatus"], detail["imageStatus"]

    assert move("ARCHIVE") == ("ARCHIVED", "ARCHIVED")
    for reference in ("1", image.digest):
        with pytest.raises(RegistryError, match="404"):
            pull(uri, reference, login=login)
    assert move("STANDARD") == ("ACTIVE", "ACTIVE")
    assert pull(uri, "1", login=login).digest == image.digest
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        private.update_image_storage_class(repositoryName=name, imageId={"imageTag": "2"}, targetStorageClass="ARCHIVE")
    private.delete_repository(repositoryName=name, force=True)


@pytest.mark.parametrize("service", ["ecr-public", "ecr"])
def test_one_login_works_for_both_registries(process: SandboxProcess, public: Api, service: str) -> None:
    public.create_repository(repositoryName="acme/agent")
    private = process.client("ecr")
    private.create_repository(repositoryName="private/app")
    data = process.client(service).get_authorization_token()["authorizationData"]
    login = base64.b64decode((data if service == "ecr-public" else data[0])["authorizationToken"]).decode()
    image = build_image({"a": b"b"})

    push(f"{process.registry_host}/private/app", image, ["1"], login=login)

    assert tags_of(f"{process.registry_host}/private/app") == {"1": image.digest}
    public_uri = public.describe_repositories()["repositories"][0]["repositoryUri"]
    if service == "ecr-public":
        push(public_uri, image, ["1"], login=login)
        assert resolve_tags(process, "acme/agent") == {"1": image.digest}
    else:
        with pytest.raises(RegistryError, match="403"):
            push(public_uri, image, ["1"], login=login)
    private.delete_repository(repositoryName="private/app", force=True)


def test_basic_authentication_goes_to_private_ecr(process: SandboxProcess) -> None:
    headers = urllib3.make_headers(basic_auth="AWS:x")

    assert urllib3.request("GET", f"{process.url}/v2/", headers=headers).status == 200
    assert urllib3.request("GET", f"{process.url}/v2/").status == 401


def test_the_authentication_decides_which_registry_reports_an_unknown_repository(process: SandboxProcess) -> None:
    url = f"{process.url}/v2/nobody/knows/tags/list"
    token = urllib3.request("GET", f"{process.url}/token/").json()["token"]

    basic = urllib3.request("GET", url, headers=urllib3.make_headers(basic_auth="AWS:x"))
    bearer = urllib3.request("GET", url, headers={"Authorization": f"Bearer {token}"})

    assert "repository name not known to registry" in basic.data.decode()
    assert "does not exist in the registry with id 'nobody'" in bearer.data.decode()
    assert urllib3.request("GET", url).status == 401


def test_other_services_keep_their_paths(process: SandboxProcess) -> None:
    bucket = process.client("s3")
    bucket.create_bucket(Bucket="token")

    bucket.put_object(Bucket="token", Key="v2/key", Body=b"content")

    assert bucket.get_object(Bucket="token", Key="v2/key")["Body"].read() == b"content"
    assert process.client("apigatewayv2").get_apis()["Items"] == []


@pytest.mark.parametrize("name", ["named.localhost", "named.s3.localhost", "named.s3.us-east-1.localhost"])
def test_the_host_can_name_a_bucket(process: SandboxProcess, name: str) -> None:
    """This also works with ``http://localhost`` or ``http://s3.localhost``, if such names are resolved."""
    bucket = process.client("s3")
    bucket.create_bucket(Bucket="named")
    bucket.put_object(Bucket="named", Key="key", Body=b"content")
    port = process.url.rpartition(":")[2]

    answer = urllib3.request("GET", f"{process.url}/key", headers={"Host": f"{name}:{port}"}, retries=False)

    assert (answer.status, answer.data) == (200, b"content")
    assert [header for header in answer.headers if header.lower().startswith("access-control-")] == []


def test_a_function_sees_only_the_sandbox_and_nothing_else_of_the_machine(
    process: SandboxProcess, public: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    public.create_repository(repositoryName="acme/agent")
    source = (
        "import boto3, os\n"
        "def handler(event, context):\n"
        "    client = boto3.client('ecr-public', region_name='us-east-1')\n"
        "    return [client.describe_repositories()['repositories'][0]['registryId'], sorted(os.environ)]\n"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", source)
    functions = process.client("lambda")
    functions.create_function(
        FunctionName="look",
        Runtime="python3.14",
        Handler="index.handler",
        Role=f"arn:aws:iam::{process.account}:role/x",
        Code={"ZipFile": packed.getvalue()},
    )

    account, variables = json.loads(functions.invoke(FunctionName="look")["Payload"].read())

    assert account == process.account
    assert {"AWS_ENDPOINT_URL", "PATH"} <= set(variables)
    assert {"AWS_PROFILE", "PYTHONPATH", "VIRTUAL_ENV"} & set(variables) == set()


def test_faults_settings_and_requests_work_across_processes(process: SandboxProcess, public: Api) -> None:
    process.faults.add(Fault(operation="DescribeRegistries", code="ServerException"))
    process.settings = Settings(alias="acme")
    process.requests.clear()

    refusal = public.refusal("describe_registries")

    assert refusal.code == "ServerException"
    assert [fault.operation for fault in process.faults.all()] == ["DescribeRegistries"]
    assert process.settings.alias == "acme"
    assert [request.error for request in process.requests.all("DescribeRegistries")] == ["ServerException"]
    assert process.requests.count() == 1
    process.faults.clear()
    assert public.describe_registries()["registries"][0]["aliases"][0]["name"] == "acme"


@pytest.fixture
def importer(process: SandboxProcess) -> Iterator[str]:
    """Return the template of a stack that imports the export ``digest``; delete the stack first."""
    yield json.dumps({"Resources": {"Reader": _parameter({"Fn::ImportValue": "digest"})}})
    client = process.client("cloudformation")
    client.delete_stack(StackName="importer")
    with pytest.raises(ClientError, match="does not exist"):
        wait_for_stack(client, "importer")


def _parameter(value: object) -> dict[str, object]:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}}


def exporting(value: str, export: str = "digest") -> str:
    output = {"Value": value, "Export": {"Name": export}}
    return json.dumps({"Resources": {"Own": _parameter(value)}, "Outputs": {"Digest": output}})


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (exporting("second"), "Export digest cannot be updated as it is in use by importer"),
        (exporting("first", "other"), "Export digest cannot be deleted as it is in use by importer"),
    ],
    ids=["changed", "renamed"],
)
def test_an_imported_export_cannot_change(process: SandboxProcess, importer: str, update: str, text: str) -> None:
    deploy(process, exporting("first"))
    process.client("cloudformation").create_stack(StackName="importer", TemplateBody=importer)
    wait_for_stack(process.client("cloudformation"), "importer")

    status, outputs = deploy(process, update, update=True)

    assert (status, outputs) == ("UPDATE_ROLLBACK_COMPLETE", {"Digest": "first"})
    assert text in reasons(process)
    exports = process.client("cloudformation").list_exports()["Exports"]
    assert [(export["Name"], export["Value"]) for export in exports] == [("digest", "first")]


@pytest.mark.parametrize("update", [exporting("second"), exporting("first", "other")], ids=["changed", "renamed"])
def test_an_unused_export_can_change(process: SandboxProcess, update: str) -> None:
    deploy(process, exporting("first"))

    status, _ = deploy(process, update, update=True)

    wanted = next(iter(json.loads(update)["Outputs"].values()))
    exports = process.client("cloudformation").list_exports()["Exports"]
    assert status == "UPDATE_COMPLETE"
    assert [(export["Name"], export["Value"]) for export in exports] == [(wanted["Export"]["Name"], wanted["Value"])]
