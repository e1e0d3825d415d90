"""Evidence contains no secret, account or alias. A report says what differs, and what rests on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdk_ecrpublic.live_check import endpoint, evidence
from cdk_ecrpublic.live_check.budget import usual
from cdk_ecrpublic.live_check.compare import Verdict, compare
from cdk_ecrpublic.live_check.errors import LiveCheckError
from cdk_ecrpublic.live_check.normalize import Normalizer
from cdk_ecrpublic.live_check.recording import Recording
from cdk_ecrpublic.live_check.report import Report
from cdk_ecrpublic.live_check.run import run_cases
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.live_check.trace import Trace
from cdk_ecrpublic.live_check.transport import Response
from cdk_ecrpublic.sandbox import Fault, Sandbox, Settings
from tests.live_check.conftest import BY_NAME, USUAL, record

CASES = [BY_NAME["log-in"], BY_NAME["put-again"], BY_NAME["put-wrong-digest"]]


def report_of(left: list[Recording], right: list[Recording]) -> Report:
    return Report(left="sandbox", right="AWS", date="2026-11-29", cases=CASES, differences=compare(left, right))


@pytest.fixture(scope="module")
def other() -> tuple[list[Recording], Session]:
    def prepare(sandbox: Sandbox) -> None:
        sandbox.faults.add(
            Fault(operation="PutImage", skip=3, code="ImageAlreadyExistsException", message="other | words"),
            Fault(operation="PutImage", skip=4, code="InvalidParameterException", message="a secret-marker"),
        )

    return record(CASES, Settings(basic_on_v2=401, alias="custom"), prepare)


@pytest.fixture(scope="module")
def report(other: tuple[list[Recording], Session]) -> Report:
    return report_of(record(CASES)[0], other[0])


def test_the_folder_contains_no_secret_and_no_name(
    tmp_path: Path, report: Report, other: tuple[list[Recording], Session]
) -> None:
    trace = other[1].transport.trace
    trace.secrets.add("secret-marker")

    evidence.write(tmp_path / "evidence", report, trace, {"version": "0.2.0"})

    files = {path.name: path.read_text() for path in (tmp_path / "evidence").iterdir()}
    assert sorted(files) == ["aws.json", "report.json", "report.md", "sandbox.json", "trace.json"]
    assert len(trace.secrets) > 4, "the password, tokens, and the marker"
    for text in files.values():
        assert [secret for secret in trace.secrets if secret in text] == []
        assert "123456789012" not in text
        assert "custom" not in text
        assert "Bearer ey" not in text
    assert "<secret>" in files["aws.json"]
    assert any(entry["headers"].get("www-authenticate") for entry in json.loads(files["trace.json"]))


def test_the_trace_keeps_no_header_with_credentials(sandbox: Sandbox) -> None:
    session = Session.begin(endpoint.sandbox(sandbox), usual())
    session.transport.raw_api("SpencerFrontendService.DescribeRegistries", {})
    session.transport.http("GET", f"http://{session.endpoint.hosts[0]}/v2/", {"Authorization": "Bearer marked"})

    signed, plain = session.transport.trace.entries[-2:]
    assert "X-Amz-Target" in signed["details"]
    assert "Signature" not in str(signed)
    assert "X-Amz-Date" not in str(signed)
    assert "marked" not in str(plain)


def test_the_trace_keeps_no_name_of_another_repository(sandbox: Sandbox) -> None:
    sandbox.client("ecr-public").create_repository(repositoryName="acme/agent")

    _, session = run_cases([BY_NAME["put-again"]], endpoint.sandbox(sandbox), usual())

    assert "DescribeRepositories" in str(session.transport.trace.entries)
    assert "acme" not in str(session.transport.trace.entries)


def test_the_trace_keeps_no_signed_url_and_no_token_of_any_name() -> None:
    trace, token = Trace(), "t" * 3000
    signed = "https://cdn.example/layer?Policy=YWNjb3VudA==&Signature=marker&Key-Pair-Id=marker"
    data = {"access_token": token, "nested": [{"refresh_token": "another-long-token-of-the-run"}]}
    response = Response(status=307, headers={"location": signed, "link": f'<{signed}>; rel="next"'}, data=data)

    trace.add(f"GET {signed}", {}, response)

    (entry,) = trace.entries
    assert "marker" not in json.dumps(entry)
    assert "YWNj" not in json.dumps(entry)
    assert entry["request"] == "GET https://cdn.example/layer?Policy=…&Signature=…&Key-Pair-Id=…"
    assert trace.secrets == {token, "another-long-token-of-the-run"}
    cut = f'{{"message": "not valid: {token[:600]}", "status": 400}}'
    assert trace.leaks(cut) != []
    assert trace.redacted(cut) == '{"message": "not valid: <secret>", "status": 400}'
    assert Normalizer().data(data) == {"access_token": "<token>", "nested": [{"refresh_token": "<token>"}]}


@pytest.mark.parametrize(
    "identity",
    [
        "arn:aws:sts::123456789012:assumed-role/Admin/bob@example.com",
        "arn%3Aaws%3Aiam%3A%3A123456789012%3Auser%2Fbob",
        "arn:aws:organizations::999988887777:policy/o-1234567890/service_control_policy/p-12345678",
        "assumed-role/Admin/bob@example.com",
    ],
)
def test_an_identity_is_replaced_and_the_json_around_it_stays_valid(identity: str) -> None:
    text = json.dumps({"message": f"User: {identity}", "next": 1})

    assert json.loads(Trace().redacted(text)) == {"message": "User: <identity>", "next": 1}


def test_nothing_is_written_if_the_evidence_would_contain_a_secret(
    tmp_path: Path, report: Report, other: tuple[list[Recording], Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = other[1].transport.trace
    monkeypatch.setattr(type(trace), "redacted", lambda _self, text: text)

    with pytest.raises(LiveCheckError, match=r"would contain .*; nothing was written"):
        evidence.write(tmp_path / "evidence", report, trace, {})

    assert not (tmp_path / "evidence").exists()


def test_recordings_contain_no_names_and_no_secrets(usual: tuple[list[Recording], Session]) -> None:
    recordings, session = usual
    text = json.dumps([recording.as_data() for recording in recordings])

    for name in (session.guard.run, session.guard.account, session.endpoint.hosts[0], session.guard.alias):
        assert name not in text
    assert [secret for secret in session.transport.trace.secrets if secret in text] == []


def test_a_recording_can_be_stored_as_json(usual: tuple[list[Recording], Session]) -> None:
    data = json.loads(json.dumps([recording.as_data() for recording in usual[0]]))

    again = [Recording.from_data(each) for each in data]

    assert {each.verdict for each in compare(usual[0], again)} == {Verdict.SAME}


def test_a_report_has_the_verdicts(report: Report) -> None:
    assert [each.verdict for each in report.differences] == [Verdict.BEHAVIOR, Verdict.TEXT, Verdict.BEHAVIOR]
    assert report.verdict is Verdict.BEHAVIOR
    assert report.summary == "1 text differs, 2 behaves differently"


def test_text_shows_both_responses_and_what_rests_on_them(report: Report) -> None:
    lines = report.as_text().splitlines()

    assert "behaves differently  log-in" in lines
    assert "    GET /v2/ [basic]" in lines
    assert any(line.startswith("        sandbox: 400 DENIED") for line in lines)
    assert any(line.startswith("        AWS: 401 DENIED") for line in lines)
    assert "    rests on it: the setting basic_on_v2 of the sandbox" in lines
    assert "    rests on it: lambda_handler.ecr_public.repository.EcrPublicRepository._confirm" in lines
    assert lines[-1] == report.summary


def test_markdown_has_a_table_of_all_cases_and_escapes_cells(report: Report) -> None:
    text = report.as_markdown()

    assert text.startswith("# sandbox and AWS, 2026-11-29\n")
    assert f"| `put-again` | {BY_NAME['put-again'].question} | text differs |" in text
    assert "other \\| words" in text
    assert "- the fidelity page: same tag, same digest" in text


def test_json_has_the_same_verdicts_and_the_responses(report: Report) -> None:
    data = json.loads(report.as_json())

    assert data["formatVersion"] == 1
    assert data["endpoints"] == ["sandbox", "AWS"]
    assert [case["verdict"] for case in data["cases"]] == [str(each.verdict) for each in report.differences]
    (difference,) = data["cases"][1]["differences"]
    assert [response["code"] for response in difference["responses"]] == ["ImageAlreadyExistsException"] * 2


def test_a_case_that_did_not_finish_is_not_comparable(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(operation="CreateRepository", code="AccessDeniedException", times=None))
    stopped, _ = run_cases(CASES, endpoint.sandbox(sandbox), usual())

    report = report_of(record(CASES)[0], stopped)

    assert {each.verdict for each in report.differences} == {Verdict.INCOMPARABLE}
    assert "AWS stopped: LiveCheckError: CreateRepository failed: AccessDeniedException" in report.as_text()


def test_a_case_that_was_not_run_is_not_comparable() -> None:
    (difference,) = compare([Recording(case="a")], [])

    assert difference.verdict is Verdict.INCOMPARABLE


def test_measurements_are_reported_but_not_compared() -> None:
    left, right = ([Recording(case="log-in", measured={"seconds": each})] for each in (1, 2))
    report = Report(left="sandbox", right="AWS", date="", cases=[BY_NAME["log-in"]], differences=compare(left, right))

    assert report.verdict is Verdict.SAME
    assert "Measured, AWS:\n\n- seconds: 2" in report.as_markdown()


def test_the_default_group_has_more_than_forty_cases() -> None:
    assert len(USUAL) > 40
