"""``cdk-ecrpublic pin`` with the real cdk command line, which stores, lists and resets lookups."""

from __future__ import annotations

import json

import pytest

from cdk_ecrpublic.sandbox.images import push_image

from .conftest import Project
from .test_review import tool

pytestmark = pytest.mark.cdk


def test_a_tag_is_pinned_reviewed_moved_and_reset(project: Project) -> None:
    first, second = project.push("first", "stable"), project.push("second")
    project.write_app(
        'PublicImage(self, "Release", repository=repository, source=ImageSource.tag("stable"), tags=["1"])'
    )
    assert "cdk-ecrpublic pin" in project.cdk("synth", "--quiet").stdout
    assert tool(project, "pin", "--check").returncode == 1
    assert not (project.folder / "cdk.context.json").exists()

    pinned = tool(project, "pin")
    assert pinned.returncode == 0, pinned.stderr
    assert "run cdk diff to see what moves" in pinned.stdout
    project.deploy()
    assert project.tags()["1"] == first.digest

    push_image(project.sandbox, project.repository, second, ["stable"])
    assert tool(project, "pin", "--check").returncode == 1
    assert "There were no differences" in project.cdk("diff").stdout, "the template still has the first"
    assert tool(project, "pin").returncode == 0
    diff = project.cdk("diff").stdout
    assert f"[-] {first.digest}" in diff
    assert f"[+] {second.digest}" in diff
    assert tool(project, "pin", "--check").returncode == 0
    assert "cdk-ecrpublic pin" not in project.cdk("synth", "--quiet").stdout

    (key,) = (each for each in json.loads((project.folder / "cdk.context.json").read_text()) if "ecrpublic" in each)
    assert key in " ".join(project.cdk("context", "--json", own_process=True).stdout.split())
    assert project.cdk("context", "--reset", key, own_process=True).returncode == 0
    assert "cdk-ecrpublic pin" in project.cdk("synth", "--quiet").stdout


def test_an_unresolvable_name_does_not_change_the_file(project: Project) -> None:
    project.push("first", "stable")
    project.write_app(
        'PublicImage(self, "One", repository=repository, source=ImageSource.tag("stable"), tags=["1"])\n'
        'PublicImage(self, "Two", repository=repository, source=ImageSource.tag("absent"), tags=["2"])'
    )
    (project.folder / "cdk.context.json").write_text('{"kept": true, "cdk-ecrpublic:digest:gone.example/a:1": "x"}')
    assert project.cdk("synth", "--quiet").returncode == 0

    result = tool(project, "pin", "--json")

    assert result.returncode == 2
    data = json.loads(result.stdout)
    problems = {name["name"].rpartition(":")[2]: name["problem"] for name in data["names"]}
    assert problems["stable"] == ""
    assert "the tag 'absent' does not exist" in problems["absent"]
    assert data["unused"] == ["cdk-ecrpublic:digest:gone.example/a:1"]
    assert json.loads((project.folder / "cdk.context.json").read_text())["kept"] is True
    assert "stable" not in (project.folder / "cdk.context.json").read_text()
