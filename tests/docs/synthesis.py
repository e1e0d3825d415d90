"""Run Python snippets of pages, in a stack if they have no app, and synthesize their apps."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from cdk_ecrpublic import PublicImageProvider, PublicRepository
from cdk_ecrpublic.sandbox.images import build_image, write_layout

from .pages import Snippet, snippets

DIGEST = "sha256:" + "9f2c" * 16

THIN = {"registries": [{"name": "public.ecr.aws/acme/tools"}]}

FILES: Mapping[str, object] = {
    "release.json": {"version": "1.4.2", "digest": DIGEST},
    "images/a/images.yaml": [{"name": "agent", "dmap": {DIGEST: ["1.4.2"]}}],
    "images/tools/images.yaml": [{"name": "lamp", "dmap": {DIGEST: ["1.4.2"]}}],
    "manifests/a/promoter-manifest.yaml": THIN,
    "theirs/images.yaml": [
        {"name": "kube-proxy", "dmap": {DIGEST: ["v1.34.0"]}},
        {"name": "tools/lamp", "dmap": {DIGEST: ["1.4.2"]}},
    ],
    "images.yaml": {"repositories": {"acme/agent": {"images": [{"digest": DIGEST, "tags": ["latest"]}]}}},
}
"""What pages speak of and do not show; JSON is YAML."""


GIVEN: Mapping[str, Callable[[Stack], object]] = {
    "provider": lambda stack: PublicImageProvider(stack, "GivenProvider"),
    "vpc": lambda stack: ec2.Vpc(stack, "GivenVpc"),
    "queue": lambda stack: sqs.Queue(stack, "GivenQueue"),
    "key": lambda stack: kms.Key(stack, "GivenKey"),
    "secret": lambda stack: secretsmanager.Secret.from_secret_name_v2(stack, "GivenSecret", "ghcr-token"),
    "app": lambda _: App(),
}
"""What an app has already of which a page speaks."""


def write_files(snippet: Snippet, folder: Path) -> None:
    """Write the files that a snippet may use: those above, those of its page, and the images of a build."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    for other in snippets(page=snippet.page):
        if other.title:
            (folder / other.title).write_text(other.whole)
    image = build_image({"etc/agent": b"agent"}, platforms=["linux/amd64", "linux/arm64"])
    write_layout(image, folder / "build" / "agent")
    (folder / "policy-manifest.json").write_bytes(image.manifest)
    (folder / "agent").mkdir()
    (folder / "agent" / "Dockerfile").write_text("FROM scratch\n")


def synthesize(snippet: Snippet, folder: Path) -> Template | None:
    """
    Run a snippet in *folder*, the working directory, and synthesize.

    It is the inside of a stack, ``self``, with a ``repository`` and the others
    of ``GIVEN``, and knows what earlier snippets of its page import; what the
    page does itself, it does not need. A class that is a stack is put into an app.

    Returns:
        The stack's template; None if the snippet has an app of its own.
    """
    # jsii looks for an asset in the folder where Node was started.
    tree = ast.parse(snippet.whole.replace('directory="agent"', f"directory={str(folder / 'agent')!r}"))
    app = App()
    environment = Environment(account="123456789012", region="us-east-1")
    stack = Stack(app, "Example", env=environment)
    repository = PublicRepository.from_repository_name(stack, "ExampleRepository", "acme/agent")
    names: dict[str, Any] = {"__name__": "snippet", "self": stack, "repository": repository}
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    made = {node.id for node in used if isinstance(node.ctx, ast.Store)}
    names |= {name: make(stack) for name, make in GIVEN.items() if name in {node.id for node in used} - made}
    for other in snippets("python", page=snippet.page):
        if other.line < snippet.line:
            exec(compile(_imports(other), str(other), "exec"), names)  # noqa: S102 - our own pages
    exec(compile(tree, str(snippet), "exec"), names)  # noqa: S102
    for name, value in list(names.items()):
        if isinstance(value, type) and issubclass(value, Stack) and value.__module__ == "snippet":
            return Template.from_stack(value(app, name))
    return None if names.get("app") else Template.from_stack(stack)


def _imports(snippet: Snippet) -> ast.Module:
    found = [node for node in ast.parse(snippet.whole).body if isinstance(node, ast.Import | ast.ImportFrom)]
    own = [node for node in found if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("agent"))]
    return ast.Module(body=list(own), type_ignores=[])
