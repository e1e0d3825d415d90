"""The command line, ``cdk-ecrpublic``. Large modules are imported only by the command that needs them."""

from __future__ import annotations

import sys
import traceback

from .exit_status import ExitStatus

INTERRUPTED = 130
"""The exit status of a shell for a command that Ctrl-C ended."""


def main() -> None:
    """
    Run the command line, and exit with its status.

    What ends unexpectedly exits with 2: Python's own 1 would mean that something
    was checked and found.
    """
    try:
        status = _run()
    except ModuleNotFoundError as error:
        # Another package may have installed click. If other packages of the extra are missing, a command fails.
        message = f'cdk-ecrpublic: {error.name} is not installed; run: pip install "cdk-ecrpublic[cli]"'
        print(message, file=sys.stderr)  # noqa: T201 - click may be missing
        status = ExitStatus.UNCHECKED
    except Exception:  # noqa: BLE001 - the traceback is for a bug report
        traceback.print_exc()
        status = ExitStatus.UNCHECKED
    sys.exit(status)


def _run() -> int:
    import click  # noqa: PLC0415 - without the extra there is no click

    from .commands import cli  # noqa: PLC0415

    try:
        return int(cli.main(standalone_mode=False) or ExitStatus.FINE)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except SystemExit as ended:
        # click and rich end with 1 if the program that reads the output has ended, for example `head`.
        if ended.code != ExitStatus.FOUND:
            raise
        return ExitStatus.UNCHECKED
