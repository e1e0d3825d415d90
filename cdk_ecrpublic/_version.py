"""The version of this package."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Return the installed version; ``0+unknown`` in a checkout that is not installed."""
    try:
        return metadata.version("cdk-ecrpublic")
    except metadata.PackageNotFoundError:
        return "0+unknown"
