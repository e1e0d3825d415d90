"""``cdk-ecrpublic sandbox``."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

import click
from rich.console import Console

from cdk_ecrpublic.sandbox import Sandbox, SandboxError, Settings
from cdk_ecrpublic.sandbox.environment import inside, variables
from cdk_ecrpublic.sandbox.front.connections import Listener
from cdk_ecrpublic.sandbox.server import listen

DEFAULT_PORT = 4566
"""The one that AWS emulators are expected on."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""What a shell returns when it cannot run a command."""

SIGNAL_STATUS = 128
"""A shell's exit status for a command that a signal ended is this and the signal's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    port: int | None
    account: str
    alias: str
    log_file: Path | None
    without_ministack: bool
    auth: bool
    as_json: bool
    until_stdin_closes: bool
    command: tuple[str, ...]


def run(options: Options) -> int:
    """
    Serve until told to stop, or for as long as a command runs.

    Returns:
        The exit status.
    """
    for number in STOPS:
        signal.signal(number, _stop_early)
    before = dict(os.environ)
    folder = Path(tempfile.mkdtemp(prefix="cdk-ecrpublic-sandbox-"))
    try:
        with _sandbox(options, folder) as sandbox:
            status = _inside(sandbox, options, inside(sandbox.url, sandbox.account, before))
    except (SandboxError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not options.without_ministack:
        _end(status)
    return status


def _end(status: int) -> NoReturn:
    """End at once: a thread of ministack's may wait for hours, for a custom resource that never answers."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _stop_early(number: int, _frame: object) -> None:
    """Stop before there is anything to pass a signal on to; what has been started is ended on the way out."""
    sys.exit(SIGNAL_STATUS + number)


def _sandbox(options: Options, folder: Path) -> Sandbox:
    account, settings = options.account, Settings(alias=options.alias)
    # Taken now and kept: ministack must know the port before it is imported.
    listener = _listener(options.port)
    if options.without_ministack:
        if options.auth:
            listener.close()
            message = (
                "--auth needs ministack, which evaluates the policies; leave one of --auth and --without-ministack"
            )
            raise SandboxError(message)
        return Sandbox(listener, account=account, settings=settings)
    from cdk_ecrpublic.sandbox.aws import ministack  # noqa: PLC0415 - only where it is wanted

    port, values = listener.port, variables(f"http://127.0.0.1:{listener.port}", account)
    ministack.send_logs_to(options.log_file)
    ministack.prepare_environment(values, port=port, account=account, folder=folder, auth=options.auth)
    return Sandbox(listener, account=account, settings=settings, behind=ministack.load)


def _listener(port: int | None) -> Listener:
    if port is not None:
        return listen(port)
    try:
        return listen(DEFAULT_PORT)
    except SandboxError:
        listener = listen(0)
    message = f"port {DEFAULT_PORT} is taken; using {listener.port} instead"
    Console(stderr=True).print(message, style="yellow", highlight=False)
    return listener


def _inside(sandbox: Sandbox, options: Options, environment: Mapping[str, str]) -> int:
    if options.command:
        return _run_command(options.command, environment)
    # Not an Event: a signal that comes while one is being waited for would wait for itself.
    reasons: SimpleQueue[str] = SimpleQueue()
    for number in STOPS:
        signal.signal(number, lambda received, _: reasons.put(signal.Signals(received).name))
    if options.until_stdin_closes:
        threading.Thread(target=_wait_for_stdin, args=[reasons], daemon=True).start()
    _say(sandbox, options)
    reasons.get()
    return 0


def _wait_for_stdin(reasons: SimpleQueue[str]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    reasons.put("the standard input was closed")


def _run_command(command: tuple[str, ...], environment: Mapping[str, str]) -> int:
    passing = _Passing()
    for number in STOPS:
        signal.signal(number, passing)
    try:
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command
    except OSError as error:
        click.echo(f"cdk-ecrpublic: cannot run {shlex.join(command)}: {error.strerror}", err=True)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    passing.to(process)
    status = process.wait()
    return status if status >= 0 else SIGNAL_STATUS - status


@dataclass(slots=True)
class _Passing:
    """Passes signals on to a command, which decides what they mean; one that comes too early waits for it."""

    process: subprocess.Popen[bytes] | None = None
    waiting: list[int] = field(default_factory=list)

    def to(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        while self.waiting:
            self(self.waiting.pop(0))

    def __call__(self, number: int, _frame: object = None) -> None:
        if self.process is None:
            self.waiting.append(number)
        # Ctrl-C in a terminal reaches the command by itself, and two of them mean something else to many.
        elif number != signal.SIGINT or not sys.stdin.isatty():
            self.process.send_signal(number)


def _say(sandbox: Sandbox, options: Options) -> None:
    values = variables(sandbox.url, sandbox.account)
    if options.as_json:
        answer = {
            "url": sandbox.url,
            "registryHost": sandbox.registry_host,
            "account": sandbox.account,
            "environment": values,
        }
        click.echo(json.dumps(answer))
    else:
        click.echo(_explanation(sandbox, values, has_aws=not options.without_ministack))
    sys.stdout.flush()


def _explanation(sandbox: Sandbox, values: Mapping[str, str], *, has_aws: bool) -> str:
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())
    registry = sandbox.store.registry_of(sandbox.account)
    alias = registry.aliases[0] if registry.aliases else "<alias>"
    host = sandbox.registry_host
    return f"""\
# {"ECR Public and the AWS around it" if has_aws else "ECR Public"} on this machine, until Ctrl-C.
# Nothing leaves the machine, and nothing is kept.
# In another terminal:

{exports}

# then, for example:
#   aws ecr-public create-repository --repository-name demo       # its answer has the alias
#   aws ecr-public get-login-password | skopeo login --tls-verify=false -u AWS --password-stdin {host}
#   skopeo copy --dest-tls-verify=false oci:image docker://{host}/{alias}/demo:1.0
#   skopeo list-tags --tls-verify=false docker://{host}/{alias}/demo\
"""
