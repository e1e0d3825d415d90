"""
Copies from registries that are not ours, compared byte by byte.

distribution (versions 2 and 3, which Harbor, GitLab and Docker Hub are made
of) and go-containerregistry's: open, behind a password, and behind a token
service.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from cdk_ecrpublic._assets.lambda_handler.oci import ManifestMediaType
from cdk_ecrpublic.sandbox.images import Image, build_image, pull, push
from lambda_handler.errors import AccessError
from tests.support.registries import PASSWORD, Kind, Running, running
from tests.support.web_server import send, web_server

from .conftest import Publisher, two_platforms
from .test_referrers import referrers

KINDS = [
    *(
        Kind(program=program, guard=guard)
        for program in ("docker-registry", "registry")
        for guard in ("", "password", "token", "form")
    ),
    Kind(program="crane"),
]

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf"
INDEX = two_platforms("an index", size=50_000)
IMAGES = {
    "image": build_image({"etc/text": b"one"}),
    "index": INDEX,
    "docker": build_image(
        {"etc/text": b"docker"},
        platforms=("linux/amd64", "linux/arm64"),
        media_type=ManifestMediaType.DOCKER_MANIFEST,
    ),
}

pytestmark = pytest.mark.peer


@dataclass(frozen=True)
class Served:
    """A registry with images, and the referrers of one of them."""

    registry: Running
    attached: tuple[Image, ...]

    def uri(self, reference: str) -> str:
        return f"{self.registry.host}/team/app{'@' if reference.startswith('sha256:') else ':'}{reference}"


def attach(host: str, folder: Path) -> tuple[Image, ...]:
    """Attach an SBOM to the index with oras, which uses the referrers API if there is one, or else a tag."""
    if shutil.which("oras") is None:
        return ()
    (folder / "sbom.json").write_text('{"packages": []}')
    command = ["oras", "attach", "--plain-http", "--artifact-type", "application/vnd.example.sbom", "--format", "json"]
    done = subprocess.run(
        [*command, f"{host}/team/app:index", "sbom.json:application/json"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return (pull(f"{host}/team/app", json.loads(done.stdout)["digest"], login="nobody:"),)


def parameters(*, guarded: bool = False) -> Iterator[ParameterSet]:
    for kind in KINDS:
        if guarded and not kind.guard:
            continue
        reason = f"not installed: {', '.join(kind.missing)} (Debian, or tests/peers/install)"
        yield pytest.param(kind, id=str(kind), marks=pytest.mark.skipif(bool(kind.missing), reason=reason))


@pytest.fixture(scope="module", params=list(parameters()))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("registry")
    attached: list[Image] = []

    def fill(host: str) -> None:
        for tag, image in IMAGES.items():
            push(f"{host}/team/app", image, [tag], login="nobody:")
        attached.extend(attach(host, folder))

    with running(request.param, folder, fill) as registry:
        yield Served(registry, tuple(attached))


@pytest.fixture
def source(served: Served, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Return the other properties of the source: a secret, if the registry needs credentials."""
    del publisher  # sets the environment that this changes

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        body = json.dumps({"SecretString": served.registry.secret}).encode()
        send(request, 200, body, "application/x-amz-json-1.1")

    with web_server() as secrets:
        secrets.answer = answer
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url)
        yield {"CredentialsSecretArn": ARN} if served.registry.secret else {}


@pytest.mark.parametrize("tag", IMAGES)
@pytest.mark.parametrize("by_digest", [False, True], ids=["by tag", "by digest"])
def test_copies_an_image_byte_for_byte(
    publisher: Publisher, served: Served, source: dict[str, str], tag: str, *, by_digest: bool
) -> None:
    image = IMAGES[tag]

    publisher.publish({"Image": {"Reference": served.uri(image.digest if by_digest else tag), **source}}, "1")

    assert publisher.pull("1") == image


def test_copies_one_image_of_an_index_byte_for_byte(
    publisher: Publisher, served: Served, source: dict[str, str]
) -> None:
    child = INDEX.children[1]

    publisher.publish({"Image": {"Reference": served.uri(child.digest), **source}}, "arm")

    assert publisher.pull("arm") == child


def test_copies_what_oras_attached(publisher: Publisher, served: Served, source: dict[str, str]) -> None:
    if not served.attached:
        pytest.skip("not installed: oras (tests/peers/install)")

    publisher.publish({"Image": {"Reference": served.uri("index"), **source}}, "1", IncludeReferrers="true")

    assert publisher.pull("1") == INDEX
    assert referrers(publisher, INDEX) == {each.digest for each in served.attached}
    assert [publisher.pull(each.digest) for each in served.attached] == list(served.attached)


@pytest.mark.parametrize("served", list(parameters(guarded=True)), indirect=True)
def test_a_registry_with_a_login_refuses_wrong_credentials(
    publisher: Publisher, served: Served, source: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AccessError, match=served.registry.host):
        publisher.publish({"Image": {"Reference": served.uri("index")}}, "1")

    assert publisher.is_empty()
    publisher.publish({"Image": {"Reference": served.uri("index"), **source}}, "1")
    assert PASSWORD not in capsys.readouterr().out
