"""The fake services for the benchmark of many images, with real clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.processes import BenchmarkError
from benchmarks.scale_control_plane import ControlPlane
from benchmarks.scale_processes import in_own_process
from benchmarks.scale_quotas import Quotas
from benchmarks.scale_time import Time

STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Scale0/5a7d8f10-0000-4000-8000-123456789abc"


@pytest.fixture
def time() -> Time:
    return Time.begin()


@pytest.fixture
def plane(time: Time) -> Iterator[ControlPlane]:
    plane = ControlPlane(time)
    yield plane
    plane.close()


def client(plane: ControlPlane, service: str, region: str = "eu-west-1") -> Any:
    config = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "1" * 12, "aws_secret_access_key": "none"}
    return boto3.client(service, region_name=region, endpoint_url=plane.url(), config=config, **keys)  # type: ignore[call-overload]


def put(ssm: Any, name: str, value: str = "x") -> None:
    ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


def code_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_a_token_bucket_holds_one_second_and_refills(plane: ControlPlane, time: Time) -> None:
    ssm = client(plane, "ssm")
    plane.limit(Quotas(put_parameter=3))
    for number in range(3):
        put(ssm, f"/{number}")

    assert code_of(put, ssm=ssm, name="/3") == "ThrottlingException"
    time.move_on(0.4)
    put(ssm, "/3")
    assert code_of(put, ssm=ssm, name="/4") == "ThrottlingException"
    counts = plane.counts()
    assert (counts.asked["PutParameter"], counts.throttled["PutParameter"]) == (6, 2)


def test_reads_of_all_kinds_share_a_token_bucket(plane: ControlPlane) -> None:
    ssm = client(plane, "ssm")
    put(ssm, "/a/b")
    plane.limit(Quotas(read_parameters=3))

    ssm.get_parameter(Name="/a/b")
    ssm.get_parameters(Names=["/a/b"])
    ssm.get_parameters_by_path(Path="/a")

    assert code_of(ssm.get_parameter, Name="/a/b") == "ThrottlingException"
    put(ssm, "/a/c")


def test_regions_have_separate_parameters_and_quotas(plane: ControlPlane) -> None:
    here, there = client(plane, "ssm"), client(plane, "ssm", "us-east-1")
    plane.limit(Quotas(put_parameter=1))

    put(here, "/a")
    put(there, "/a", "y")

    assert here.get_parameter(Name="/a")["Parameter"]["Value"] == "x"
    assert there.get_parameter(Name="/a")["Parameter"]["Value"] == "y"


def test_parameters_are_read_by_path_in_pages_of_ten(plane: ControlPlane) -> None:
    ssm = client(plane, "ssm")
    for number in range(12):
        put(ssm, f"/a/{number:02}")
    put(ssm, "/a/b/c")

    def names(**options: Any) -> list[list[str]]:
        pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/a", **options)
        return [[each["Name"] for each in page["Parameters"]] for page in pages]

    assert [len(page) for page in names()] == [10, 2]
    assert [len(page) for page in names(Recursive=True)] == [10, 3]
    assert names(Recursive=True)[1][-1] == "/a/b/c"
    assert code_of(ssm.get_parameters_by_path, Path="/a", MaxResults=11) == "ValidationException"


def test_parameters_are_read_by_name_ten_at_once(plane: ControlPlane) -> None:
    ssm = client(plane, "ssm")
    put(ssm, "/1")

    found = ssm.get_parameters(Names=["/1", "/2"])

    assert [each["Name"] for each in found["Parameters"]] == ["/1"]
    assert found["InvalidParameters"] == ["/2"]
    assert code_of(ssm.get_parameters, Names=[f"/{number}" for number in range(11)]) == "ValidationException"


def test_a_parameter_is_written_read_and_deleted(plane: ControlPlane) -> None:
    ssm = client(plane, "ssm")

    assert code_of(ssm.get_parameter, Name="/a") == "ParameterNotFound"
    put(ssm, "/a")
    assert code_of(ssm.put_parameter, Name="/a", Value="y", Type="String") == "ParameterAlreadyExists"
    assert ssm.put_parameter(Name="/a", Value="y", Type="String", Overwrite=True)["Version"] == 2
    assert code_of(put, ssm=ssm, name="/a", value="x" * 4097) == "ValidationException"
    ssm.delete_parameter(Name="/a")
    assert code_of(ssm.delete_parameter, Name="/a") == "ParameterNotFound"


def test_the_stack_has_a_status_and_its_events(plane: ControlPlane, time: Time) -> None:
    cloudformation = client(plane, "cloudformation")
    for status in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_IN_PROGRESS"):
        plane.enter(status)
        time.move_on(time.now() + 60)

    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]

    assert (stack["StackId"], stack["StackName"], stack["StackStatus"]) == (STACK, "Scale0", "UPDATE_IN_PROGRESS")
    statuses = [each["ResourceStatus"] for each in events]
    assert statuses == ["UPDATE_IN_PROGRESS", "CREATE_COMPLETE", "CREATE_IN_PROGRESS"]
    assert {each["PhysicalResourceId"] for each in events} == {STACK}
    assert events[2]["Timestamp"] == stack["CreationTime"]
    assert (events[0]["Timestamp"] - events[2]["Timestamp"]).total_seconds() == pytest.approx(120, abs=0.01)


def test_the_status_of_a_resource_has_the_time_of_its_stack(plane: ControlPlane) -> None:
    cloudformation = client(plane, "cloudformation")
    plane.enter("CREATE_IN_PROGRESS")

    detail = cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId="Image0")["StackResourceDetail"]

    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    assert (detail["LogicalResourceId"], detail["ResourceStatus"]) == ("Image0", "CREATE_IN_PROGRESS")
    assert detail["LastUpdatedTimestamp"] == stack["CreationTime"]


def test_a_response_is_stored_with_its_time(plane: ControlPlane, time: Time) -> None:
    address = f"{plane.url()}/answers/1?X-Amz-Signature=none"
    time.move_on(7.5)
    refused = urllib3.request("PUT", address, body=b"{}", headers={"Content-Type": "application/json"})
    taken = urllib3.request("PUT", address, body=b'{"Status": "FAILED"}', headers={"Content-Type": ""})

    assert (refused.status, taken.status, plane.progress()) == (403, 200, (1, 1))
    assert plane.answers() == {"1": [(7.5, '{"Status": "FAILED"}')]}
    assert plane.progress() == (0, 0)


def test_a_service_works_the_same_in_a_separate_process(time: Time) -> None:
    with in_own_process(ControlPlane, time) as plane:
        plane.limit(Quotas(put_parameter=1))
        put(client(plane, "ssm"), "/a")
        time.move_on(1.0)
        put(client(plane, "ssm"), "/b")

        counts = plane.counts()
        assert (counts.asked, counts.throttled) == ({"PutParameter": 2}, {})


def test_a_failure_in_a_separate_process_is_reported(time: Time) -> None:
    with in_own_process(ControlPlane, time) as plane, pytest.raises(BenchmarkError, match=r"enter failed .* TypeError"):
        plane.enter()  # type: ignore[call-arg]
