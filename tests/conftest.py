"""Set up all tests: only this machine on the network, no real account, the tools of the checkout on the path."""

from __future__ import annotations

import functools
import gc
import ipaddress
import os
import resource
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.hooks
import botocore.session
import pytest
from hypothesis import settings

from cdk_ecrpublic.sandbox import Sandbox

SLOW_FOLDERS = frozenset({"cdk", "interleaving", "lifecycle", "live_check"})


@pytest.hookimpl(tryfirst=True)  # before Hypothesis reads its options
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the process once, before any test is collected."""
    config.option.hypothesis_seed = config.getoption("hypothesis_seed", None) or str(secrets.randbelow(2**32))
    _forget_the_account()
    # It takes half of a synthesis; one test of tests/constructs/test_compliance.py asks for it.
    os.environ["CDK_VALIDATION"] = "false"
    _poll_often()
    _allow_many_files()
    _put_tools_on_the_path()
    _share_what_sessions_compute()
    # No deadline: a first call is slow because of imports and Node. Failing examples are printed in full.
    settings.register_profile("project", deadline=None, print_blob=True)
    settings.register_profile("thorough", settings.get_profile("project"), max_examples=2000)
    settings.load_profile("project")
    # An audit hook cannot be removed: it stays for the whole run, in all threads.
    sys.addaudithook(_refuse_the_network)


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist, there is no such hook
def pytest_xdist_auto_num_workers() -> int:
    """Run one worker more than there are cores: tests wait for deployments a third of their time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose files take minutes, so that no core waits for the last of them."""
    items.sort(key=lambda item: SLOW_FOLDERS.isdisjoint(item.path.parts))


def pytest_collection_finish() -> None:
    """Let garbage collections pass over what was collected: each would go through half a million objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_report_header(config: pytest.Config) -> str:
    """Show the seed that repeats the random examples of this run."""
    return f"random examples: --hypothesis-seed={config.getoption('hypothesis_seed')}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how many orders of calls were tried."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    properties = [item for report in calls for item in report.user_properties]
    tallies = [tally for name, tally in properties if name == "Tally"]
    if tallies:
        runs, same = sum(tally["runs"] for tally in tallies), sum(tally["same"] for tally in tallies)
        terminalreporter.write_line(
            f"interleavings: {runs:,} schedules of {len(tallies)} pairs, and {same:,} equivalent ones skipped"
        )


def _forget_the_account() -> None:
    """Hide the user's AWS credentials. A test sets the fake ones that it needs."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


def _allow_many_files() -> None:
    """Allow as many open files as the system does: hundreds of sandboxes and clients live in one process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _poll_often() -> None:
    """Let the cdk command line ask often whether a deployment has ended: it would sleep most of its time."""
    script = Path(__file__).parent / "support" / "poll_often.cjs"
    os.environ["NODE_OPTIONS"] = f'{os.environ.get("NODE_OPTIONS", "")} --require "{script}"'.strip()


def _put_tools_on_the_path() -> None:
    """Put Node and the cdk command line of the checkout on the path, in case pytest was started without make."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)])


def _share_what_sessions_compute() -> None:
    """
    Let botocore compute once what is the same for all sessions: tests create thousands of them.

    These are the models of services; whether a handler of events accepts keywords; and the new names of events.
    """
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    hooks: Any = botocore.hooks
    accepts = functools.lru_cache(1000)(hooks.accepts_kwargs)
    hooks.accepts_kwargs = lambda handler: accepts(getattr(handler, "__func__", handler))
    names: dict[str, str] = {}
    create = hooks.EventAliaser.__init__

    def share(aliaser: Any, *arguments: object) -> None:
        create(aliaser, *arguments)
        aliaser._alias_name_cache = names  # noqa: SLF001

    hooks.EventAliaser.__init__ = share


def _refuse_the_network(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    connecting, address = arguments
    if isinstance(connecting, socket.socket) and isinstance(address, tuple) and not _is_this_machine(str(address[0])):
        message = f"a test tried to reach {address[0]}; tests may only reach this machine"
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
    """Run one sandbox for all tests, because starting one takes time."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """Return an empty ECR Public with the default settings and no faults."""
    running_sandbox.reset()
    return running_sandbox
