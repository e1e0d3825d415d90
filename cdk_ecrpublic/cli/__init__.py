"""The command line, ``cdk-ecrpublic``. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from .commands import cli  # noqa: PLC0415 - without the extra there is no click
    except ModuleNotFoundError as error:
        sys.exit(f'cdk-ecrpublic: {error.name} is not installed; run: pip install "cdk-ecrpublic[cli]"')
    cli()
