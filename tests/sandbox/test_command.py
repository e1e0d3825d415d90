"""``cdk-ecrpublic sandbox``, which leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import urllib3

from cdk_ecrpublic.sandbox import Fault, Sandbox, SandboxError, SandboxProcess

CHECKOUT = Path(__file__).parents[2]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cdk_ecrpublic.cli", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command, and kill what still runs at the end of the test."""
    with ExitStack() as processes:

        def start(*arguments: str) -> subprocess.Popen[str]:
            process = processes.enter_context(_popen(*arguments))
            processes.callback(process.kill)
            return process

        yield start


def _popen(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("sandbox", *arguments), cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_refuses_the_auth_option_without_a_policy_evaluator() -> None:
    result = run("sandbox", "--auth", "--without-ministack", "--port", "0", "--", "true")

    assert result.returncode == 2
    assert "--auth needs ministack" in result.stderr


def test_returns_the_exit_status_of_the_command() -> None:
    result = run("sandbox", "--port", "0", "--", "sh", "-c", "exit 7")

    assert (result.returncode, result.stdout, result.stderr) == (7, "", "")


def test_returns_the_status_of_a_shell_for_a_command_ended_by_a_signal() -> None:
    assert run("sandbox", "--port", "0", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_says_that_a_command_does_not_exist() -> None:
    result = run("sandbox", "--port", "0", "--", "no-such-command", "x")

    assert (result.returncode, result.stdout) == (127, "")
    assert "cannot run no-such-command x" in result.stderr


def test_the_command_uses_the_sandbox_as_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    source = (
        "import boto3, os; print(boto3.client('sts').get_caller_identity()['Account'], os.environ.get('AWS_PROFILE'))"
    )

    result = run("sandbox", "--port", "0", "--account", "210987654321", "--", sys.executable, "-c", source)

    assert (result.stdout, result.stderr) == ("210987654321 None\n", "")


def test_a_terminal_shows_that_a_shell_uses_the_sandbox() -> None:
    """Only in a terminal; the output of programs does not change."""
    ours, theirs = pty.openpty()
    arguments = command("sandbox", "--port", "0", "--without-ministack", "--", "sh", "-c", "echo $AWS_ENDPOINT_URL")

    result = subprocess.run(arguments, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)

    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert f"uses the sandbox at {result.stdout.strip()} until it ends" in shown


def test_passes_signals_to_the_command(start: Start) -> None:
    script = "trap 'echo stopped; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = start("--port", "0", "--without-ministack", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)

    assert (process.returncode, output) == (3, "stopped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_prints_the_environment_and_stops_on_a_signal(start: Start, temporary: Path, number: signal.Signals) -> None:
    process = start("--port", "0")
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "list-tags" not in lines[-1]:
        lines.append(process.stdout.readline())
    exports = dict(line[len("export ") :].strip().split("=", 1) for line in lines if line.startswith("export "))
    port = int(exports["AWS_ENDPOINT_URL"].rpartition(":")[2])
    answers = urllib3.request("GET", f"{exports['AWS_ENDPOINT_URL']}/_sandbox/health").json()

    process.send_signal(number)
    _, errors = process.communicate(timeout=10)

    assert answers["account"] == exports["CDK_DEFAULT_ACCOUNT"]
    assert f"# To see what is in it, open {exports['AWS_ENDPOINT_URL']}/ in a browser.\n" in lines
    assert (process.returncode, errors) == (0, "")
    assert is_free(port)
    assert list(temporary.iterdir()) == []


def test_leaves_nothing_behind(temporary: Path) -> None:
    with SandboxProcess() as process:
        port = int(process.url.rpartition(":")[2])
        assert not is_free(port)
        assert list(temporary.iterdir()) != []

    assert is_free(port)
    assert list(temporary.iterdir()) == []


def test_ends_running_functions_when_it_stops(temporary: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", "import os\ndef handler(event, context):\n    return os.getpid()\n")
    with SandboxProcess() as process:
        functions = process.client("lambda")
        functions.create_function(
            FunctionName="stay",
            Runtime="python3.14",
            Handler="index.handler",
            Role=f"arn:aws:iam::{process.account}:role/x",
            Code={"ZipFile": packed.getvalue()},
        )
        worker = int(functions.invoke(FunctionName="stay")["Payload"].read())
        assert Path(f"/proc/{worker}").exists()

    assert not Path(f"/proc/{worker}").exists()
    assert list(temporary.iterdir()) == []


def test_does_not_wait_for_a_custom_resource_that_never_answers(temporary: Path) -> None:
    code = "def handler(event, context):\n    pass\n"
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.14",
            "Handler": "index.handler",
            "Role": "arn:aws:iam::123456789012:role/x",
            "Code": {"ZipFile": code},
        },
    }
    custom = {"Type": "Custom::Silent", "Properties": {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}}}
    body = json.dumps({"Resources": {"Function": function, "Custom": custom}})
    with SandboxProcess() as process:
        stacks = process.client("cloudformation")
        stacks.create_stack(StackName="silent", TemplateBody=body)
        while "AWS::Lambda::Function CREATE_COMPLETE" not in [
            f"{event['ResourceType']} {event['ResourceStatus']}"
            for event in stacks.describe_stack_events(StackName="silent")["StackEvents"]
        ]:
            time.sleep(0.05)

    assert list(temporary.iterdir()) == []


def test_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    source = (
        "import time; from cdk_ecrpublic.sandbox import SandboxProcess\n"
        "with SandboxProcess() as process:\n    print(process.url, flush=True)\n    time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    port = int(parent.stdout.readline().rpartition(":")[2])

    parent.kill()
    parent.communicate()

    deadline = time.monotonic() + 5
    while not (is_free(port) and not list(tmp_path.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_prints_one_line_of_json(start: Start) -> None:
    process = start("--port", "0", "--json", "--without-ministack", "--alias", "acme")
    assert process.stdout is not None
    answer = json.loads(process.stdout.readline())

    process.terminate()
    rest, _ = process.communicate(timeout=10)

    assert (rest, answer["environment"]["AWS_ENDPOINT_URL"]) == ("", answer["url"])


def test_refuses_a_port_that_is_taken(taken: int) -> None:
    result = run("sandbox", "--port", str(taken), "--", "true")

    assert (result.returncode, result.stdout) == (2, "")
    assert f"port {taken} of 127.0.0.1 cannot be used" in result.stderr


def test_takes_another_port_when_the_usual_one_is_taken() -> None:
    source = "import os; print(os.environ['AWS_ENDPOINT_URL'])"
    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if usual.connect_ex(("127.0.0.1", 4566)) != 0:
            usual.close()
            with socket.create_server(("127.0.0.1", 4566)):
                result = run("sandbox", "--without-ministack", "--", sys.executable, "-c", source)
        else:
            result = run("sandbox", "--without-ministack", "--", sys.executable, "-c", source)

    assert result.returncode == 0
    assert "port 4566 is taken; using" in result.stderr
    assert not result.stdout.strip().endswith(":4566")


@pytest.mark.parametrize("account", ["1234", "12345678901a"])
def test_refuses_what_is_not_an_account(account: str) -> None:
    result = run("sandbox", "--account", account, "--", "true")

    assert (result.returncode, "expected 12 digits" in result.stderr) == (2, True)


@pytest.mark.parametrize("alias", ["Acme", "a", "123456789012"])
def test_refuses_what_is_not_an_alias(alias: str) -> None:
    result = run("sandbox", "--port", "0", "--alias", alias, "--", "true")

    assert (result.returncode, result.stdout) == (2, "")
    assert repr(alias) in result.stderr


def test_writes_the_log_to_the_given_file(tmp_path: Path) -> None:
    log = tmp_path / "sandbox.log"

    run("sandbox", "--port", "0", "--log-file", str(log), "--", "true")

    assert "Ready" in log.read_text(encoding="utf-8")


def test_prints_help_without_loading_heavy_modules() -> None:
    source = (
        "import sys; sys.argv = ['cdk-ecrpublic', '--help']\n"
        "from cdk_ecrpublic.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'aws_cdk', 'jsii', 'botocore', 'ministack', 'starlette', 'hypercorn'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", source], cwd=CHECKOUT, capture_output=True, text=True, check=True)

    assert "sandbox" in result.stdout
    assert result.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("click", ["--help"], "cdk-ecrpublic[cli]"),
        ("hypercorn", ["sandbox"], "cdk-ecrpublic[sandbox]"),
        ("ministack", ["sandbox", "--port", "0"], "cdk-ecrpublic[sandbox]"),
    ],
)
def test_says_what_to_install_if_something_is_missing(
    temporary: Path, missing: str, arguments: list[str], extra: str
) -> None:
    source = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['cdk-ecrpublic', *{arguments!r}]\n"
        "from cdk_ecrpublic.cli import main; main()"
    )

    result = subprocess.run([sys.executable, "-c", source], cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert f'pip install "{extra}"' in result.stderr
    assert list(temporary.iterdir()) == []


def test_ministack_needs_a_separate_process() -> None:
    with pytest.raises(SandboxError, match="SandboxProcess"):
        Sandbox(ministack=True)


def test_refuses_to_start_twice_on_one_port(taken: int) -> None:
    with pytest.raises(SandboxError, match=f"port {taken}"), Sandbox(taken):
        pass


def test_a_process_reports_why_it_did_not_start(taken: int) -> None:
    with pytest.raises(SandboxError, match=f"port {taken}"), SandboxProcess(taken):
        pass


def test_an_in_process_sandbox_leaves_nothing_behind(temporary: Path) -> None:
    with Sandbox() as sandbox:
        port = sandbox.world.port

    assert is_free(port)
    assert list(temporary.iterdir()) == []


def test_stops_during_a_request() -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(Fault(operation="Ping", delay_seconds=30))
        with socket.create_connection(("127.0.0.1", sandbox.world.port)) as connection:
            connection.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {sandbox.registry_host}\r\n\r\n".encode())
            time.sleep(0.1)
            started = time.monotonic()

    assert time.monotonic() - started < 15, "the sandbox waited for the request"
