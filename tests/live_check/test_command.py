"""``cdk-ecrpublic live-check``, with a sandbox that stands for AWS and evaluates IAM policies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cdk_ecrpublic.live_check import endpoint
from cdk_ecrpublic.live_check.budget import for_stacks, usual
from cdk_ecrpublic.live_check.compare import Verdict, compare
from cdk_ecrpublic.live_check.endpoint import Endpoint
from cdk_ecrpublic.live_check.policy import REPOSITORY_ACTIONS, policy
from cdk_ecrpublic.live_check.recording import Recording
from cdk_ecrpublic.live_check.run import run_cases
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.sandbox import SandboxProcess
from tests.architecture.source import CHECKOUT
from tests.live_check.conftest import BY_NAME, USUAL

ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def aws() -> Iterator[SandboxProcess]:
    with SandboxProcess(options=["--auth"]) as process:
        yield process


@pytest.fixture
def fresh(aws: SandboxProcess) -> SandboxProcess:
    aws.reset()
    return aws


def command(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cdk_ecrpublic.cli", "live-check", *arguments],
        cwd=CHECKOUT,
        env=dict(environment or os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def names(aws: SandboxProcess) -> list[str]:
    return [each["repositoryName"] for each in aws.client("ecr-public").describe_repositories()["repositories"]]


def test_nothing_happens_without_an_account() -> None:
    found = command()

    assert found.returncode == 2
    assert "this creates and deletes repositories in an AWS account; name it with --account" in found.stderr


def test_nothing_happens_if_the_credentials_belong_to_another_account(fresh: SandboxProcess) -> None:
    found = command("--account", "111111111111", environment=fresh.environment())

    assert found.returncode == 2
    assert "the credentials belong to another account than 111111111111; nothing was done" in found.stderr
    assert fresh.requests.all() == []


def test_creating_the_first_registry_requires_an_option(fresh: SandboxProcess) -> None:
    found = command("--account", ACCOUNT, environment=fresh.environment())

    assert found.returncode == 2
    assert "the account has no public registry yet" in found.stderr
    assert "--create-registry" in found.stderr
    assert names(fresh) == []
    assert fresh.requests.count("CreateRepository") == 0


def test_a_run_reports_a_difference_and_writes_evidence(fresh: SandboxProcess, tmp_path: Path) -> None:
    """ministack's private ECR, behind the same host, accepts basic authentication; the small sandbox does not."""
    options = ["--case", "put-again", "--case", "log-in", "--evidence", str(tmp_path / "evidence"), "--format", "json"]
    found = command("--account", ACCOUNT, "--create-registry", *options, environment=fresh.environment())

    assert found.returncode == 1
    verdicts = {case["case"]: case["verdict"] for case in json.loads(found.stdout)["cases"]}
    assert verdicts == {"put-again": "same", "log-in": "behaves differently"}
    assert "AWS: put-again" in found.stderr
    assert json.loads((tmp_path / "evidence" / "aws.json").read_text())["cases"][0]["case"] == "put-again"
    assert ACCOUNT not in (tmp_path / "evidence" / "trace.json").read_text()
    assert names(fresh) == []


def test_a_run_against_a_sandbox_needs_no_account() -> None:
    found = command("--sandbox", "--case", "put-untagged")

    assert (found.returncode, found.stdout.splitlines()[-1]) == (0, "1 same")


def test_cases_that_need_more_than_one_service_are_left_out_with_two_sandboxes() -> None:
    found = command("--sandbox", "--case", "put-untagged", "--case", "look-up-events", "--case", "fail-to-create")

    assert (found.returncode, found.stdout.splitlines()[-1]) == (0, "1 same")
    assert "cannot answer them: fail-to-create, look-up-events" in found.stderr


def test_fails_if_no_case_is_left_to_compare() -> None:
    found = command("--sandbox", "--case", "fail-to-create")

    assert (found.returncode, found.stdout) == (2, "")
    assert "no case is left to compare" in found.stderr


def test_a_sweep_removes_nothing_that_has_not_expired(fresh: SandboxProcess) -> None:
    fresh.client("ecr-public").create_repository(repositoryName="cdk-ecrpublic-live-check/0123456789/case")

    found = command("--account", ACCOUNT, "--sweep", "--with", "stack", environment=fresh.environment())

    assert found.returncode == 0
    assert found.stdout == (
        "deleted: 0 repositories, 0 private repositories, 0 stacks, 0 parameters without a stack; "
        "not expired yet: 1 repositories\n"
    )
    assert len(names(fresh)) == 1


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--list"], "put-again"),
        (["--list", "--with", "slow"], "outlive-a-token"),
        (["--list", "--with", "slow"], "look-up-events"),
        (["--policy", "--with", "slow"], "cloudtrail:LookupEvents"),
        (["--list", "--with", "stack"], "fail-to-create"),
        (["--policy", "--with", "stack"], "arn:aws:iam::123456789012:role/cdk-ecrpublic-live-check-*"),
        (["--policy", "--with", "stack"], "arn:aws:ecr:us-east-1:123456789012:repository/cdk-ecrpublic-live-check/*"),
        (["--list", "--case", "remove-*"], "remove-subject"),
        (["--policy", "--account", "222222222222"], "arn:aws:ecr-public::222222222222:registry/222222222222"),
    ],
)
def test_lists_and_policies_need_no_credentials(arguments: list[str], shown: str) -> None:
    found = command(*arguments)

    assert found.returncode == 0
    assert shown in found.stdout


def test_an_unknown_case_is_refused() -> None:
    found = command("--sandbox", "--case", "nonsense")

    assert found.returncode == 2
    assert "no case matches nonsense" in found.stderr


def restricted_endpoint(aws: SandboxProcess, *, with_stacks: bool) -> Endpoint:
    """Return the sandbox for a user who has only the permissions of the policy that the command prints."""
    iam, name = aws.client("iam"), f"checker-{with_stacks}"
    document = json.dumps(policy(ACCOUNT, with_stacks=with_stacks))
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="live-check", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    return Endpoint(
        name="AWS",
        account=aws.account,
        scheme="http",
        hosts=endpoint.sandbox(aws).hosts,
        client=lambda service, region: aws.client(
            service, region_name=region, config=endpoint.config_for(service), **keys
        ),
    )


@pytest.fixture(scope="module")
def restricted(aws: SandboxProcess) -> tuple[list[Recording], Session]:
    """All default cases with the permissions of the policy."""
    aws.reset()
    return run_cases(USUAL, restricted_endpoint(aws, with_stacks=False), usual())


def test_the_printed_policy_is_sufficient_for_stacks_and_so_is_the_role(fresh: SandboxProcess) -> None:
    """Of the many cases with stacks, these three need different permissions."""
    cases = [BY_NAME[name] for name in ("fail-to-delete", "deploy-the-function", "copy-from-private-ecr")]
    side = restricted_endpoint(fresh, with_stacks=True)

    restricted, _ = run_cases(cases, side, for_stacks())

    unrestricted, _ = run_cases(cases, endpoint.sandbox(fresh), for_stacks())
    assert [(each.case, each.stopped) for each in restricted if each.stopped] == []
    assert {each.verdict for each in compare(unrestricted, restricted)} == {Verdict.SAME}


def test_the_printed_policy_is_sufficient(
    restricted: tuple[list[Recording], Session], usual: tuple[list[Recording], Session]
) -> None:
    mine = {recording.case: recording.stopped for recording in restricted[0]}
    denied = {
        (recording.case, step.request)
        for recording in restricted[0]
        for step in recording.steps
        if step.code == "AccessDeniedException"
    }
    # Registries and Regions that the policy does not name, and operations that do not exist.
    expected = {"put-elsewhere", "put-with-two-errors", "call-another-region", "send-malformed-requests"}

    assert [case for case, why in mine.items() if why] == []
    assert {case for case, _ in denied} <= expected
    assert len(restricted[0]) == len(usual[0])


def test_each_action_of_the_policy_is_used(restricted: tuple[list[Recording], Session]) -> None:
    called = {entry["request"].split(" ")[0] for entry in restricted[1].transport.trace.entries}

    # AWS requires TagResource for creating a repository with tags; ListTagsForResource is for --sweep.
    assert set(REPOSITORY_ACTIONS) - called == {"TagResource", "ListTagsForResource"}
