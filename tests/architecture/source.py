"""The project's source, for the tests in this folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

FUNCTION_TYPES = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Module:
    """
    One file.

    Attributes:
        name: Dotted; a package is named without ``__init__``.
        known: Names of all modules beside it, to tell ``from . import module``
            from ``from . import function``.
        text: The source, if it is not that of the file.
    """

    name: str
    path: Path
    known: frozenset[str]
    text: str | None = None

    @property
    def tree(self) -> ast.Module:
        """The syntax tree. It is not kept: the trees of all files would slow down every garbage collection."""
        text = self.path.read_text(encoding="utf-8") if self.text is None else self.text
        return ast.parse(text, str(self.path))

    def imports(self) -> Iterator[str]:
        """Yield the full name of every module that this one imports, anywhere in its code."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                yield from (self._module_of(base, alias.name) for alias in node.names)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        is_package = self.path.name == "__init__.py"
        package = parts[: len(parts) - node.level + is_package]
        return ".".join([*package, *([node.module] if node.module else [])])

    def _module_of(self, base: str, name: str) -> str:
        return f"{base}.{name}" if f"{base}.{name}" in self.known else base

    def functions(self) -> Iterator[Function]:
        """Yield every function and method, including nested ones."""
        for node in ast.walk(self.tree):
            if isinstance(node, FUNCTION_TYPES):
                yield node


@cache
def modules(top: str) -> tuple[Module, ...]:
    """Return every module of a top-level package; links are not followed."""
    paths = sorted((CHECKOUT / top).rglob("*.py"))
    names = {path: _name(path) for path in paths}
    known = frozenset(names.values())
    return tuple(Module(name=names[path], path=path, known=known) for path in paths)


def _name(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def body_lines(function: Function) -> int:
    """Count the lines of a function's body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def is_within(module: str, package: str) -> bool:
    """Return whether *module* is *package* or in it."""
    return module == package or module.startswith(f"{package}.")
