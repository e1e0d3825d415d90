"""The cases that deploy stacks: two runs agree, differences are detected, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_ecrpublic.live_check import endpoint
from cdk_ecrpublic.live_check.budget import for_slow, for_stacks
from cdk_ecrpublic.live_check.case import Case, Group
from cdk_ecrpublic.live_check.cases import CASES
from cdk_ecrpublic.live_check.check import on_sandboxes
from cdk_ecrpublic.live_check.cleanup import (
    clean_up,
    list_repositories,
    sweep,
    sweep_parameters,
    sweep_private,
    sweep_stacks,
)
from cdk_ecrpublic.live_check.compare import Verdict, compare
from cdk_ecrpublic.live_check.errors import LiveCheckError, NotOwnError
from cdk_ecrpublic.live_check.guard import GRACE, PREFIX, RECORDS
from cdk_ecrpublic.live_check.images import image
from cdk_ecrpublic.live_check.parameters import EXPIRE
from cdk_ecrpublic.live_check.recording import Recording, Step
from cdk_ecrpublic.live_check.report import Report
from cdk_ecrpublic.live_check.run import run_cases
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.live_check.stacks import ProbeStack
from cdk_ecrpublic.live_check.target import Target
from cdk_ecrpublic.live_check.templates import IMAGE_TYPE, PROBE_FILE, PROBE_TYPE, stack_template
from cdk_ecrpublic.sandbox import Sandbox, SandboxProcess
from lambda_handler.resources.records import ROOT
from tests.live_check.conftest import BY_NAME

STACK_CASES = [case for case in CASES if case.group is Group.STACK]
KEPT = f"{ROOT}/123456789012/{PREFIX}--own--case/undo/x"
"""The name of a record about a repository that no run has created."""

QUICK = [BY_NAME["fail-to-update-without-rollback"]]


@pytest.fixture(scope="module")
def aws() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture(scope="module")
def recordings(aws: SandboxProcess) -> list[Recording]:
    return run_cases(STACK_CASES, endpoint.sandbox(aws), for_stacks())[0]


def left(aws: SandboxProcess) -> list[str]:
    """List what runs have left: repositories, stacks, functions, roles, parameters."""
    found = [
        *(each["repositoryName"] for each in aws.client("ecr").describe_repositories()["repositories"]),
        *(each["repositoryName"] for each in aws.client("ecr-public").describe_repositories()["repositories"]),
        *(stack["StackName"] for stack in aws.client("cloudformation").describe_stacks()["Stacks"]),
        *(each["FunctionName"] for each in aws.client("lambda").list_functions()["Functions"]),
        *(role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]),
        *(each["Name"] for each in aws.client("ssm").describe_parameters()["Parameters"]),
    ]
    return [name for name in found if PREFIX in name]


def test_all_cases_finish_and_leave_nothing(aws: SandboxProcess, recordings: list[Recording]) -> None:
    assert [(each.case, each.stopped) for each in recordings if each.stopped] == []
    assert left(aws) == []


def test_late_responses_are_recorded_in_order(recordings: list[Recording]) -> None:
    """The sandbox creates one after the other: the first resource responds before the second gets its request."""
    steps = {each.case: {step.request: step.body for step in each.steps} for each in recordings}
    found = steps["fail-while-another-is-created"]["with rollback: requests"]

    assert found == [
        "Create of First with id none and value 1 in CREATE_IN_PROGRESS",
        "Late response to Create of First with id none and value 1 in CREATE_IN_PROGRESS",
        "Create of Second with id none and value 1 in CREATE_IN_PROGRESS",
        "Late response to Create of Second with id none and value 1 in CREATE_IN_PROGRESS",
        "Delete of First with id First and value 1 in ROLLBACK_IN_PROGRESS",
    ]


def test_resources_can_be_created_concurrently() -> None:
    tokens = {PROBE_TYPE: "arn"}
    resources = {"First": {"Value": "1"}, "Second": {"Value": "1", "Beside": "yes"}, "Third": {"Value": "1"}}

    template = stack_template(tokens, "case", resources)["Resources"]

    assert [each.get("DependsOn") for each in template.values()] == [None, None, "Second"]
    assert "Beside" not in template["Second"]["Properties"]


def test_a_case_that_a_sandbox_cannot_answer_is_not_run_and_the_report_says_why() -> None:
    cases = [BY_NAME["fail-while-another-is-created"], BY_NAME["put-untagged"]]
    told: list[str] = []
    aws = Recording(case=cases[0].name, steps=[Step(request="with rollback: the stack", body="ROLLBACK_COMPLETE")])

    ours = on_sandboxes(cases, None, told.append)
    report = Report(left="sandbox", right="AWS", date="", cases=cases, differences=compare(ours, [aws, ours[1]]))

    assert told == ["sandbox: put-untagged"]
    assert [each.verdict for each in report.differences] == [Verdict.INCOMPARABLE, Verdict.SAME]
    assert "sandbox stopped: the CloudFormation of the sandbox creates" in report.as_text()
    assert 'AWS: "ROLLBACK_COMPLETE"' in report.as_text()
    assert report.verdict is Verdict.SAME, "a case that cannot be compared is not a difference"


@pytest.mark.parametrize("name", [QUICK[0].name, "fail-while-others-are-updated", "copy-from-private-ecr"])
def test_a_case_records_the_same_twice(aws: SandboxProcess, recordings: list[Recording], name: str) -> None:
    again, _ = run_cases([BY_NAME[name]], endpoint.sandbox(aws), for_stacks())

    (difference,) = compare(again, [each for each in recordings if each.case == name])
    assert (difference.verdict, difference.steps) == (Verdict.SAME, ())


def test_recordings_contain_no_names_of_the_run(recordings: list[Recording]) -> None:
    text = json.dumps([each.as_data() for each in recordings])

    assert PREFIX not in text
    assert "123456789012" not in text


def test_the_requests_are_recorded_in_order_with_the_status_of_the_stack(recordings: list[Recording]) -> None:
    steps = {each.case: {step.request: step.body for step in each.steps} for each in recordings}

    assert steps["fail-to-update"]["update: requests"] == [
        "Update of First with id First and value 2, old value 1 in UPDATE_IN_PROGRESS",
        "Update of Second with id Second and value 2, old value 1 in UPDATE_IN_PROGRESS",
        "Update of First with id First and value 1, old value 2 in UPDATE_ROLLBACK_IN_PROGRESS",
        "Update of Second with id Second and value 1, old value 2 in UPDATE_ROLLBACK_IN_PROGRESS",
    ]
    assert steps["fail-to-update-without-rollback"]["update: the stack"] == "UPDATE_FAILED"


@dataclass(frozen=True, slots=True)
class Altered:
    """A client of CloudFormation that behaves differently: it changes the parameters of calls."""

    client: Any
    change: Callable[[dict[str, Any]], dict[str, Any]]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda **parameters: getattr(self.client, name)(**self.change(parameters))


def _without(parameter: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda given: {name: value for name, value in given.items() if name != parameter}


def test_a_difference_of_cloudformation_is_detected(aws: SandboxProcess, recordings: list[Recording]) -> None:
    side = endpoint.sandbox(aws)

    def client(service: str, region: str) -> Any:
        real = side.client(service, region)
        return Altered(real, _without("DisableRollback")) if service == "cloudformation" else real

    altered, _ = run_cases(QUICK, replace(side, client=client), for_stacks())

    (difference,) = compare([each for each in recordings if each.case == QUICK[0].name], altered)
    assert difference.verdict is Verdict.BEHAVIOR
    assert left(aws) == []


def _denied(_given: dict[str, Any]) -> dict[str, Any]:
    response = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    raise ClientError(response, "DescribeStacks")  # type: ignore[arg-type]


def test_a_stack_whose_status_cannot_be_read_does_not_count_as_deleted(aws: SandboxProcess) -> None:
    side = endpoint.sandbox(aws)
    session = Session.begin(replace(side, client=lambda *where: Altered(side.client(*where), _denied)), for_stacks())
    session.stacks.names.append(f"{session.guard.stack}x")

    with pytest.raises(LiveCheckError, match=r"status of stack .* cannot be read: AccessDenied: no"):
        session.stacks.clean_up()


def test_a_case_that_fails_leaves_no_stack(aws: SandboxProcess) -> None:
    def fail(target: Target) -> None:
        ProbeStack(target).deploy("create", {"First": {"Value": "1", "Fail": "Delete"}})
        raise LookupError

    run_cases([Case(name="failing", ask=fail)], endpoint.sandbox(aws), for_stacks())

    assert left(aws) == []


def test_a_sweep_removes_expired_stacks_only(aws: SandboxProcess) -> None:
    session = Session.begin(endpoint.sandbox(aws), for_stacks())
    stack = ProbeStack(Target(session=session, recording=Recording(case="killed")))
    stack.deploy("create", {"First": {"Value": "1"}})
    found = left(aws)

    assert sweep_stacks(endpoint.sandbox(aws)) == []
    assert left(aws) == found
    assert len(found) == 6, "two stacks, two functions, their role, and a parameter"

    deleted = sweep_stacks(endpoint.sandbox(aws), now=datetime.now(UTC) + timedelta(hours=2))

    assert deleted == [f"{session.guard.stack}killed", f"{session.guard.stack}probe"]
    assert left(aws) == []


def publish_without_clean_up(aws: SandboxProcess) -> Session:
    """Deploy an image with the function of this project, and do not clean up."""
    session = Session.begin(endpoint.sandbox(aws), for_stacks())
    target = Target(session=session, recording=Recording(case="killed"))
    one = image("one")
    target.put(one)
    declared = {"Type": IMAGE_TYPE, "RepositoryName": target.repository(), "ImageTags": ["a"], "OnTagRemoved": "Untag"}
    ProbeStack(target).deploy("create", {"Image": {**declared, "Source": {"Digest": one.digest}}})
    return session


def records_of(aws: SandboxProcess, session: Session) -> list[str]:
    return [name for name in left(aws) if name.startswith(f"{ROOT}/{aws.account}/{PREFIX}--{session.guard.run}--")]


def test_the_records_of_the_function_are_removed_with_a_run(aws: SandboxProcess) -> None:
    session = publish_without_clean_up(aws)
    assert len(records_of(aws, session)) == 1
    (repository,) = session.repositories

    clean_up(session)

    assert left(aws) == []
    assert repository not in list_repositories(session)


def test_a_sweep_removes_the_records_of_the_function(aws: SandboxProcess) -> None:
    session = publish_without_clean_up(aws)
    session.endpoint.client("ssm", "us-east-1").put_parameter(Name=KEPT, Value="x", Type="String")
    later = datetime.now(UTC) + timedelta(hours=3)

    sweep_stacks(endpoint.sandbox(aws), now=later)
    sweep(endpoint.sandbox(aws), now=later)

    assert left(aws) == [KEPT]
    aws.client("ssm").delete_parameter(Name=KEPT)


def test_a_sweep_removes_parameters_without_a_stack_once_no_run_can_need_them(aws: SandboxProcess) -> None:
    """The last step of a run is to delete its parameters, and it may be killed before that."""
    run = "0123456789"
    old = [f"/{PREFIX}/{run}/case/1", f"{ROOT}/{aws.account}/{PREFIX}--{run}--case/undo/x"]
    for name in (*old, KEPT):
        aws.client("ssm").put_parameter(Name=name, Value="x", Type="String")

    assert sweep_parameters(endpoint.sandbox(aws)) == []
    assert len(left(aws)) == 3
    assert sorted(sweep_parameters(endpoint.sandbox(aws), now=datetime.now(UTC) + EXPIRE)) == sorted(old)
    assert left(aws) == [KEPT]
    aws.client("ssm").delete_parameter(Name=KEPT)
    assert for_slow().seconds + GRACE.total_seconds() < EXPIRE.total_seconds()


def _other_names(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "Names": ["another"]} if "Names" in given else given


def test_parameters_that_cannot_be_deleted_are_reported(aws: SandboxProcess) -> None:
    side = endpoint.sandbox(aws)
    idle = replace(side, client=lambda *where: Altered(side.client(*where), _other_names), wait=lambda _: None)
    session = Session.begin(idle, for_stacks())
    name = f"/{PREFIX}/{session.guard.run}/case/1"
    aws.client("ssm").put_parameter(Name=name, Value="x", Type="String")

    with pytest.raises(LiveCheckError, match=f"parameters were not deleted: {name}; run again"):
        session.parameters.clean_up()
    aws.client("ssm").delete_parameter(Name=name)


def test_the_path_of_records_is_that_of_the_function() -> None:
    assert RECORDS == ROOT


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("cloudformation", "DeleteStack", {"StackName": "production"}),
        ("cloudformation", "DeleteStack", {"StackName": f"{PREFIX}-another-run"}),
        ("cloudformation", "DeleteStack", {}),
        ("cloudformation", "ListStacks", {}),
        ("ssm", "GetParametersByPath", {"Path": "/"}),
        ("ssm", "GetParametersByPath", {"Path": f"/{PREFIX}"}),
        ("ssm", "DeleteParameters", {"Names": ["/cdk-ecrpublic/state/x"]}),
        ("ssm", "DeleteParameters", {"Names": [f"/cdk-ecrpublic/state/123456789012/{PREFIX}--another--x/undo/y"]}),
        ("ssm", "DeleteParameters", {"Names": [f"/cdk-ecrpublic/state/123456789012/{PREFIX}"]}),
        ("ssm", "DeleteParameters", {}),
        ("ssm", "DescribeParameters", {}),
        ("ssm", "DescribeParameters", {"ParameterFilters": [{"Key": "Name", "Values": ["/cdk-ecrpublic/state/"]}]}),
        ("ssm", "DescribeParameters", {"ParameterFilters": [{"Key": "Type", "Values": [f"/{PREFIX}/"]}]}),
        ("lambda", "UpdateFunctionCode", {"FunctionName": "production"}),
        ("iam", "DeleteRole", {"RoleName": "x"}),
        ("ecr", "DeleteRepository", {"repositoryName": "acme/agent"}),
        ("ecr", "DeleteRepository", {"repositoryName": f"{PREFIX}/another-run/case"}),
        ("ecr", "ListTagsForResource", {"resourceArn": "arn:aws:ecr:us-east-1:123456789012:repository/acme/agent"}),
        ("ecr", "DescribeRepositories", {"registryId": "222222222222"}),
        ("ecr", "DeleteRegistryPolicy", {}),
    ],
)
def test_calls_about_something_that_the_run_did_not_create_are_not_sent(
    aws: SandboxProcess, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    session = Session.begin(endpoint.sandbox(aws), for_stacks())

    with pytest.raises(NotOwnError, match="was not sent"):
        session.transport.other(service, operation, **parameters)

    assert session.transport.budget.spent_requests == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://{host}/v2/acme/agent/blobs/uploads/",
        "http://{host}/v2/{prefix}../../acme/agent/manifests/a",
        "http://{host}/v2/{prefix}%2e%2e/acme/agent/manifests/a",
        "https://222222222222.dkr.ecr.us-east-1.amazonaws.com/v2/{prefix}case/manifests/a",
        "https://example.com/v2/{prefix}case/manifests/a",
    ],
)
def test_pushes_to_something_that_the_run_did_not_create_are_not_sent(aws: SandboxProcess, url: str) -> None:
    session = Session.begin(endpoint.sandbox(aws), for_stacks())
    filled = url.format(host=aws.registry_host, prefix=session.guard.prefix)

    with pytest.raises(NotOwnError, match="was not sent"):
        session.transport.private_http("PUT", filled, {})

    assert session.transport.budget.spent_requests == 0


def test_a_private_repository_that_cannot_be_deleted_is_reported(aws: SandboxProcess) -> None:
    side = endpoint.sandbox(aws)
    idle = replace(side, client=lambda *where: Altered(side.client(*where), _another_repository))
    session = Session.begin(idle, for_stacks())
    session.private.push("case", image("one"))

    with pytest.raises(LiveCheckError, match=r"private repositories were not deleted: .*/case; run again"):
        clean_up(session)
    assert left(aws) == [f"{session.guard.prefix}case"]

    assert sweep_private(endpoint.sandbox(aws)) == []
    swept = sweep_private(endpoint.sandbox(aws), now=datetime.now(UTC) + timedelta(hours=2))
    assert (swept, left(aws)) == ([f"{session.guard.prefix}case"], [])


def _another_repository(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "repositoryName": "another"} if "force" in given else given


def test_the_password_of_private_ecr_is_a_secret(aws: SandboxProcess) -> None:
    session = Session.begin(endpoint.sandbox(aws), for_stacks())
    session.private.push("case", image("one"))
    clean_up(session)

    assert "ministack-auth-token" in session.transport.trace.secrets
    assert "ministack-auth-token" not in str(session.transport.trace.entries)


def test_a_function_that_cannot_be_created_stops_the_cases(aws: SandboxProcess) -> None:
    session = Session.begin(endpoint.sandbox(aws), for_stacks())
    session.stacks.names.append(f"{session.guard.stack}x")

    with pytest.raises(LiveCheckError, match="could not be created: AlreadyExistsException"):
        _create_twice(session)
    session.stacks.clean_up()

    assert left(aws) == []


def _create_twice(session: Session) -> None:
    session.stacks.create(f"{session.guard.stack}probe", {"Resources": {"H": {"Type": "AWS::S3::Bucket"}}})
    session.stacks.wait(f"{session.guard.stack}probe")
    session.stacks.tokens(())


def test_an_unreadable_response_stops_the_run(sandbox: Sandbox) -> None:
    with pytest.raises(LiveCheckError, match="the response to DeleteStack cannot be read"):
        run_cases(QUICK, endpoint.sandbox(sandbox), for_stacks())


def test_the_code_of_the_function_fits_into_a_template() -> None:
    compile(PROBE_FILE.read_text(encoding="utf-8"), "probe", "exec")

    assert len(PROBE_FILE.read_bytes()) < 4096


def test_the_function_of_this_project_publishes_rolls_back_and_removes(recordings: list[Recording]) -> None:
    (recording,) = [each for each in recordings if each.case == "deploy-the-function"]
    found = [step.body for step in recording.steps if step.request == "DescribeImageTags"]
    tags = [
        {each["imageTag"]: each["imageDetail"]["imageDigest"] for each in body["imageTagDetails"]} for body in found
    ]
    last = recording.steps[-1].body["imageDetails"]

    one, other = "<image one>", "<image other>"
    assert tags == [
        {"a": one, "b": one, "someone-else": one},
        {"a": other, "b": other, "someone-else": one},
        {"a": other, "b": other, "someone-else": one},
    ]
    assert [(each["imageDigest"], each["imageTags"]) for each in last] == [(one, ["someone-else"])]


def test_the_function_copies_from_private_ecr_byte_for_byte(recordings: list[Recording]) -> None:
    (recording,) = [each for each in recordings if each.case == "copy-from-private-ecr"]
    steps = {step.request: step.body for step in recording.steps}

    assert steps["GET manifests/a [token]"] == "<image one>"
    assert steps["create: the stack"] == "CREATE_COMPLETE"
    assert recording.steps[-1].body == {"imageDetails": []}
