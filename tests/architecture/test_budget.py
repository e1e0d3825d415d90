"""Sizes: files and functions stay short enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from statistics import median

import pytest

from tests.architecture.source import CHECKOUT, FUNCTION_TYPES, Function, Module, body_lines, modules

FILE_MAX_LINES = 400
TEST_FILE_MAX_LINES = 500
FUNCTION_MAX_LINES = 40
FUNCTION_AIM_LINES = 20
AIM_SHARE = 0.88
MEDIAN_MAX_LINES = 9
NESTING_MAX = 3
ARGUMENTS_MAX = 6

SHIPPED = (*modules("lambda_handler"), *modules("cdk_ecrpublic"))
EVERYTHING = (*SHIPPED, *modules("tests"), *modules("scripts"), *modules("benchmarks"))


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a function: lines of its body, depth of its blocks, and how many arguments may be positional."""

    place: str
    lines: int
    nesting: int
    positional: int


@cache
def sizes(module: Module) -> tuple[Size, ...]:
    """Measure each function of a module."""
    return tuple(
        Size(f"{module.name}:{each.lineno} {each.name}", body_lines(each), nesting(each), positional(each))
        for each in module.functions()
    )


def all_sizes() -> Iterator[Size]:
    """Yield the size of each function."""
    for module in EVERYTHING:
        yield from sizes(module)


def nesting(node: ast.AST) -> int:
    """Return the nesting depth of blocks. An elif has the depth of its if."""
    inner = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTION_TYPES):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        is_block = isinstance(child, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.AsyncFor | ast.AsyncWith)
        inner = max(inner, nesting(child) + (is_block and not is_elif))
    return inner


def positional(function: Function) -> int:
    """Count arguments that can be given by position, without ``self`` or ``cls``."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("module", EVERYTHING, ids=lambda module: module.name)
def test_a_file_is_not_longer_than_the_limit(module: Module) -> None:
    limit = TEST_FILE_MAX_LINES if module.name.startswith("tests.") else FILE_MAX_LINES
    lines = len(module.path.read_text(encoding="utf-8").splitlines())

    assert lines <= limit


def test_no_function_is_longer_than_the_limit() -> None:
    assert [size.place for size in all_sizes() if size.lines > FUNCTION_MAX_LINES] == []


def test_most_functions_are_as_short_as_intended() -> None:
    lines = [size.lines for module in SHIPPED for size in sizes(module)]
    share = sum(each <= FUNCTION_AIM_LINES for each in lines) / len(lines)

    assert share >= AIM_SHARE
    assert median(lines) <= MEDIAN_MAX_LINES


def test_blocks_are_not_nested_deeply() -> None:
    assert [size.place for size in all_sizes() if size.nesting > NESTING_MAX] == []


def test_few_arguments_are_positional() -> None:
    assert [size.place for size in all_sizes() if size.positional > ARGUMENTS_MAX] == []


def test_no_function_assigns_global_variables() -> None:
    assert [
        f"{module.name}:{node.lineno}"
        for module in EVERYTHING
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ] == []


def _function(text: str) -> Function:
    module = Module(name="example", text=text, path=CHECKOUT / "example.py", known=frozenset({"example"}))
    return next(module.functions())


def test_a_docstring_does_not_count_as_body() -> None:
    assert body_lines(_function('def f():\n    """\n    Long.\n    """\n    a = 1\n    return a\n')) == 2


@pytest.mark.parametrize(
    ("body", "depth"),
    [
        ("pass", 0),
        ("if a:\n        pass\n    elif b:\n        pass\n    elif c:\n        pass", 1),
        ("for a in b:\n        if a:\n            pass", 2),
        ("try:\n        pass\n    except E:\n        if a:\n            pass", 2),
    ],
)
def test_counts_the_depth_of_blocks(body: str, depth: int) -> None:
    assert depth == nesting(_function(f"def f():\n    {body}\n"))
