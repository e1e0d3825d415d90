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
"""The usual port of AWS emulators."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""The exit status of a shell that cannot run a command."""

SIGNAL_STATUS = 128
"""A shell adds the signal number to this if a signal ended the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command."""

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
    Serve until a signal arrives, or while a command runs.

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
    """Exit without waiting for threads: one of ministack's may wait for hours for a response of a custom resource."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _stop_early(number: int, _frame: object) -> None:
    """Stop before the command has started. Context managers end what has been started."""
    sys.exit(SIGNAL_STATUS + number)


def _sandbox(options: Options, folder: Path) -> Sandbox:
    account, settings = options.account, Settings(alias=options.alias)
    # Open the port first: ministack must know it when it is imported.
    listener = _listener(options.port)
    if options.without_ministack:
        if options.auth:
            listener.close()
            message = "--auth needs ministack, which evaluates the policies; omit --auth or --without-ministack"
            raise SandboxError(message)
        return Sandbox(listener, account=account, settings=settings)
    from cdk_ecrpublic.sandbox.aws import ministack  # noqa: PLC0415 - imported only if needed

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
        if sys.stderr.isatty():
            message = f"{shlex.join(options.command)} uses the sandbox at {sandbox.url} until it ends"
            Console(stderr=True).print(message, style="yellow", highlight=False, soft_wrap=True)
        return _run_command(options.command, environment)
    # An Event could deadlock: a signal handler that sets it may run while wait() holds its lock.
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
    """Passes signals on to a command. A signal that arrives before the command has started is passed on later."""

    process: subprocess.Popen[bytes] | None = None
    waiting: list[int] = field(default_factory=list)

    def to(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        while self.waiting:
            self(self.waiting.pop(0))

    def __call__(self, number: int, _frame: object = None) -> None:
        if self.process is None:
            self.waiting.append(number)
        # In a terminal, Ctrl-C reaches the command directly. Many commands treat a second one differently.
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
# {"ECR Public and other AWS services" if has_aws else "ECR Public"} on this machine, until Ctrl-C.
# No data leaves the machine, and none is kept.
# To see what is in it, open {sandbox.url}/ in a browser.
# In another terminal:

{exports}

# then, for example:
#   aws ecr-public create-repository --repository-name demo       # the response contains the alias
#   aws ecr-public get-login-password | skopeo login --tls-verify=false -u AWS --password-stdin {host}
#   skopeo copy --dest-tls-verify=false oci:image docker://{host}/{alias}/demo:1.0
#   skopeo list-tags --tls-verify=false docker://{host}/{alias}/demo\
"""
