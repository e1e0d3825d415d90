"""What cosign, oras, regctl and BuildKit attach satisfies the rule that requires it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox.images import Image
from lambda_handler.errors import RuleViolationError
from tests.support.builders import buildkit
from tests.support.s3 import Bucket

from .conftest import Publisher, two_platforms
from .test_required_referrers import require

pytestmark = pytest.mark.peer


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (tests/peers/install)")


@pytest.fixture(autouse=True)
def home(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each tool a configuration folder for this test, with a login for the sandbox."""
    for name in [name for name in os.environ if name.startswith(("COSIGN_", "DOCKER_", "REGCTL_"))]:
        monkeypatch.delenv(name)
    data = publisher.sandbox.client("ecr-public").get_authorization_token()["authorizationData"]
    host = publisher.uri("acme/agent").partition("/")[0]
    config = {"auths": {host: {"auth": data["authorizationToken"]}}}
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))
    (tmp_path / "predicate.json").write_text('{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "a"}')
    assert base64.b64decode(data["authorizationToken"]).startswith(b"AWS:")
    for name, value in {"HOME": tmp_path, "DOCKER_CONFIG": tmp_path / ".docker", "COSIGN_PASSWORD": ""}.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


def run(home: Path, *command: str) -> None:
    result = subprocess.run(command, cwd=home, capture_output=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr.decode()


@pytest.fixture
def image(publisher: Publisher) -> Image:
    return publisher.push(two_platforms(), "v1", repository="acme/agent")


@pytest.fixture
def reference(publisher: Publisher, image: Image) -> str:
    return f"{publisher.uri('acme/agent')}@{image.digest}"


def release(publisher: Publisher, image: Image, *types: str, **more: str) -> None:
    publisher.publish({"Digest": image.digest}, "1", **require(*types, **more))


def lacking(publisher: Publisher, image: Image, *types: str, **more: str) -> str:
    with pytest.raises(RuleViolationError) as refused:
        release(publisher, image, *types, **more)
    return str(refused.value)


NEW = ("--new-bundle-format", "--use-signing-config=false")
KEY = ("--key", "cosign.key", "--tlog-upload=false", "--yes")


@needs("cosign")
@pytest.mark.parametrize("form", [(), NEW], ids=["tags", "bundles"])
def test_cosign_signs_and_attests(
    publisher: Publisher, image: Image, reference: str, home: Path, form: tuple[str, ...]
) -> None:
    run(home, "cosign", "generate-key-pair")
    attest = ["cosign", "attest", *KEY, *form, "--predicate", "predicate.json"]
    assert "lacks signature, sbom" in lacking(publisher, image, "signature", "sbom")

    run(home, "cosign", "sign", *KEY, *form, reference)
    assert "lacks sbom" in lacking(publisher, image, "signature", "sbom")
    run(home, *attest, "--type", "spdxjson", reference)

    release(publisher, image, "signature", "sbom", "https://spdx.dev/Document")
    assert "lacks signature (for linux/amd64" in lacking(publisher, image, "signature", EachPlatform="true")
    run(home, "cosign", "sign", *KEY, *form, "--recursive", reference)
    release(publisher, image, "signature", EachPlatform="true")


@needs("cosign")
def test_cosign_attaches_an_sbom(publisher: Publisher, image: Image, reference: str, home: Path) -> None:
    run(
        home,
        "cosign",
        "attach",
        "sbom",
        "--sbom",
        "predicate.json",
        "--type",
        "spdx",
        "--input-format",
        "json",
        reference,
    )

    release(publisher, image, "sbom", "spdx", "text/spdx+json")


@needs("oras")
def test_oras_attaches_an_sbom(publisher: Publisher, image: Image, reference: str, home: Path) -> None:
    kind = "application/vnd.cyclonedx+json"
    run(home, "oras", "attach", "--plain-http", "--artifact-type", kind, reference, f"predicate.json:{kind}")

    release(publisher, image, "sbom", "cyclonedx", kind)
    assert "lacks spdx" in lacking(publisher, image, "spdx")


@needs("regctl")
def test_regctl_puts_an_artifact_on_a_platform(publisher: Publisher, image: Image, home: Path) -> None:
    uri = publisher.uri("acme/agent")
    run(home, "regctl", "registry", "set", uri.partition("/")[0], "--tls", "disabled", "--skip-check")
    put = ["regctl", "artifact", "put", "--artifact-type", "application/spdx+json", "--file", "predicate.json"]
    run(home, *put, "--subject", f"{uri}@{image.children[0].digest}")
    assert "lacks sbom (for linux/arm64/v8)" in lacking(publisher, image, "sbom")

    run(home, *put, "--subject", f"{uri}@{image.children[1].digest}")

    release(publisher, image, "sbom", EachPlatform="true")


@needs("buildkitd", "buildctl", "crun")
@pytest.mark.skipif(os.geteuid() != 0, reason="buildkitd needs root")
def test_buildkit_writes_provenance_into_the_index(publisher: Publisher, bucket: Bucket, tmp_path: Path) -> None:
    build = buildkit("type=oci,name=docker.io/acme/agent:1", "--opt", "attest:provenance=mode=max")
    (tmp_path / "build").mkdir()
    source = bucket.put("image.tar", build(tmp_path / "build").read_bytes())

    with pytest.raises(RuleViolationError, match=r"lacks sbom of the RequiredReferrers; .*slsa\.dev/provenance/"):
        publisher.publish(source, "1", **require("provenance", "sbom"))
    publisher.publish(source, "1", **require("provenance", "https://slsa.dev/provenance/*", EachPlatform="true"))

    assert publisher.pull("1").children
