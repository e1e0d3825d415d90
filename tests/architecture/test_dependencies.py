"""The layers: a table of allowed imports, checked against the source."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field

import pytest

from tests.architecture.source import CHECKOUT, Module, is_within, modules

HANDLER = "lambda_handler"
SHIPPED = "cdk_ecrpublic._assets.lambda_handler"
"""The handler's name inside the construct library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """
    What the modules of one layer may import besides each other.

    Attributes:
        ours: Modules or packages of the project.
        others: Top-level names besides the standard library.
    """

    ours: frozenset[str] = field(default_factory=frozenset)
    others: frozenset[str] = field(default_factory=frozenset)


def handler(*ours: str, others: tuple[str, ...] = ()) -> Layer:
    return Layer(ours=frozenset(f"{HANDLER}.{name}" for name in ours), others=frozenset(others))


def library(*shipped: str, ours: tuple[str, ...] = (), others: tuple[str, ...] = ()) -> Layer:
    return Layer(ours=frozenset({*(f"{SHIPPED}.{name}" for name in shipped), *ours}), others=frozenset(others))


def sandbox(*modules: str) -> tuple[str, ...]:
    return tuple(f"cdk_ecrpublic.sandbox.{module}" for module in modules)


ONE_REQUEST = ("authorization", "errors", "exchange", "faults", "operations", "settings", "tokens", "trail", "world")
"""Modules of the sandbox that both of its APIs are built on."""

WITHOUT_CDK = ("cdk_ecrpublic.constructs._sources.archive_file", "cdk_ecrpublic.constructs._pin_names")
"""The modules of the constructs that a program can import without the CDK."""

LAYERS = {
    # The function that runs in Lambda, from the inside out.
    "lambda_handler.errors": handler(),
    "lambda_handler.log": handler(),
    "lambda_handler.library_logs": handler(others=("urllib3",)),
    "lambda_handler.clock": handler("errors"),
    "lambda_handler.retry": handler("errors", "clock", "log"),
    "lambda_handler.concurrency": handler(),
    "lambda_handler.on_demand": handler(),
    "lambda_handler.values": handler("errors"),
    "lambda_handler.oci": handler("errors"),
    "lambda_handler.archive": handler("errors", "oci"),
    "lambda_handler.publish": handler("errors", "oci", "log", "concurrency", "archive.stored"),
    "lambda_handler.sources": handler(
        "errors", "oci", "values", "concurrency", "on_demand", "archive", "publish.ports", "publish.content"
    ),
    "lambda_handler.signatures": handler("errors", "oci", "values", "publish.ports", "publish.content", "publish.own"),
    "lambda_handler.rules": handler(
        "errors",
        "oci",
        "values",
        "concurrency",
        "on_demand",
        "publish.rule",
        "publish.content",
        "publish.ports",
        "publish.attachments",
        "publish.findings",
        "signatures",
    ),
    "lambda_handler.spec": handler("errors", "oci", "values", "sources", "rules", "signatures"),
    "lambda_handler.registry": handler("errors", "oci", "clock", "retry", others=("urllib3",)),
    "lambda_handler.aws": handler(
        "errors", "oci", "retry", "archive.stored", "publish.findings", others=("botocore", "urllib3")
    ),
    "lambda_handler.ecr_public": handler(
        "errors", "oci", "clock", "retry", "concurrency", "on_demand", "aws.errcode", others=("botocore",)
    ),
    # One exception: it asks `oci` whether the host of the response URL is this machine.
    "lambda_handler.cfn": handler("errors", "clock", "log", "retry", "oci", others=("urllib3",)),
    "lambda_handler.resources": handler("errors", "oci", "log", "spec", "publish", "cfn.event", "cfn.response"),
    # The other function, which a schedule invokes. Its core knows neither AWS nor stacks.
    "lambda_handler.retention": handler("errors", "oci", "log", "retry", "concurrency"),
    "lambda_handler.retention.service": handler(
        "errors", "oci", "retry", "aws.errcode", "ecr_public.repository", "retention", others=()
    ),
    "lambda_handler.retention.stacks": handler(
        "errors", "oci", "retry", "spec", "aws.templates", "resources", "retention"
    ),
    "lambda_handler.retention.entrypoint": Layer(ours=frozenset({HANDLER})),
    # The third function, which a schedule and events invoke.
    "lambda_handler.monitor": handler(
        "errors", "oci", "log", "concurrency", "spec", "publish", "resources.judging", "resources.planning"
    ),
    "lambda_handler.monitor.stacks": handler(
        "errors", "spec", "publish.ports", "aws.templates", "cfn.event", "resources.turn", "monitor"
    ),
    "lambda_handler.monitor.entrypoint": Layer(ours=frozenset({HANDLER})),
    # Where adapters meet use cases.
    "lambda_handler.entrypoint": Layer(ours=frozenset({HANDLER}), others=frozenset({"botocore", "urllib3"})),
    "lambda_handler": Layer(),
    # The construct library, and the programs that run on a developer's machine.
    # The sandbox: its store, two APIs that do not import each other, and the server in front of them.
    "cdk_ecrpublic.sandbox": library(
        "errors",
        "oci",
        ours=sandbox("store", "api", "registry", "gallery", "testing"),
        others=("boto3", "botocore", "hypercorn", "starlette", "urllib3"),
    ),
    "cdk_ecrpublic.sandbox.store": library("errors", "oci", ours=sandbox("errors", "settings")),
    "cdk_ecrpublic.sandbox.api": library(
        "errors", "oci", ours=sandbox("store", *ONE_REQUEST), others=("botocore", "starlette")
    ),
    "cdk_ecrpublic.sandbox.registry": library(
        "errors", "oci", ours=sandbox("store", *ONE_REQUEST), others=("starlette",)
    ),
    # Only the words for artifacts are shared with a review.
    "cdk_ecrpublic.sandbox.gallery": library(
        "errors",
        "oci",
        ours=("cdk_ecrpublic.review.kinds", *sandbox("store", "journal", *ONE_REQUEST)),
        others=("jinja2", "starlette"),
    ),
    "cdk_ecrpublic.sandbox.testing": library("errors", "oci", others=("urllib3",)),
    "cdk_ecrpublic.sandbox.aws": Layer(
        ours=frozenset({"cdk_ecrpublic.sandbox"}), others=frozenset({"cryptography", "ministack", "starlette"})
    ),
    # A review is the handler without its writes. It reads an app without the CDK.
    "cdk_ecrpublic.review": Layer(
        ours=frozenset({SHIPPED, "cdk_ecrpublic.review.app", *WITHOUT_CDK}), others=frozenset({"yaml"})
    ),
    # What an app declares; this part reads no registry.
    "cdk_ecrpublic.review.app": library(
        "errors",
        "oci",
        "spec",
        ours=WITHOUT_CDK,
    ),
    # The same cases on AWS and on the sandbox.
    "cdk_ecrpublic.live_check": library(
        "oci", ours=("cdk_ecrpublic.sandbox",), others=("boto3", "botocore", "urllib3")
    ),
    "cdk_ecrpublic.cli.output": library("oci", "spec", ours=("cdk_ecrpublic.review",), others=("rich",)),
    "cdk_ecrpublic.cli": library(
        "errors",
        "oci",
        "retention",
        ours=(
            "cdk_ecrpublic._version",
            "cdk_ecrpublic.review",
            "cdk_ecrpublic.cli.output",
            "cdk_ecrpublic.live_check",
            "cdk_ecrpublic.sandbox",
        ),
        others=("boto3", "botocore", "click", "rich"),
    ),
    "cdk_ecrpublic.constructs": library(
        "archive",
        "errors",
        "oci",
        "values",
        "sources",
        "rules",
        "signatures",
        "spec",
        "retention.lifecycle",
        "retention.state",
        others=("aws_cdk", "constructs", "jsii"),
    ),
    # The names that the package exports.
    "cdk_ecrpublic": Layer(ours=frozenset({"cdk_ecrpublic.constructs", "cdk_ecrpublic.catalog"})),
    # Catalogs are read without the CDK and the constructs. One module creates images from them.
    "cdk_ecrpublic.catalog": library("errors", "oci", "rules", "signatures", ours=("cdk_ecrpublic.catalog.nodes",)),
    "cdk_ecrpublic.catalog.nodes": library("errors", "oci", ours=("cdk_ecrpublic.catalog.problems",), others=("yaml",)),
    "cdk_ecrpublic.catalog.construct": library(
        "errors",
        "oci",
        ours=(
            "cdk_ecrpublic.catalog",
            "cdk_ecrpublic.constructs.image_source",
            "cdk_ecrpublic.constructs.provider",
            "cdk_ecrpublic.constructs.public_image",
            "cdk_ecrpublic.constructs.public_repository",
            "cdk_ecrpublic.constructs._validation.values",
            "cdk_ecrpublic.constructs._signature",
            "cdk_ecrpublic.constructs._sources.base",
        ),
        others=("aws_cdk", "constructs"),
    ),
    "cdk_ecrpublic.catalog.release_rules": library(
        "errors",
        ours=(
            "cdk_ecrpublic.catalog.model",
            "cdk_ecrpublic.constructs.release_rule",
            "cdk_ecrpublic.constructs.signing",
            "cdk_ecrpublic.constructs._rules.base",
            "cdk_ecrpublic.constructs._rules.scan_findings",
            "cdk_ecrpublic.constructs._validation.values",
        ),
        others=("aws_cdk",),
    ),
}

PURE = (
    "archive",
    "errors",
    "values",
    "oci",
    "spec",
    "sources",
    "rules",
    "publish.differences",
    "signatures",
    "publish.plan",
    "publish.ports",
    "publish.rule",
)
"""Modules of the handler without effects: the construct library may run them at synthesis."""

EFFECTS = frozenset(
    {"os", "random", "secrets", "socket", "subprocess", "sys", "threading", "time", "logging", "pathlib"}
)


def layer_of(module: str) -> str:
    """Return the row of the table that applies to *module*: the longest name that contains it."""
    return max((name for name in LAYERS if is_within(module, name)), key=len)


def refused_imports(module: Module) -> list[str]:
    """List the imports of *module* that its layer does not allow, one sentence each."""
    name = layer_of(module.name)
    return [
        f"{module.name} imports {imported}; layer {name} may import {_allowed(LAYERS[name])}"
        for imported in module.imports()
        if not _may_import(name, imported)
    ]


def _may_import(layer: str, imported: str) -> bool:
    top = imported.partition(".")[0]
    if top in (HANDLER, "cdk_ecrpublic"):
        own = any(is_within(imported, name) for name in LAYERS[layer].ours)
        return own or (not is_within(imported, SHIPPED) and layer_of(imported) == layer)
    return top in sys.stdlib_module_names or top in LAYERS[layer].others


def _allowed(layer: Layer) -> str:
    return ", ".join(sorted([*layer.ours, *layer.others])) or "nothing but the standard library"


def everything() -> tuple[Module, ...]:
    return (*modules(HANDLER), *modules("cdk_ecrpublic"))


def _module(name: str, text: str) -> Module:
    known = frozenset(module.name for module in everything())
    return Module(name=name, text=text, path=CHECKOUT / "module.py", known=known | {name})


@pytest.mark.parametrize("module", everything(), ids=lambda module: module.name)
def test_a_module_imports_only_what_its_layer_allows(module: Module) -> None:
    assert refused_imports(module) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lambda_handler.oci.digest", "from ..registry import RegistryClient"),
        ("lambda_handler.oci.digest", "import urllib3"),
        ("lambda_handler.publish.plan", "from .. import ecr_public"),
        ("lambda_handler.cfn.event", "from ..resources.public_image import PublicImageResource"),
        ("lambda_handler.entrypoint", "import cdk_ecrpublic"),
        ("lambda_handler.entrypoint", "import boto3"),
        ("lambda_handler.sources.tag", "def f():\n    from ..publish.execute import execute"),
        ("cdk_ecrpublic.constructs.provider", "from lambda_handler.oci import Digest"),
        ("cdk_ecrpublic.constructs.provider", "from .._assets.lambda_handler.registry import RegistryClient"),
        ("cdk_ecrpublic.constructs.provider", "import boto3"),
        ("cdk_ecrpublic.constructs.provider", "from ..sandbox import Sandbox"),
        ("cdk_ecrpublic.constructs.provider", "import yaml"),
        ("cdk_ecrpublic.catalog.reader", "import aws_cdk"),
        ("cdk_ecrpublic.catalog.reader", "import yaml"),
        ("cdk_ecrpublic.catalog.reader", "from ..constructs.public_image import PublicImage"),
        ("cdk_ecrpublic.review.app.assembly", "import aws_cdk"),
        ("cdk_ecrpublic.review.live.registry", "import boto3"),
        ("cdk_ecrpublic.review.effect", "from ..sandbox import Sandbox"),
        ("cdk_ecrpublic.sandbox.store.registries", "import aws_cdk"),
        ("cdk_ecrpublic.sandbox.store.registries", "from ...constructs.public_image import PublicImage"),
        ("cdk_ecrpublic.sandbox.store.registries", "from ..._assets.lambda_handler.spec import decode"),
        ("cdk_ecrpublic.sandbox.store.registries", "from ..api.context import ApiContext"),
        ("cdk_ecrpublic.sandbox.api.images", "from ..front.gateway import Gateway"),
        ("cdk_ecrpublic.sandbox.api.images", "from ..registry.blobs import token"),
        ("cdk_ecrpublic.sandbox.registry.blobs", "import ministack"),
        ("cdk_ecrpublic.sandbox.gallery.overview", "from ..api.context import ApiContext"),
        ("cdk_ecrpublic.sandbox.gallery.overview", "from ...review.effect import Effect"),
        ("cdk_ecrpublic.sandbox.server", "import ministack"),
        ("cdk_ecrpublic.sandbox.testing.images", "from ..store.state import Repository"),
    ],
)
def test_refuses_an_import_that_the_layer_does_not_allow(name: str, text: str) -> None:
    assert name in {module.name for module in everything()}
    assert len(refused_imports(_module(name, text))) == 1


def test_every_layer_of_the_table_exists() -> None:
    names = {module.name for module in everything()}

    assert [layer for layer in LAYERS if layer not in names] == []


def test_every_import_inside_the_handler_is_relative() -> None:
    absolute = [
        (module.name, imported)
        for module in modules(HANDLER)
        for imported in _absolute_imports(module)
        if is_within(imported, HANDLER)
    ]

    assert absolute == []


def _absolute_imports(module: Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
    return names


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_no_module_with_effects(name: str) -> None:
    impure = [
        (module.name, imported)
        for module in modules(HANDLER)
        if is_within(module.name, f"{HANDLER}.{name}")
        for imported in module.imports()
        if imported.partition(".")[0] in EFFECTS
    ]

    assert impure == []
