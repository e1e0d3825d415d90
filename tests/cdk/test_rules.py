"""Rules with the real cdk command line: a skipped tag, a refused release, a warning, and rollbacks of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Project
from .test_removal import digest, failing_after, image
from .test_review import tool

pytestmark = pytest.mark.cdk

SKIP, REFUSE, WARN = (
    "ReleaseRule.forward_only()",
    'ReleaseRule.forward_only(on_older="refuse")',
    'ReleaseRule.forward_only(on_older="refuse", warn_only=True)',
)
HIGHER = "it is at 2.0.0, which is higher than 1.9.1"


def versions(project: Project, *names: str) -> list[str]:
    """Push an image for each version; return the digests."""
    return [project.push(name).digest for name in names]


def release(image_digest: str, *tags: str, rule: str = SKIP, fails: bool = False) -> str:
    declared = image(digest(image_digest), *tags, rules=f"[{rule}]")
    imports = "from cdk_ecrpublic import ReleaseRule\n"
    return imports + (failing_after(declared) if fails else declared)


def planned(project: Project) -> dict[str, Any]:
    """Plan without checking the exit status; return the release."""
    assert project.cdk("synth", "--quiet").returncode == 0
    result = tool(project, "plan", "--format", "json")
    found: dict[str, Any] = json.loads(result.stdout)["images"][0]
    return found


def test_a_skipped_tag_stays_and_a_rollback_returns_it_there(project: Project) -> None:
    """D1 leaves ``latest`` at another stack's 2.0.0; D2 moves it, and is rolled back."""
    two, one, later = versions(project, "2.0.0", "1.9.1", "2.0.1")
    project.push("2.0.0", "2.0.0", "latest")
    with_output = 'CfnOutput(self, "Skipped", value=self.node.find_child("Release").skipped_tags)\n'
    project.write_app(release(one, "1.9.1", "1.9", "latest") + with_output)

    plan = planned(project)
    printed = project.deploy()

    assert {tag["tag"]: tag["action"] for tag in plan["tags"]} == {"1.9.1": "create", "1.9": "create", "latest": "skip"}
    assert plan["tags"][2]["reason"] == HIGHER
    assert "Test.Skipped = latest" in printed
    left = {"2.0.0": two, "latest": two, "1.9.1": one, "1.9": one}
    assert project.tags() == left
    verified = tool(project, "verify")
    assert verified.returncode == 0
    assert f"tag latest stays where it is: {HIGHER}" in verified.stdout

    project.write_app(release(later, "2.0.1", "latest", fails=True))
    project.fail_to_deploy()

    # New tags stay, unless UNTAG or DESTROY is declared.
    assert project.tags() == {**left, "2.0.1": later}

    project.write_app(release(later, "2.0.1", "latest"))
    project.deploy()
    assert project.tags()["latest"] == later


def test_a_refused_release_changes_nothing(project: Project) -> None:
    zero, one = versions(project, "1.9.0", "1.9.1")
    project.write_app(release(zero, "1.9.0", "latest", rule=REFUSE))
    project.deploy()
    two = project.push("2.0.0", "2.0.0", "latest").digest
    tags = project.tags()
    project.write_app(release(one, "1.9.1", "latest", rule=REFUSE))

    plan = planned(project)
    printed = project.fail_to_deploy()

    assert plan["state"] == "refused"
    assert f"tag 'latest' may only move forward: {HIGHER}; release without this tag" in plan["problems"]
    assert "RULE_VIOLATION" in printed
    assert HIGHER in printed
    # The rollback of the refused release does not move the tag to a lower version either.
    assert project.tags() == tags == {"1.9.0": zero, "2.0.0": two, "latest": two}


def test_a_warn_only_rule_allows_the_release(project: Project) -> None:
    two = project.push("2.0.0", "2.0.0", "latest").digest
    (one,) = versions(project, "1.9.1")
    project.write_app(release(one, "1.9.1", "latest", rule=WARN, fails=True))

    plan = planned(project)
    project.fail_to_deploy()

    assert [HIGHER in warning for warning in plan["warnings"]] == [True]
    assert project.tags()["latest"] == two

    project.write_app(release(one, "1.9.1", "latest", rule=WARN))
    project.deploy()
    assert project.tags()["latest"] == one


@pytest.mark.parametrize("rule", [SKIP, REFUSE, WARN], ids=["skip", "refuse", "warn"])
def test_a_rollback_to_a_lower_version_succeeds(project: Project, rule: str) -> None:
    one, two = versions(project, "1.9.1", "2.0.0")
    project.write_app(release(one, "1.9.1", "latest", rule=rule))
    project.deploy()

    project.write_app(release(two, "2.0.0", "latest", rule=rule, fails=True))
    project.fail_to_deploy()

    assert project.tags() == {"1.9.1": one, "latest": one, "2.0.0": two}


def test_a_catalog_can_have_rules(project: Project) -> None:
    two = project.push("2.0.0", "2.0.0", "latest").digest
    (one,) = versions(project, "1.9.1")
    (project.folder / "images.yaml").write_text(
        f"""
defaults:
  rules: {{forward_only: {{}}}}
repositories:
  {project.repository}:
    images: [{{digest: "{one}", tags: ["1.9.1", latest]}}]
"""
    )
    project.write_app(
        'from cdk_ecrpublic import PublicImageCatalog\nPublicImageCatalog.from_file(self, "Catalog", "images.yaml")'
    )

    project.deploy()

    assert project.tags() == {"2.0.0": two, "latest": two, "1.9.1": one}
    assert tool(project, "verify").returncode == 0
