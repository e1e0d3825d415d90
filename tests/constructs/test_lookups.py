"""Values that the CDK looks up: the first pass gets dummy values, and collects what to look up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ssm as ssm

from cdk_ecrpublic import IImageSource, ImageSource, PublicImage, PublicRepository

SOURCES: dict[str, Callable[[str], IImageSource]] = {
    "digest": ImageSource.digest,
    "tag": ImageSource.tag,
    "copy by tag": lambda value: ImageSource.registry(f"docker.io/library/nginx:{value}"),
    "copy by digest": lambda value: ImageSource.registry(f"docker.io/library/nginx@{value}"),
    "manifest": ImageSource.manifest,
    "index": lambda value: ImageSource.index({"linux/amd64": ImageSource.digest(value)}),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_first_pass_succeeds(kind: str, tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    stack = Stack(app, "Agent", env=Environment(account="123456789012", region="us-east-1"))
    digest, name, tag = (ssm.StringParameter.value_from_lookup(stack, f"/acme/{each}") for each in ("d", "n", "t"))
    PublicImage(
        stack,
        "Release",
        repository=PublicRepository.from_repository_name(stack, "Repository", name),
        source=SOURCES[kind](digest),
        tags=[tag, f"{tag}-slim", "latest"],
        immutable_tags=[tag],
        expected_digest=digest,
    )

    app.synth()

    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert {each["props"]["parameterName"] for each in manifest["missing"]} == {"/acme/d", "/acme/n", "/acme/t"}


def test_checks_the_values_that_were_looked_up(tmp_path: Path) -> None:
    key = "ssm:account=123456789012:parameterName=/acme/d:region=us-east-1"
    app = App(outdir=str(tmp_path), context={key: "1.4.2"})
    stack = Stack(app, "Agent", env=Environment(account="123456789012", region="us-east-1"))

    with pytest.raises(ValueError, match=r"'1\.4\.2' is not a digest"):
        ImageSource.digest(ssm.StringParameter.value_from_lookup(stack, "/acme/d"))
