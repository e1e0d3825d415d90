"""The public classes as a Python prompt and an editor show them."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from constructs import Construct

import cdk_ecrpublic
from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository
from tests.architecture.source import CHECKOUT

DIGEST = "sha256:" + "a" * 64

CONSTRUCTS = [
    name
    for name in cdk_ecrpublic.__all__
    if isinstance(found := getattr(cdk_ecrpublic, name), type) and issubclass(found, Construct)
]


def test_finds_the_constructs() -> None:
    assert {"PublicImage", "PublicImageCatalog", "PublicImageProvider", "PublicRepository"} < set(CONSTRUCTS)


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_the_signature_of_a_construct_equals_that_of_its_init(name: str) -> None:
    construct: Any = getattr(cdk_ecrpublic, name)
    _, *expected = inspect.signature(construct.__init__).parameters.values()

    assert list(inspect.signature(construct).parameters.values()) == expected


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_help_starts_with_the_parameters_and_our_docstring(name: str) -> None:
    construct = getattr(cdk_ecrpublic, name)
    shown = pydoc.plain(pydoc.render_doc(construct))
    summary = (inspect.getdoc(construct) or "").splitlines()[0]

    assert f"{name}(scope: 'Construct', construct_id: 'str', *, " in shown
    assert "*args: Any" not in shown
    assert shown.index(summary) < shown.index("Method resolution order")


class _OwnRelease(PublicImage):
    def __init__(self, scope: Construct, *, digest: str) -> None:
        repository = PublicRepository.from_repository_name(scope, "Repository", "acme/agent")
        super().__init__(scope, "Release", repository=repository, source=ImageSource.digest(digest))


class _SameRelease(PublicImage):
    pass


def test_a_subclass_shows_its_own_parameters_and_works() -> None:
    image = _OwnRelease(Stack(App(), "Stack"), digest=DIGEST)

    assert image.node.path == "Stack/Release"
    assert list(inspect.signature(_OwnRelease).parameters) == ["scope", "digest"]
    assert inspect.signature(_SameRelease) == inspect.signature(PublicImage)


def test_the_version_equals_that_of_the_distribution() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert cdk_ecrpublic.__version__ == metadata.version("cdk-ecrpublic") == project["version"]
    assert "__version__" in dir(cdk_ecrpublic)


def test_a_checkout_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata.Distribution, "discover", lambda **_: iter(()))

    assert cdk_ecrpublic.__version__ == "0+unknown"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'cdk_ecrpublic' has no attribute 'PublicImge'"):
        cdk_ecrpublic.PublicImge  # type: ignore[attr-defined]  # noqa: B018 - a misspelled name


APP = """
from aws_cdk import App, CfnOutput, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from cdk_ecrpublic import (
    IImageSource, ImageSettings, ImageSource, IPublicRepository, OnTagRemoved, PublicImage, PublicImageCatalog,
    PublicImageProvider, PublicRepository, SourceBinding, __version__,
)


class Approved:
    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        provider.allow(["s3:GetObject"], "arn:aws:s3:::approvals/agent")
        return SourceBinding(properties={"Digest": "sha256:9f2c"})


class AgentStack(Stack):
    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        secret = secretsmanager.Secret(self, "Token")
        provider = PublicImageProvider(self, "Provider", role=role)
        created = PublicRepository(self, "Created", repository_name="acme/created")
        imported: IPublicRepository = PublicRepository.from_repository_name(self, "Imported", "acme/agent")
        sources: dict[str, IImageSource] = {
            "own": Approved(),
            "copied": ImageSource.registry("ghcr.io/acme/agent:1.4.2", credentials=secret),
        }
        for tag, source in sources.items():
            image = PublicImage(
                self, tag, repository=imported, source=source, tags=[tag],
                on_tag_removed=OnTagRemoved.UNTAG, provider=provider,
            )
            CfnOutput(self, f"Uri{tag}", value=image.image_uri_for_tag(tag))
        catalog = PublicImageCatalog.from_file(
            self, "Catalog", "images.yaml", credentials={"ghcr.io": secret}, defaults=ImageSettings(),
        )
        created.grant_push(role)
        CfnOutput(self, "Digest", value=catalog.image("acme/agent", "latest").image_digest, description=__version__)


app = App()
AgentStack(app, "Agent")
app.synth()
"""

WRONG = """
from cdk_ecrpublic import ImageSource, PublicImge

ImageSource.digest(1)
"""


def test_mypy_accepts_an_app_and_finds_its_mistakes(tmp_path: Path) -> None:
    """This uses strict mode, and runs in the checkout to use the cache of ``make types``."""
    (tmp_path / "users_app.py").write_text(APP)
    (tmp_path / "wrong.py").write_text(WRONG)

    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-pretty", str(tmp_path / "users_app.py"), str(tmp_path / "wrong.py")],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip

    errors = [line for line in result.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 2, result.stdout + result.stderr
    assert 'wrong.py:2: error: Module "cdk_ecrpublic" has no attribute "PublicImge"' in errors[0]
    assert 'wrong.py:4: error: Argument 1 to "digest" of "ImageSource" has incompatible type "int"' in errors[1]
