"""Apps written as ``cdk synth`` writes them, for tests that need hundreds of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .conftest import HOME

Resources = Mapping[str, Mapping[str, object]]
"""Logical id to properties."""


def write_app(folder: Path, resources: Resources, stack: str = "Agent") -> Path:
    """Write an app of one stack, without an account and Region."""
    app = Path(tempfile.mkdtemp(dir=folder))
    artifact = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://unknown-account/unknown-region",
        "properties": {"templateFile": "template.json"},
    }
    (app / "manifest.json").write_text(json.dumps({"artifacts": {stack: artifact}}))
    (app / "template.json").write_text(
        json.dumps({"Resources": {name: _resource(resources[name]) for name in resources}})
    )
    return app


def declare(digest: str, *tags: str, **more: object) -> dict[str, object]:
    """Declare an image of the repository under *tags*."""
    return {"RepositoryName": HOME, "ImageTags": list(tags), "Source": {"Digest": digest}, **more}


def _resource(properties: Mapping[str, object]) -> dict[str, object]:
    return {"Type": "Custom::ECRPublicImage", "Properties": {"ServiceToken": "arn:aws:lambda:…", **properties}}
