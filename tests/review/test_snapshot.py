"""``snapshot``: the current content of a repository, as code that changes nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdk_ecrpublic import PublicImageCatalog
from cdk_ecrpublic._assets.lambda_handler.clock import Deadline
from cdk_ecrpublic._assets.lambda_handler.errors import UnavailableError
from cdk_ecrpublic._assets.lambda_handler.log import Log
from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.effect import State
from cdk_ecrpublic.review.live.registry import Registry
from cdk_ecrpublic.review.live.retry import ReviewRetry
from cdk_ecrpublic.review.snapshot import take_snapshot
from cdk_ecrpublic.sandbox.images import build_image
from tests.support.clock import SteppingClock

from .conftest import HOME, UPSTREAM, World

CHECKOUT = Path(__file__).parents[2]

ONE = build_image({"a": b"1"}, platforms=("linux/amd64", "linux/arm64"))
TWO = build_image({"a": b"2"})


def take(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["snapshot", *arguments])
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture
def full(world: World) -> World:
    world.push(ONE, "latest", "1.4", "1.4.2")
    world.push(TWO, "1.3")
    world.push(TWO, f"sha256-{'a' * 64}.sig", repository=UPSTREAM)
    world.push(ONE, "v1", repository=UPSTREAM)
    return world


def synthesize(app: str, folder: Path) -> Path:
    (folder / "app.py").write_text(app)
    result = subprocess.run(
        [sys.executable, "app.py"],
        cwd=folder,
        env={**os.environ, "CDK_OUTDIR": str(folder / "cdk.out"), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder / "cdk.out"


@pytest.mark.usefixtures("cloud")
def test_writes_an_app_that_declares_the_current_content(full: World, tmp_path: Path) -> None:
    result = take(HOME, UPSTREAM)

    assembly = read_assembly(synthesize(result.stdout, tmp_path))
    effects = full.review(assembly)
    assert {effect.state for effect in effects} == {State.UNCHANGED}
    declared = {tag.tag: tag.after for effect in effects for tag in effect.tags}
    assert declared == {**full.tags(), "v1": ONE.digest}
    full.sandbox.requests.clear()
    for image in assembly.images:
        full.deploy(image, assembly)
    puts = full.sandbox.requests.all("PutImage")
    assert {request.error for request in puts} == {"ImageAlreadyExistsException"}, "nothing changes"


def test_writes_a_catalog_that_declares_the_current_content(full: World, tmp_path: Path) -> None:
    file = tmp_path / "images.yaml"
    file.write_text(take("--format", "catalog", HOME, UPSTREAM).stdout)

    effects = full.review(full.read(lambda stack, _: PublicImageCatalog.from_file(stack, "Images", file)))

    assert {effect.state for effect in effects} == {State.UNCHANGED}
    declared = {tag.tag: tag.after for effect in effects for tag in effect.tags}
    assert declared == {**full.tags(), "v1": ONE.digest}


@pytest.mark.usefixtures("full")
def test_the_most_specific_tag_names_an_image() -> None:
    assert '"acme.agent:1.4.2"' in take(HOME).stdout
    assert 'tags=["1.4.2", "1.4", "latest"]' in take(HOME).stdout


@pytest.mark.usefixtures("full")
def test_omits_tags_of_signatures_and_says_so() -> None:
    result = take(UPSTREAM)

    assert "sha256-" not in result.stdout
    assert "up/stream: 1 tag of signatures and other referrers omitted" in result.stderr


def test_a_snapshot_needs_no_credentials(without_credentials: World) -> None:
    world = without_credentials
    address = world.uri(HOME)
    world.push(ONE, "latest", "1.4", "1.4.2")

    assert 'tags=["1.4.2", "1.4", "latest"]' in take(address).stdout
    assert f'ImageSource.digest("{ONE.digest}")' in take(address).stdout


def test_reads_many_tags_page_by_page(full: World) -> None:
    full.push(TWO, *(f"v{number}" for number in range(600)))
    full.push(ONE, *(f"w{number}" for number in range(600)))

    by_owner = take(HOME).stdout
    by_anybody = take(full.uri(HOME)).stdout

    assert by_owner == by_anybody
    assert '"v599"' in by_owner
    assert '"w599"' in by_owner


def test_reports_a_missing_repository(world: World) -> None:
    result = CliRunner().invoke(cli, ["snapshot", "acme/nothing"])

    assert result.exit_code == 2
    assert "acme/nothing: NOT_FOUND" in result.stderr
    assert world.tags() == {}


@pytest.mark.usefixtures("without_credentials")
def test_without_credentials_a_name_gets_a_hint_to_use_the_uri() -> None:
    result = CliRunner().invoke(cli, ["snapshot", HOME])

    assert result.exit_code == 2
    assert "there are no AWS credentials" in result.stderr
    assert f"public.ecr.aws/ALIAS/{HOME}" in result.stderr
    assert "function" not in result.stderr


@pytest.mark.parametrize("address", [HOME, "127.0.0.1:{port}/abc/" + HOME], ids=["API", "registry"])
def test_an_address_where_nothing_listens_is_tried_only_twice(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    variables = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "1", "AWS_SECRET_ACCESS_KEY": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    result = CliRunner().invoke(cli, ["snapshot", address.format(port=port)])

    assert result.exit_code == 2
    assert result.stderr.count("retrying in") == 1
    assert f"127.0.0.1:{port}" in result.stderr
    assert "nothing listens at this address; start the sandbox there, or correct or unset AWS_ENDPOINT_URL" in (
        result.stderr.replace("\n", " ")
    )


def test_a_missing_host_is_not_asked_for_a_manifest() -> None:
    """The user waits only for the login to list the tags."""
    registry = Registry()
    registry.retry = ReviewRetry(Deadline.after(60, SteppingClock()), Log())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(UnavailableError, match=f"GET token from 127.0.0.1:{port} failed: it refuses connections"):
        take_snapshot(f"127.0.0.1:{port}/abc/{HOME}", registry)
