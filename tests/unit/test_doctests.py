"""The examples in the docstrings of value types are right."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from lambda_handler import oci

MODULES = [f"{oci.__name__}.{module.name}" for module in pkgutil.iter_modules(oci.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_right(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    assert sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES) >= 2
