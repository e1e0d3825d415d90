"""Build tiny images with common build tools, in the formats that these tools write."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox.images import build_image, push
from tests.support.registries import Kind, running

JIB = "com.google.cloud.tools:jib-maven-plugin:3.5.2"
JIB_HOME = Path.home() / ".m2/repository/com/google/cloud/tools/jib-maven-plugin/3.5.2"
NAME = "docker.io/acme/agent:1"
TEXT = b"hello\n"
"""The content of the file ``/hello`` of each image."""

_DOCKERFILE = "FROM scratch\nCOPY hello /hello\nLABEL tests=yes\n"
_POM = """\
<project><modelVersion>4.0.0</modelVersion>
<groupId>example</groupId><artifactId>app</artifactId><version>1</version></project>
"""
_CONTAINERD = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/socket"
[ttrpc]
address = "{folder}/ttrpc"
"""

Build = Callable[[Path], Path]
"""Builds into a folder of its own, and returns the archive."""


@dataclass(frozen=True, kw_only=True)
class Builder:
    """
    A tool with certain options.

    Attributes:
        needs: The programs that it needs.
        is_whole: Whether the archive contains everything that it lists.
        has_file: Whether it is an image with the file ``/hello``.
        needs_root: Whether only root can run it.
    """

    name: str
    needs: tuple[str, ...]
    build: Build
    is_whole: bool = True
    has_file: bool = True
    needs_root: bool = False

    @property
    def missing(self) -> str:
        """Why the tool cannot run here; empty if it can."""
        missing = [name for name in self.needs if shutil.which(name) is None]
        if "mvn" in self.needs and not JIB_HOME.is_dir():
            missing.append("jib")
        if missing:
            return f"not installed: {', '.join(missing)} (Debian, or tests/peers/install)"
        return f"{self.needs[0]} needs root" if self.needs_root and os.geteuid() else ""


def run(*command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> bytes:
    """Run a tool. If it fails, the test fails."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False, timeout=240)
    assert done.returncode == 0, (done.stderr or done.stdout).decode()
    return done.stdout


def packed(layout: Path) -> Path:
    """Pack a layout folder into a tar file."""
    archive = layout.with_suffix(".packed.tar")
    run("tar", "-C", str(layout), "-cf", str(archive), ".")
    return archive


@contextmanager
def daemon(folder: Path, socket: Path, *command: str) -> Iterator[None]:
    """Run a daemon until the end of the block. If it does not start, skip the test and say why."""
    log = folder / "log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _wait_for(command[0], socket, process, log)
            yield
        finally:
            process.terminate()


def _wait_for(name: str, socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a daemon. If it does not start, skip the test and say why."""
    if not _is_up(socket, process):
        last = (log.read_text().splitlines() or [""])[-1]
        pytest.skip(f"{name} does not run here: {last[:200]}")


def _is_up(socket: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a daemon listens or has ended; return whether it listens."""
    end = time.monotonic() + 30
    while not socket.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    return socket.exists()


@contextmanager
def short_folder() -> Iterator[Path]:
    """Create a folder with a short path, because the system limits the paths of sockets."""
    with tempfile.TemporaryDirectory(prefix="built", ignore_cleanup_errors=True) as name:
        yield Path(name)


def context(folder: Path) -> Path:
    """Write a build context."""
    found = folder / "context"
    found.mkdir()
    (found / "hello").write_bytes(TEXT)
    (found / "Dockerfile").write_text(_DOCKERFILE)
    run("tar", "-C", str(found), "-cf", str(folder / "layer.tar"), "hello")
    return found


def storage(home: Path) -> list[str]:
    """Return the options for the storage of buildah and podman."""
    return ["--root", f"{home}/store", "--runroot", f"{home}/run", "--storage-driver", "vfs"]


def buildah(target: str) -> Build:
    def build(folder: Path) -> Path:
        source, name = str(context(folder)), "agent:1" if target == "docker-archive" else "1"
        with short_folder() as home:
            command = ["buildah", *storage(home)]
            run(*command, "build", "--isolation", "chroot", "-t", "agent:1", source)
            run(*command, "push", "agent:1", f"{target}:{folder}/image.tar:{name}")
        return folder / "image.tar"

    return build


def buildah_index(folder: Path) -> Path:
    source = str(context(folder))
    with short_folder() as home:
        command = ["buildah", *storage(home)]
        platforms = ["--platform", "linux/amd64,linux/arm64", "--manifest", "agent"]
        run(*command, "build", "--isolation", "chroot", *platforms, source)
        run(*command, "manifest", "push", "--all", "agent", f"oci-archive:{folder}/image.tar:1")
    return folder / "image.tar"


def podman(form: str) -> Build:
    def build(folder: Path) -> Path:
        source, out = str(context(folder)), folder / ("image.tar" if form.endswith("archive") else "saved")
        with short_folder() as home:
            command = ["podman", *storage(home), "--tmpdir", f"{home}/work"]
            run(*command, "build", "--isolation", "chroot", "-t", "agent:1", source)
            run(*command, "save", "--format", form, "-o", str(out), "agent:1")
        return packed(out) if out.is_dir() else out

    return build


def umoci(folder: Path) -> Path:
    file, layout = context(folder) / "hello", str(folder / "layout")
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:1")
    run("umoci", "insert", "--image", f"{layout}:1", str(file), "/hello")
    return packed(Path(layout))


def buildkit(output: str, *options: str) -> Build:
    def build(folder: Path) -> Path:
        source, out = context(folder), folder / "image.tar"
        with short_folder() as home:
            worker = ["--oci-worker-binary", "crun", "--oci-worker-snapshotter", "native", "--oci-worker-net", "host"]
            where = ["--root", f"{home}/root", "--addr", f"unix://{home}/s", "--otel-socket-path", f"{home}/o"]
            with daemon(home, home / "s", "buildkitd", *where, *worker, "--containerd-worker=false"):
                parts = ["--local", f"context={source}", "--local", f"dockerfile={source}"]
                command = ["buildctl", "--addr", f"unix://{home}/s", "build", "--frontend", "dockerfile.v0", *parts]
                run(*command, *options, "--output", f"{output},dest={out}")
        return out

    return build


def containerd(*options: str) -> Build:
    """Import two platforms into containerd and export them, as Docker does with its containerd image store."""

    def build(folder: Path) -> Path:
        whole, out = buildah_index(folder), folder / "exported.tar"
        with short_folder() as home:
            (home / "config.toml").write_text(_CONTAINERD.format(folder=home))
            with daemon(home, home / "socket", "containerd", "--config", str(home / "config.toml")):
                ctr = ["ctr", "--address", f"{home}/socket", "images"]
                run(*ctr, "import", "--all-platforms", "--no-unpack", "--base-name", "docker.io/acme/agent", str(whole))
                (name,) = run(*ctr, "ls", "-q").decode().split()
                run(*ctr, "export", *options, str(out), name)
        return out

    return build


def docker(folder: Path) -> Path:
    source, out = context(folder), folder / "saved.tar"
    with short_folder() as home:
        where = ["--data-root", f"{home}/data", "--exec-root", f"{home}/exec", "-p", f"{home}/pid"]
        network = ["--iptables=false", "--bridge=none", "--storage-driver", "vfs"]
        with daemon(home, home / "s", "dockerd", "-H", f"unix://{home}/s", *where, *network):
            command = ["docker", "-H", f"unix://{home}/s"]
            run(*command, "build", "-q", "-t", "acme/agent:1", str(source), env={"DOCKER_BUILDKIT": "0"})
            run(*command, "save", "-o", str(out), "acme/agent:1")
    return out


def ko(form: str) -> Build:
    def build(folder: Path) -> Path:
        app, out = folder / "app", folder / "out"
        app.mkdir()
        (app / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
        (app / "main.go").write_text("package main\n\nfunc main() {}\n")
        base = build_image({"hello": TEXT}, platforms=("linux/amd64", "linux/arm64"))
        with running(
            Kind(program="crane"), folder, lambda host: push(f"{host}/base", base, ["1"], login="nobody:")
        ) as registry:
            env = {"KO_DOCKER_REPO": f"{registry.host}/app", "KO_DEFAULTBASEIMAGE": f"{registry.host}/base:1"}
            env |= {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
            platforms = "linux/amd64,linux/arm64" if form == "oci-layout-path" else "linux/amd64"
            options = ["--push=false", "--bare", "--sbom=none", f"--platform={platforms}", f"--{form}={out}"]
            run("ko", "build", *options, ".", cwd=app, env=env)
        return packed(out) if out.is_dir() else out

    return build


def jib(form: str) -> Build:
    def build(folder: Path) -> Path:
        (folder / "pom.xml").write_text(_POM)
        (folder / "Main.java").write_text("public class Main { public static void main(String[] a) {} }\n")
        run("javac", "-d", "target/classes", "Main.java", cwd=folder)
        (folder / "src/main/jib").mkdir(parents=True)
        (folder / "src/main/jib/hello").write_bytes(TEXT)
        options = {"from.image": "scratch", "to.image": "acme/agent:1", "container.mainClass": "Main"}
        options |= {"container.format": form}
        run("mvn", "-o", "-q", "-B", f"{JIB}:buildTar", *(f"-Djib.{k}={v}" for k, v in options.items()), cwd=folder)
        return folder / "target/jib-image.tar"

    return build


def crane(folder: Path) -> Path:
    context(folder)
    run("crane", "append", "-f", f"{folder}/layer.tar", "-t", NAME, "-o", f"{folder}/image.tar")
    return folder / "image.tar"


def regctl(folder: Path) -> Path:
    context(folder)
    image = f"ocidir://{folder}/layout"
    run("regctl", "image", "create", f"{image}:1", "--platform", "linux/amd64")
    run("regctl", "image", "mod", f"{image}:1", "--layer-add", f"tar={folder}/layer.tar", "--create", "2")
    run("regctl", "image", "export", f"{image}:2", f"{folder}/image.tar")
    return folder / "image.tar"


def oras(folder: Path) -> Path:
    """Push an artifact that is not an image, and attach another one to it."""
    source = context(folder)
    for command in (["push"], ["attach"]):
        kind = f"application/vnd.example.{command[0]}"
        run("oras", *command, "--oci-layout", "../layout:1", "--artifact-type", kind, "hello:text/plain", cwd=source)
    return packed(folder / "layout")


_TWO = ("--opt", "platform=linux/amd64,linux/arm64", "--opt", "attest:provenance=mode=max")
_BUILDKIT = ("buildkitd", "buildctl", "crun")
_CONTAINERD_NEEDS = ("containerd", "ctr", "buildah")

BUILDERS = [
    Builder(name="buildah, oci-archive", needs=("buildah",), build=buildah("oci-archive")),
    Builder(name="buildah, docker-archive", needs=("buildah",), build=buildah("docker-archive")),
    Builder(name="buildah, two platforms", needs=("buildah",), build=buildah_index),
    Builder(name="podman, oci-archive", needs=("podman",), build=podman("oci-archive")),
    Builder(name="podman, oci-dir", needs=("podman",), build=podman("oci-dir")),
    Builder(name="podman, docker-archive", needs=("podman",), build=podman("docker-archive")),
    Builder(name="umoci", needs=("umoci",), build=umoci),
    Builder(name="buildkit, oci", needs=_BUILDKIT, build=buildkit(f"type=oci,name={NAME}", *_TWO), needs_root=True),
    Builder(name="buildkit, docker", needs=_BUILDKIT, build=buildkit(f"type=docker,name={NAME}"), needs_root=True),
    Builder(
        name="buildkit, zstd",
        needs=_BUILDKIT,
        build=buildkit("type=oci,compression=zstd,force-compression=true"),
        needs_root=True,
    ),
    Builder(name="containerd", needs=_CONTAINERD_NEEDS, build=containerd("--all-platforms"), needs_root=True),
    Builder(
        name="containerd, one platform",
        needs=_CONTAINERD_NEEDS,
        build=containerd("--platform", "linux/amd64"),
        is_whole=False,
        needs_root=True,
    ),
    Builder(name="docker save", needs=("dockerd", "docker"), build=docker, needs_root=True),
    Builder(name="ko, layout", needs=("ko", "go", "crane"), build=ko("oci-layout-path")),
    Builder(name="ko, tarball", needs=("ko", "go", "crane"), build=ko("tarball")),
    Builder(name="jib, OCI", needs=("mvn", "javac"), build=jib("OCI")),
    Builder(name="jib, Docker", needs=("mvn", "javac"), build=jib("Docker")),
    Builder(name="crane append", needs=("crane",), build=crane),
    Builder(name="regctl export", needs=("regctl",), build=regctl),
    Builder(name="oras push", needs=("oras",), build=oras, has_file=False),
]
