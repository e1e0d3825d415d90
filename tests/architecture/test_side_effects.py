"""What the handler's modules may not use: the environment, clients, salted hashes, random names."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import CHECKOUT, Module, modules

ENTRYPOINT = "lambda_handler.entrypoint"

ENVIRONMENT = frozenset({"environ", "getenv", "putenv", "unsetenv"})
CLIENTS = frozenset({"client", "resource", "create_client", "get_session", "Session", "PoolManager"})
SALTED_OR_RANDOM = frozenset({"hash", "uuid1", "uuid4", "token_hex", "token_urlsafe"})
"""Python salts string hashes per process, and CloudFormation needs the same id from two processes."""


def uses(module: Module, names: frozenset[str]) -> list[str]:
    """List where *module* names one of *names* in code, as ``module:line name``."""
    found = [
        (node.lineno, name)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name | ast.Attribute)
        and (name := node.id if isinstance(node, ast.Name) else node.attr) in names
    ]
    return [f"{module.name}:{line} {name}" for line, name in found]


def calls(module: Module, names: frozenset[str]) -> list[str]:
    """List where *module* calls one of *names*, as ``module:line name``; calls of a method of its own do not count."""
    functions = [node.func for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    return [
        f"{module.name}:{function.lineno} {name}"
        for function in functions
        if isinstance(function, ast.Name | ast.Attribute)
        and (name := function.id if isinstance(function, ast.Name) else function.attr) in names
        and not ast.unparse(function).startswith("self.")
    ]


def catch_alls(module: Module) -> list[str]:
    """List the ``except`` clauses of *module* that catch every exception, as ``module:line``."""
    return [
        f"{module.name}:{node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    ]


def effects_at_import(module: Module) -> list[str]:
    """List calls into AWS or HTTP libraries that run when *module* is imported."""
    top = [node for node in module.tree.body if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr)]
    functions = [node.func for statement in top for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return [
        f"{module.name}:{function.lineno}"
        for function in functions
        if ast.unparse(function).partition(".")[0] in ("boto3", "botocore", "urllib3", "os", "logging")
    ]


def _module(text: str) -> Module:
    return Module(name="lambda_handler.example", text=text, path=CHECKOUT / "example.py", known=frozenset())


OTHERS = [module for module in modules("lambda_handler") if module.name != ENTRYPOINT]


def test_only_the_entrypoint_reads_the_environment() -> None:
    assert [use for module in OTHERS for use in uses(module, ENVIRONMENT)] == []


def test_only_the_entrypoint_creates_clients() -> None:
    assert [call for module in OTHERS for call in calls(module, CLIENTS)] == []


def test_no_id_comes_from_a_salted_hash_or_a_random_number() -> None:
    assert [call for module in modules("lambda_handler") for call in calls(module, SALTED_OR_RANDOM)] == []


def test_importing_a_module_has_no_effects() -> None:
    assert [call for module in modules("lambda_handler") for call in effects_at_import(module)] == []


def test_only_two_places_catch_every_exception() -> None:
    """One of them must send a response to CloudFormation, and the other must return an exit status to the shell."""
    found = [
        place for top in ("lambda_handler", "cdk_ecrpublic") for module in modules(top) for place in catch_alls(module)
    ]

    assert [place.partition(":")[0] for place in found] == ["lambda_handler.cfn.lifecycle", "cdk_ecrpublic.cli"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os\nx = os.environ['A']", "lambda_handler.example:2 environ"),
        ("from os import environ\ndef f():\n    return environ['A']", "lambda_handler.example:3 environ"),
        ("import os\ndef f():\n    return os.getenv('A')", "lambda_handler.example:3 getenv"),
    ],
)
def test_finds_a_read_of_the_environment(text: str, found: str) -> None:
    assert [found] == uses(_module(text), ENVIRONMENT)


def test_finds_a_client() -> None:
    text = "def f(session):\n    return session.create_client('ecr-public')"

    assert calls(_module(text), CLIENTS) == ["lambda_handler.example:2 create_client"]


def test_finds_a_client_that_is_created_at_import() -> None:
    assert effects_at_import(_module("import boto3\nS3 = boto3.client('s3')")) == ["lambda_handler.example:2"]


@pytest.mark.parametrize("clause", ["except:", "except Exception:", "except BaseException as error:"])
def test_finds_a_catch_all(clause: str) -> None:
    assert catch_alls(_module(f"try:\n    f()\n{clause}\n    pass")) == ["lambda_handler.example:3"]
