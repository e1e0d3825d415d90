"""A real browser, and a page that tries to run code on this machine."""

from __future__ import annotations

import html
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from cdk_ecrpublic.sandbox import SandboxProcess, Settings

from .browser import ATTACKER, CHROMIUM, REBOUND, Browser, Site, Ungated, attack, serve

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]


@dataclass(frozen=True)
class State:
    """Everything that the page tries to change."""

    functions: list[str]
    users: list[str]
    faults: list[str]
    alias: str
    has_run: bool


UNTOUCHED = State(functions=[], users=[], faults=[], alias=Settings().alias, has_run=False)


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def process(running: SandboxProcess) -> SandboxProcess:
    """All of AWS, empty."""
    running.reset()
    assert urllib3.request("POST", f"{running.url}/_ministack/reset").status == 200
    return running


@pytest.fixture
def browser() -> Iterator[Browser]:
    # Not pytest's folder: a socket path has at most 107 bytes, and some process of the browser may still write.
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
        yield Browser(Path(folder))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What the attacker's function writes."""
    return tmp_path / "marker"


def state(process: SandboxProcess, marker: Path) -> State:
    return State(
        functions=[item["FunctionName"] for item in process.client("lambda").list_functions()["Functions"]],
        users=sorted(item["UserName"] for item in process.client("iam").list_users()["Users"]),
        faults=[fault.operation for fault in process.faults.all()],
        alias=process.settings.alias,
        has_run=marker.exists(),
    )


def visit(browser: Browser, target: str, marker: Path, host: str) -> dict[str, str]:
    site = Site(attack(target, marker))
    with serve(site) as port:
        return browser.visit(site, f"http://{host}:{port}/")


@pytest.mark.parametrize("host", [ATTACKER, "127.0.0.1"], ids=["another site", "another port"])
def test_a_page_can_do_nothing_and_read_nothing(
    browser: Browser, process: SandboxProcess, marker: Path, host: str
) -> None:
    reports = visit(browser, process.url, marker, host)

    assert state(process, marker) == UNTOUCHED
    assert process.requests.all() == []
    # A page sees a response that it may not read as an empty `[object Response]`.
    assert {name: reports[name] for name in ("create", "invoke")} == dict.fromkeys(
        ("create", "invoke"), "[object Response]"
    )
    assert [reports[name] for name in ("preflight", "read settings", "read users")] == ["failed"] * 3


def test_without_the_gate_the_same_attack_succeeds(browser: Browser, process: SandboxProcess, marker: Path) -> None:
    """If this fails, the test of the attack no longer proves anything."""
    with serve(Ungated(process.url)) as port:
        reports = visit(browser, f"http://127.0.0.1:{port}", marker, ATTACKER)

    assert state(process, marker) == State(
        functions=["evil"], users=["form", "frame", "image"], faults=["Ping"], alias="stolen", has_run=True
    )
    assert json.loads(reports["preflight"])["alias"] == "stolen"
    assert json.loads(reports["read settings"])["alias"] == "stolen"
    assert "<UserName>form</UserName>" in reports["read users"]


def test_refuses_a_foreign_name_that_resolves_to_this_machine(browser: Browser, process: SandboxProcess) -> None:
    """DNS rebinding: for the browser, the page and the sandbox have the same origin."""
    port = process.url.rpartition(":")[2]

    shown = html.unescape(browser.shown(f"http://{REBOUND}:{port}/_sandbox/settings"))

    assert f"its Host is '{REBOUND}:{port}'; allowed:" in shown
    assert "alias" not in shown


def test_without_the_gate_a_rebound_name_can_read_everything(browser: Browser, process: SandboxProcess) -> None:
    with serve(Ungated(process.url)) as port:
        shown = browser.shown(f"http://{REBOUND}:{port}/_sandbox/settings")

    assert '"alias":' in html.unescape(shown)


def test_serves_a_url_that_was_typed_in(browser: Browser, process: SandboxProcess) -> None:
    assert '"status":"ok"' in html.unescape(browser.shown(f"{process.url}/_sandbox/health"))


def test_refuses_a_link_that_calls_an_api(browser: Browser, process: SandboxProcess, marker: Path) -> None:
    shown = html.unescape(browser.shown(f"{process.url}/?Action=CreateUser&UserName=link"))

    assert "its parameter Action calls an API" in shown
    assert state(process, marker) == UNTOUCHED


def test_the_page_of_the_sandbox_may_use_it(browser: Browser, process: SandboxProcess) -> None:
    script = (
        "fetch('/_sandbox/settings', {method: 'PUT', body: '{\"alias\": \"own\"}'}).then(_ => document.title = 'done')"
    )
    bucket: Any = process.client("s3")
    bucket.create_bucket(Bucket="site")
    bucket.put_object(Bucket="site", Key="page.html", Body=f"<script>{script}</script>", ContentType="text/html")

    shown = browser.shown(f"{process.url}/site/page.html")

    assert "<title>done</title>" in shown
    assert process.settings.alias == "own"
