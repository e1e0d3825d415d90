"""Copies from another registry server, Debian's docker-registry, read with skopeo."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox.images import Image, pull, push
from lambda_handler.errors import AccessError
from tests.support.registries import wait_for

from .conftest import Publisher, two_platforms

TOOLS = [tool for tool in ("docker-registry", "skopeo", "htpasswd") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        bool(TOOLS), reason=f"not installed: {', '.join(TOOLS)} (Debian: docker-registry, skopeo, apache2-utils)"
    ),
]


@dataclass(frozen=True)
class Distribution:
    """A running registry."""

    host: str

    def uri(self, name: str) -> str:
        return f"{self.host}/{name}"

    def push(self, name: str, image: Image, *tags: str) -> None:
        push(self.uri(name), image, tags, login="nobody:")


@pytest.fixture
def distribution(tmp_path: Path) -> Iterator[Distribution]:
    yield from run(tmp_path, "")


@pytest.fixture
def closed_distribution(tmp_path: Path) -> Iterator[Distribution]:
    """A registry that requires user and password, and contains an image ``team/app:1``."""
    for still_open in run(tmp_path, ""):
        still_open.push("team/app", two_platforms(), "1")
    command = ["htpasswd", "-Bbn", "agent", "smith-s3cret"]
    users = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (tmp_path / "users").write_text(users.strip() + "\n")
    yield from run(tmp_path, f"auth:\n  htpasswd:\n    realm: here\n    path: {tmp_path / 'users'}\n")


def run(folder: Path, auth: str) -> Iterator[Distribution]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    storage = f"storage:\n  filesystem:\n    rootdirectory: {folder / 'data'}\n"
    (folder / "config.yml").write_text(f"version: 0.1\n{storage}http:\n  addr: {host}\n{auth}")
    command = ["docker-registry", "serve", str(folder / "config.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(host)
            yield Distribution(host)
        finally:
            process.terminate()


def test_skopeo_pulls_the_declared_image_byte_for_byte(
    publisher: Publisher, distribution: Distribution, tmp_path: Path
) -> None:
    image = two_platforms()
    distribution.push("team/app", image, "1.0")

    publisher.publish({"Image": {"Reference": f"{distribution.uri('team/app')}:1.0"}}, "1.0", "latest")

    uri = f"docker://{publisher.uri('acme/agent')}"
    assert sorted(json.loads(skopeo("list-tags", uri))["Tags"]) == ["1.0", "latest"]
    assert skopeo("inspect", "--raw", f"{uri}:1.0") == image.manifest
    for child, architecture in zip(image.children, ("amd64", "arm64"), strict=True):
        folder = tmp_path / architecture
        options = ["--override-os", "linux", "--override-arch", architecture]
        subprocess.run(
            ["skopeo", *options, "copy", "--src-tls-verify=false", f"{uri}:latest", f"dir:{folder}"],
            check=True,
            capture_output=True,
        )
        assert (folder / "manifest.json").read_bytes() == child.manifest
        for digest in child.blobs:
            content = (folder / digest.removeprefix("sha256:")).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest.removeprefix("sha256:")


def test_skopeo_accepts_an_index_from_two_registries(publisher: Publisher, distribution: Distribution) -> None:
    amd, arm = two_platforms("a").children
    distribution.push("team/amd", amd, "1")
    publisher.push(arm, repository="acme/agent")
    parts = [
        {"Source": {"Digest": arm.digest}, "Platform": "linux/arm64"},
        {"Source": {"Image": {"Reference": f"{distribution.uri('team/amd')}:1"}}, "Platform": "linux/amd64"},
    ]

    outcome = publisher.publish({"Index": {"Manifests": parts}}, "both")

    raw = skopeo("inspect", "--raw", f"docker://{publisher.uri('acme/agent')}:both")
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == outcome.data["ImageDigest"]
    assert [entry["digest"] for entry in json.loads(raw)["manifests"]] == [amd.digest, arm.digest]
    assert pull(publisher.uri("acme/agent"), "both").children == (amd, arm)


def test_reads_a_registry_with_user_and_password_with_the_declared_secret(
    publisher: Publisher, closed_distribution: Distribution, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"Reference": f"{closed_distribution.uri('team/app')}:1", "CredentialsSecretArn": secret}

    publisher.publish({"Image": source}, "1")

    assert publisher.pull("1") == two_platforms()
    assert "smith-s3cret" not in capsys.readouterr().out


def test_a_registry_with_user_and_password_refuses_other_credentials(
    publisher: Publisher, closed_distribution: Distribution
) -> None:
    with pytest.raises(AccessError, match="it requires a user name and password, but none are declared"):
        publisher.publish({"Image": {"Reference": f"{closed_distribution.uri('team/app')}:1"}}, "1")

    assert publisher.is_empty()


@pytest.fixture
def secret(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Provide a secret in a Secrets Manager that has no other secrets."""
    del publisher  # sets the environment that this changes

    class SecretsManager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            value = json.dumps({"username": "agent", "password": "smith-s3cret"})
            body = json.dumps({"SecretString": value}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), SecretsManager) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{server.server_port}")
        yield "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf"
        server.shutdown()


def skopeo(command: str, *arguments: str) -> bytes:
    result = subprocess.run(["skopeo", command, "--tls-verify=false", *arguments], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout
