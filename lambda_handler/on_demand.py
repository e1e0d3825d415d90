"""Modules that only some requests need are imported late: a cold start compiles every module that it imports."""

from importlib import import_module
from typing import Any


def load(package: str, path: str) -> Any:  # noqa: ANN401 - what the module defines
    """
    Return what a module defines, and import the module if nothing has needed it before.

    Args:
        package: The package of the module.
        path: The module's name in it, a dot, and the name of what it defines: ``digest.DigestSource``.
    """
    module, _, name = path.rpartition(".")
    return getattr(import_module(f".{module}", package), name)
