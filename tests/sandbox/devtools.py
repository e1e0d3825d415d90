"""
Chromium, driven through the DevTools protocol over a pipe.

The pages have no scripts, so they cannot report anything; the protocol asks the browser.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .browser import CHROMIUM, FLAGS

WAIT_SECONDS = 60
QUIET_SECONDS = 0.2
"""How long the browser must be silent after a page has loaded, so that all messages about it have arrived."""

_PIPED = """
import os, sys
read, write, *command = sys.argv[1:]
read, write = os.dup(int(read)), os.dup(int(write))
os.dup2(read, 3)
os.dup2(write, 4)
os.set_inheritable(3, True)
os.set_inheritable(4, True)
os.execv(command[0], command)
"""
"""A program that starts the browser with the descriptors on which it speaks the protocol."""


@dataclass
class Tab:
    """
    One tab of the browser.

    Attributes:
        problems: Complaints about the last page: violations of the policy, errors, missing files.
    """

    reading: int
    writing: int
    session: str = ""
    problems: list[str] = field(default_factory=list)
    loads: int = 0
    _number: int = 0
    _buffer: bytes = b""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self.writing, json.dumps({**message, **self._of_session}).encode() + b"\0")
        while (answer := self._receive(WAIT_SECONDS)) and answer.get("id") != self._number:
            pass
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Open a URL as if a person had typed it."""
        self._after_load(lambda: self.call("Page.navigate", url=url))

    def click(self, selector: str) -> None:
        """Follow a link, and wait for its page."""
        self._after_load(lambda: self.evaluate(f"document.querySelector({json.dumps(selector)}).click()"))

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def resize(self, width: int, *, scheme: str) -> None:
        """Choose the width of the screen, and the color scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def attach(self) -> None:
        """Open the tab."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    @property
    def _of_session(self) -> dict[str, str]:
        return {"sessionId": self.session} if self.session else {}

    def _after_load(self, act: Any) -> None:
        before, self.problems = self.loads, []
        act()
        deadline = time.monotonic() + WAIT_SECONDS
        while self.loads == before:
            assert time.monotonic() < deadline, "the page did not load"
            self._receive(QUIET_SECONDS)
        while self._receive(QUIET_SECONDS):
            pass

    def _receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message; an empty one if none came in time."""
        while b"\0" not in self._buffer:
            # Not select(), which knows only the first 1,024 files of a process.
            answers = select.poll()
            answers.register(self.reading, select.POLLIN)
            if not answers.poll(seconds * 1000):
                return {}
            received = os.read(self.reading, 1 << 16)
            assert received, "the browser has ended"
            self._buffer += received
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self.loads += 1
        elif method in (
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Network.loadingFailed",
        ):
            self.problems.append(json.dumps(parameters))


@contextmanager
def opened(folder: Path) -> Iterator[Tab]:
    """Start the browser with a profile in *folder*, which must have a short path."""
    to_browser, writing = os.pipe()
    reading, from_browser = os.pipe()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    command = [str(CHROMIUM), *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}/tab"]
    process = subprocess.Popen(
        [sys.executable, "-c", _PIPED, str(to_browser), str(from_browser), *command],
        env=environment,
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        tab = Tab(reading, writing)
        tab.attach()
        yield tab
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(reading)
        os.close(writing)
