"""The command line, ``cdk-ecrpublic``. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys


def main() -> None:
    """
    Run the command line.

    Click may be there for somebody else's sake: whatever else of the extra is
    missing shows when a command imports it.
    """
    try:
        from .commands import cli  # noqa: PLC0415 - without the extra there is no click

        cli()
    except ModuleNotFoundError as error:
        sys.exit(f'cdk-ecrpublic: {error.name} is not installed; run: pip install "cdk-ecrpublic[cli]"')
