"""
Upgrades cause no surprises: declarations render as in earlier releases, and their properties stay accepted.

Stacks keep the properties that they were deployed with. If a property renders
differently, every image of every user gets an Update. Another physical id
replaces, and so deletes, a resource. Another construct id deletes a resource and
creates a new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_handler.resources.turn import ID_PREFIX
from lambda_handler.sources import SOURCES
from lambda_handler.spec import Property
from tests.support.distribution import run

from .declarations import DECLARATIONS
from .records import STACKS, Record, World, kinds, recorded, rendered, rendered_stacks, versions, world

NEWEST = versions()[-1]
EVER = [(version, kind) for version in versions() for kind in kinds(version)]

WHAT_TO_DO = """
Every user who upgrades gets an Update of each image that is declared like this.
If that was not meant, render what was rendered before: a new option is left out until it is given.
If it was meant: run `python -m tests.contract.records`, which writes what the version of pyproject.toml
renders next to what {version} did, and say it in CHANGELOG.md under "Will this redeploy my images?".
"""


@pytest.mark.parametrize("kind", kinds(NEWEST))
def test_an_upgrade_sends_no_update(kind: str) -> None:
    before = {name: value for name, value in recorded(NEWEST)[kind].items() if name != "Answer"}

    assert rendered(kind) == before, WHAT_TO_DO.format(version=NEWEST)


@pytest.mark.cdk
def test_the_feature_flags_of_a_new_app_send_no_update(tmp_path: Path) -> None:
    """Setting them in an existing app changes nothing either."""
    (tmp_path / "new").mkdir()
    run("cdk", "init", "app", "--language", "python", "--generate-only", folder=tmp_path / "new")
    flags = json.loads((tmp_path / "new" / "cdk.json").read_text(encoding="utf-8"))["context"]

    assert sum(name.startswith("@aws-cdk/") for name in flags) > 50
    assert [kind for kind in kinds(NEWEST) if rendered(kind, flags) != rendered(kind)] == []


def test_every_kind_of_declaration_is_recorded() -> None:
    """Recorded declarations stay valid. New ones are recorded with the next version."""
    assert set(kinds(NEWEST)) == set(DECLARATIONS), "run `python -m tests.contract.records`"


def test_the_declarations_have_every_property_and_source() -> None:
    properties = [record["Properties"] for record in kinds(NEWEST).values()]

    assert {name for each in properties for name in each} == {*Property, "ServiceToken", "ServiceTimeout"}
    assert {name for each in properties for name in each["Source"]} == set(SOURCES)


def test_logical_ids_and_export_names_never_change() -> None:
    """A template in another language imports the export; the token of a deployed resource can never change."""
    before, now = recorded(NEWEST)[STACKS], rendered_stacks()

    assert now == before, WHAT_TO_DO.format(version=NEWEST)


def test_these_ids_are_those_of_the_first_release() -> None:
    """The ids are repeated here because record files can be regenerated, but these must never change."""
    stacks = rendered_stacks()

    assert stacks["ProviderStackOutputs"]["ServiceToken"] == {
        "Value": {"Fn::GetAtt": ["ECRPublicImageHandler", "Arn"]},
        "Export": {"Name": "ECRPublicImageHandlerArn"},
    }
    assert stacks["Resources"]["ECRPublicImageHandler"] == "AWS::Lambda::Function"
    assert {record["Type"] for record in kinds(NEWEST).values()} == {"Custom::ECRPublicImage"}
    assert ID_PREFIX == "ecr-public:"


@pytest.fixture(scope="module")
def account() -> Iterator[World]:
    """An account with everything that the recorded declarations of any release need."""
    with pytest.MonkeyPatch.context() as patch:
        everything = [record for version in versions() for record in kinds(version).values()]
        with world(everything, patch.setenv) as account:
            yield account


@pytest.mark.parametrize(("version", "kind"), EVER)
def test_the_properties_of_every_release_are_still_accepted(account: World, version: str, kind: str) -> None:
    """A resource is created, updated from the properties of an old release to the current ones, and deleted."""
    record = recorded(version)[kind]
    sent = account.as_sent(record["Properties"])

    created = account.create(record)
    assert created.succeeded, created.reason
    assert record["Answer"] == _answered(created.physical_id, created.data)

    newer = {**sent, "ImageTags": [*sent.get("ImageTags", []), f"newer-{kind}"]}
    updated = account.cloudformation.update(created.physical_id, newer, sent, record["LogicalId"])
    assert updated.succeeded, updated.reason
    assert updated.physical_id == created.physical_id, "an update in place would become a replacement"

    assert account.cloudformation.delete(updated.physical_id, newer, record["LogicalId"]).succeeded


def _answered(physical_id: str, data: dict[str, str]) -> Record:
    answered: dict[str, Any] = {"PhysicalResourceId": physical_id, "ImageDigest": data["ImageDigest"]}
    return answered
