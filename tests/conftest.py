"""What holds for every test: no network but this machine, no real account, and the tools of the checkout at hand."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cdk_ecrpublic.sandbox import Sandbox


@pytest.hookimpl(tryfirst=True)  # before Hypothesis reads its options
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the process once, before any test is collected."""
    config.option.hypothesis_seed = config.getoption("hypothesis_seed", None) or str(secrets.randbelow(2**32))
    _forget_the_account()
    _put_tools_on_the_path()
    # What a first call costs (imports, Node) says nothing about the code; a failing example is printed in full.
    settings.register_profile("project", deadline=None, print_blob=True)
    settings.register_profile("thorough", settings.get_profile("project"), max_examples=2000)
    settings.load_profile("project")
    # A hook cannot be taken off again: it holds for the whole run, threads included.
    sys.addaudithook(_refuse_the_network)


def pytest_report_header(config: pytest.Config) -> str:
    """Name what repeats this run's random choices."""
    return f"random examples: --hypothesis-seed={config.getoption('hypothesis_seed')}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many orders of calls were tried."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    properties = [item for report in calls for item in report.user_properties]
    tallies = [tally for name, tally in properties if name == "Tally"]
    if tallies:
        runs, same = sum(tally["runs"] for tally in tallies), sum(tally["same"] for tally in tallies)
        terminalreporter.write_line(
            f"interleavings: {runs:,} schedules of {len(tallies)} pairs, and {same:,} that are the same as one of them"
        )


def _forget_the_account() -> None:
    """Leave no way to a person's AWS credentials; a test sets the invented ones that it needs."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


def _put_tools_on_the_path() -> None:
    """Find Node and the cdk command line of the checkout also when pytest was started without make."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)])


def _refuse_the_network(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    connecting, address = arguments
    if isinstance(connecting, socket.socket) and isinstance(address, tuple) and not _is_this_machine(str(address[0])):
        message = f"a test tried to reach {address[0]}; tests talk to this machine only"
        raise ConnectionRefusedError(message)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    """Run one ECR Public for all tests: starting it anew for each would only cost time."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """Give a test an empty ECR Public, without faults, with the default settings."""
    running_sandbox.reset()
    return running_sandbox
