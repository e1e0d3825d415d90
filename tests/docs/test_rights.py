"""The policies on the page about rights match the grants of constructs and the calls of commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import CHECKOUT

from .pages import Snippet, snippets
from .synthesis import synthesize, write_files

PAGE = "docs/how-to/rights.md"


def statements(title: str) -> list[dict[str, Any]]:
    (found,) = [snippet for snippet in snippets("json", page=PAGE) if snippet.title == title]
    policy = json.loads(found.body)
    assert policy["Version"] == "2012-10-17"
    return list(policy["Statement"])


def actions(statement: dict[str, Any]) -> set[str]:
    named = statement["Action"]
    return {named} if isinstance(named, str) else set(named)


def test_the_policy_of_the_build_equals_that_of_grant_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (role,) = snippets("python", page=PAGE)
    write_files(role, tmp_path)

    template = synthesize(role, tmp_path)

    assert template is not None
    (policy,) = template.find_resources("AWS::IAM::Policy").values()
    rendered = policy["Properties"]["PolicyDocument"]["Statement"]
    arn = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ecr-public::123456789012:repository/acme/agent"]]}
    assert [(actions(each), each["Resource"]) for each in rendered] == [
        (actions(each), arn if "acme/agent" in each["Resource"] else each["Resource"])
        for each in statements("push.json")
    ]


def test_the_policy_of_the_review_has_the_actions_that_its_page_lists() -> None:
    table = (
        (CHECKOUT / "docs" / "how-to" / "review.md").read_text(encoding="utf-8").partition("| action | resource |")[2]
    )
    listed = set()
    for cell in re.findall(r"^\| (`[^|]*) \|", table.partition("\n\n")[0], re.MULTILINE):
        service, *names = re.findall(r"`(?:([a-z-]+:))?(\w+)`", cell)
        listed |= {f"{service[0]}{name}" for _, name in [service, *names]}

    assert set().union(*map(actions, statements("review.json"))) == listed


def test_a_release_has_no_permissions_for_ecr_public() -> None:
    (statement,) = statements("deploy.json")

    assert actions(statement) == {"sts:AssumeRole"}


def test_the_page_has_only_the_tested_json_snippets() -> None:
    def title(snippet: Snippet) -> str | None:
        return snippet.title

    assert list(map(title, snippets("json", page=PAGE))) == ["push.json", "deploy.json", "review.json"]
