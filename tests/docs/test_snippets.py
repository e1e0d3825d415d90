"""Every snippet of every page is checked, as far as possible by running it; an unknown language is a failure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import cdk_ecrpublic
from cdk_ecrpublic._assets.lambda_handler.spec import RESOURCE_TYPE, decode
from cdk_ecrpublic.catalog.reader import read_catalog
from scripts.mkdocs_hooks import on_page_content
from tests.architecture.source import CHECKOUT

from . import shell
from .pages import Snippet, examples, read, snippets
from .synthesis import synthesize, write_files

TUTORIAL = "docs/tutorial.md"

SHELL = ("sh", "console")

PYTHON = [snippet for snippet in snippets("python") if snippet.page != TUTORIAL]
"""The tutorial's is run by ``test_tutorial``."""

LANGUAGES = {"python", "yaml", "json", "text", "typescript", *SHELL}
"""``text`` is what a program prints; that of the tutorial is compared with what it printed."""


def is_test(snippet: Snippet) -> bool:
    """Return whether a snippet is a file for pytest."""
    return (snippet.title or "").startswith("test_")


def is_script(snippet: Snippet) -> bool:
    """Return whether a snippet is a program for the sandbox."""
    return snippet.title == "push.py"


class _Template(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML is not annotated
    """A YAML loader that reads short forms such as ``!Ref`` as their plain values."""


_Template.add_multi_constructor("!", lambda loader, _, node: _value(loader, node))


def _value(loader: yaml.SafeLoader, node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    return loader.construct_sequence(node, deep=True)


def test_every_language_is_known() -> None:
    found = snippets()

    assert len(found) > 30
    assert [f"{each}: {each.language!r}" for each in found if each.language not in LANGUAGES] == []


def test_an_invalid_fence_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.pages.CHECKOUT", tmp_path)
    page = tmp_path / "page.md"

    for text in ("```python {.wrong}\n```\n", "```python\nno end\n"):
        page.write_text(text)
        with pytest.raises(ValueError, match=r"page\.md:1"):
            list(read(page))


@pytest.mark.parametrize("snippet", [each for each in PYTHON if not (is_test(each) or is_script(each))], ids=str)
def test_every_python_snippet_can_be_synthesized(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    # Pages have different modules with this name. It is set first so that it is removed afterwards.
    monkeypatch.setitem(sys.modules, "agent", None)
    monkeypatch.delitem(sys.modules, "agent")
    write_files(snippet, tmp_path)

    template = synthesize(snippet, tmp_path)

    assert template is None or template.to_json()["Resources"]


@pytest.mark.parametrize("example", examples(), ids=str)
def test_every_example_in_a_docstring_can_be_synthesized(
    example: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(example, tmp_path)

    template = synthesize(example, tmp_path)

    assert template is None or template.to_json()["Resources"]


def test_every_public_class_has_an_example() -> None:
    """Users do not create these themselves."""
    without = {"CatalogError", "IPublicRepository", "IReleaseRule", "RuleBinding", "SourceBinding"}
    without |= {"IRequiredSignature", "ISigning"}

    assert {example.page for example in examples()} == set(cdk_ecrpublic.__all__) - without


def test_the_page_of_the_constructs_shows_a_default_once() -> None:
    html = "(<code>str | None</code>, default:\n   <code>None</code>\n)"

    assert on_page_content(html) == "(<code>str | None</code>)"
    assert on_page_content("default: <code>x</code>") == "default: <code>x</code>"


@pytest.mark.cdk
@pytest.mark.parametrize("snippet", [each for each in PYTHON if is_test(each)], ids=str)
def test_every_test_snippet_passes(snippet: Snippet, tmp_path: Path) -> None:
    write_files(snippet, tmp_path)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(snippet.title)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "CDK_DISABLE_CLI_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


@pytest.mark.parametrize("snippet", [each for each in PYTHON if is_script(each)], ids=str)
def test_every_script_runs_in_the_sandbox(snippet: Snippet, tmp_path: Path) -> None:
    write_files(snippet, tmp_path)

    result = subprocess.run(
        [sys.executable, "-m", "cdk_ecrpublic.cli", "sandbox", "--port", "0", "--", sys.executable, "push.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert re.fullmatch("sha256:[0-9a-f]{64}\n", result.stdout), result.stderr


@pytest.mark.parametrize("snippet", snippets("yaml"), ids=str)
def test_every_yaml_snippet_is_accepted_by_its_reader(snippet: Snippet, tmp_path: Path) -> None:
    content: dict[str, Any] = yaml.load(snippet.whole, _Template)  # noqa: S506 - a SafeLoader
    if "jobs" in content:
        for command in [command for job in content["jobs"].values() for command in _of_workflow(job)]:
            shell.check(command)
    elif "Resources" in content or "Type" in content.get("Release", ()):
        _check_resources(content.get("Resources", content))
    else:
        path = tmp_path / "images.yaml"
        path.write_text(snippet.whole, encoding="utf-8")
        assert read_catalog(path).repositories


def _of_workflow(job: dict[str, Any]) -> list[list[str]]:
    scripts = [re.sub(r"\$\{\{.*?\}\}", "0", step.get("run", "")) for step in job["steps"]]
    return [command for script in scripts for command in shell.commands(script)]


def _check_resources(resources: dict[str, Any]) -> None:
    ours = [resource["Properties"] for resource in resources.values() if resource["Type"] == RESOURCE_TYPE]
    assert ours
    for properties in ours:
        decode(properties)


@pytest.mark.parametrize("snippet", snippets("json"), ids=str)
def test_every_json_snippet_is_valid(snippet: Snippet) -> None:
    assert json.loads(snippet.whole)


@pytest.mark.parametrize(
    "command",
    ["pip install cdk-ecrpublic", 'pip install "cdk-ecrpublic[clli]"', 'pip install "$(ls dist/*.whl)[cli,clli]"'],
)
def test_detects_an_installation_that_does_not_work(command: str) -> None:
    (words,) = shell.commands(command)

    with pytest.raises(shell.CommandError, match="pip does not know"):
        shell.check(words)


@pytest.mark.cdk
@pytest.mark.parametrize("snippet", snippets(*SHELL), ids=str)
def test_every_command_line_is_valid(snippet: Snippet) -> None:
    found = list(shell.commands(snippet.whole))

    assert found
    for command in found:
        shell.check(command)
