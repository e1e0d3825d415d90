"""A case records the same on two equal sandboxes, and detects each setting that changes their behavior."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields
from typing import Any

import pytest

from cdk_ecrpublic.live_check import budget
from cdk_ecrpublic.live_check.case import Case, Group
from cdk_ecrpublic.live_check.cases import CASES
from cdk_ecrpublic.live_check.compare import Verdict, compare
from cdk_ecrpublic.live_check.recording import Recording
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.sandbox import Fault, Sandbox, Settings
from tests.architecture.source import CHECKOUT
from tests.live_check.conftest import BY_NAME, USUAL, record

OTHER_VALUES: dict[str, Any] = {
    "alias": "custom",
    "region": "us-west-2",
    "read_lag_tag_seconds": 0.3,
    "read_lag_digest_seconds": 0.3,
    "read_lag_describe_seconds": 0.3,
    "removed_index_lag_seconds": 30.0,
    "get_manifest_digest_header": True,
    "manifest_put_location": True,
    "patch_status": 202,
    "mount": "error",
    "no_tag_no_digest": "reject",
    "schema1": "accept",
    "strict_part_size": True,
    "min_part_bytes": 0,
    "basic_on_v2": 401,
    "raw_bearer": "reject",
    "translate_on_accept_mismatch": True,
    "media_type_parameters": "reject",
    "anonymous_pulls_per_second": 1.0,
    "authenticated_pulls_per_second": 1.0,
    "put_images_per_second": 1.0,
    "initiate_layer_uploads_per_second": 1.0,
    "complete_layer_uploads_per_second": 1.0,
    "batch_delete_images_per_second": 1.0,
    "describe_images_per_second": 1.0,
    "push_age_seconds": 86_400.0,
    "token_ttl_seconds": 600.0,
    "password_ttl_seconds": 3600.0,
    "expired_style": 403,
    "subject_must_exist": True,
    "images_per_repository": 10,
    "tags_per_image": 1001,
    "layer_max_bytes": 1024 * 1024 - 1,
}
"""Another value for each setting."""

ON_REQUEST = tuple(case for case in CASES if case.group in (Group.LIMITS, Group.SLOW) and not case.needs_other_services)

FIDELITY = CHECKOUT / "docs" / "explanation" / "sandbox-fidelity.md"


@pytest.fixture(scope="module")
def on_request() -> dict[str, Recording]:
    """Recordings of the cases that are run on request, once."""
    return {case.name: record([case])[0][0] for case in ON_REQUEST}


@pytest.fixture(scope="module")
def recordings(usual: tuple[list[Recording], Session], on_request: dict[str, Recording]) -> dict[str, Recording]:
    return {**{each.case: each for each in usual[0]}, **on_request}


def test_all_cases_record_the_same_on_two_sandboxes(usual: tuple[list[Recording], Session]) -> None:
    again, _ = record(USUAL)

    differences = compare(usual[0], again)
    assert [(each.case, each.verdict, each.steps) for each in differences if each.verdict is not Verdict.SAME] == []
    assert len(differences) == len(USUAL)


@pytest.mark.parametrize(
    "case",
    [case for case in ON_REQUEST if case.name not in ("exceed-tags", "upload-parts")],
    ids=lambda case: case.name,
)
def test_a_case_that_is_run_on_request_records_the_same_twice(case: Case, on_request: dict[str, Recording]) -> None:
    (difference,) = compare([on_request[case.name]], record([case])[0])

    assert (difference.verdict, difference.steps) == (Verdict.SAME, ())


def test_the_default_cases_stay_well_below_the_budget(usual: tuple[list[Recording], Session]) -> None:
    limit = budget.usual()
    trace = usual[1].transport.trace

    assert len(trace.entries) < limit.requests * 0.9
    assert sum(len(str(entry)) for entry in trace.entries) < 4 * budget.MIB


def test_every_setting_has_another_value_and_a_case() -> None:
    names = [item.name for item in fields(Settings)]

    assert list(OTHER_VALUES) == names
    assert sorted({setting for case in CASES for setting in case.settings}) == sorted(names)


def _settings_of_cases() -> list[tuple[str, str]]:
    return [(setting, case.name) for setting in OTHER_VALUES for case in CASES if setting in case.settings]


@pytest.mark.parametrize(("setting", "name"), _settings_of_cases())
def test_a_case_detects_a_change_of_each_setting_that_it_names(
    setting: str, name: str, recordings: dict[str, Recording]
) -> None:
    settings: dict[str, Any] = {setting: OTHER_VALUES[setting]}
    if setting == "expired_style":
        assert recordings[name].steps, "an expired token is refused with 400 by default"
    changed, _ = record([BY_NAME[name]], Settings(**settings))

    (difference,) = compare([recordings[name]], changed)
    assert difference.verdict in (Verdict.BEHAVIOR, Verdict.INCOMPARABLE)
    assert difference.steps


SEEDED = {
    "put-again": Fault(operation="PutImage", skip=1, code="ImageTagAlreadyExistsException"),
    "put-back-and-forth": Fault(operation="PutImage", skip=2, code="ImageAlreadyExistsException"),
    "put-untagged": Fault(operation="PutImage", skip=1, code="ImageAlreadyExistsException", message="exists"),
    "read-after-write": Fault(operation="DescribeImages", skip=5, stale=True),
    "read-before-write": Fault(operation="GetManifest", skip=1, stale=True),
    "remove-tags": Fault(operation="BatchDeleteImage", code="ServerException"),
    "remove-by-digest-and-tag": Fault(operation="BatchDeleteImage", code="InvalidParameterException"),
    "remove-subject": Fault(operation="ListReferrers", code="NAME_UNKNOWN"),
    "put-wrong-digest": Fault(operation="PutImage", code="ImageDigestDoesNotMatchException", message="another text"),
    "log-in": Fault(operation="Ping", skip=1, status=403, body="refused"),
    "read-blobs": Fault(operation="GetBlob", status=302, body=""),
    "upload-in-chunks": Fault(operation="CompleteUpload", status=202, body=""),
}
"""Twelve differences, each in one response."""

ONLY_TEXT = {"put-untagged", "put-wrong-digest"}


@pytest.mark.parametrize("name", SEEDED)
def test_a_case_detects_a_difference_in_one_response(name: str, recordings: dict[str, Recording]) -> None:
    seeded, _ = record([BY_NAME[name]], prepare=lambda sandbox: _seed(sandbox, SEEDED[name]))

    (difference,) = compare([recordings[name]], seeded)
    assert difference.verdict is (Verdict.TEXT if name in ONLY_TEXT else Verdict.BEHAVIOR)


def _seed(sandbox: Sandbox, fault: Fault) -> None:
    sandbox.faults.add(fault)


def test_names_are_unique_and_questions_have_a_question_mark() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in CASES if not re.search(r"\?( |$)", case.question)] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_case_refers_to_exists(case: Case) -> None:
    rows = {
        line.split("|")[1].strip().removeprefix("\N{EN DASH} ")
        for line in FIDELITY.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    }

    assert [row for row in case.fidelity if row not in rows] == []
    assert [place for place in case.handler if not _exists(place)] == []
    assert case.fidelity or case.handler


def _exists(place: str) -> bool:
    """Return whether ``package.module.Class.method`` exists below the handler."""
    parts = place.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(f"lambda_handler.{'.'.join(parts[:length])}")
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name, None)
        return found is not None
    return False


def test_only_the_group_of_the_registry_runs_by_default() -> None:
    assert {case.group for case in USUAL} == {Group.REGISTRY}
    assert {case.group for case in CASES} >= {Group.LIMITS, Group.SLOW, Group.STACK}
