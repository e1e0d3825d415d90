"""Processes whose costs the operating system measures. Linux only: it reads ``/proc``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SAMPLE_SECONDS = 0.01
PRINTED_CHARACTERS = 2000

_PEAK = re.compile(r"^VmHWM:\s+(?P<kib>[0-9]+) kB$", re.MULTILINE)


class BenchmarkError(Exception):
    """A measured program failed. The message contains its output."""


@dataclass(frozen=True, slots=True)
class Cost:
    """
    The costs of a process.

    Attributes:
        seconds: The time from its start to its end, or to the awaited event.
        peak_mib: Its peak memory in MiB.
        cpu_seconds: The CPU time of all its threads, in user and system mode.
    """

    seconds: float
    peak_mib: float
    cpu_seconds: float


class Measured:
    """A running process. Its output goes into a file, so that no thread has to read it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> None:
        self.name = Path(command[0]).name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.started = time.perf_counter()
        self._process = subprocess.Popen(command, env=env, cwd=cwd, stdout=self._log, stderr=subprocess.STDOUT)  # noqa: S603 - a list, ours
        self._peak = _Peak(self._process.pid)

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    def end(self) -> Cost:
        """
        Wait until it ends.

        Raises:
            BenchmarkError: It failed.
        """
        cost = self._reap()
        if self._process.returncode != 0:
            message = f"{self.name} failed ({self._process.returncode}): {self.printed()}"
            raise BenchmarkError(message)
        self._log.close()
        return cost

    def stop(self, seconds: float) -> Cost:
        """End it, because it would run forever, and return its costs with this time."""
        self._peak.look()
        # Not Popen.kill: if the process has just ended, that would reap it, and its costs would be lost.
        os.kill(self._process.pid, signal.SIGKILL)
        cost = self._reap()
        self._log.close()
        return Cost(seconds, cost.peak_mib, cost.cpu_seconds)

    def kill(self) -> None:
        """End it if it is still running, without measuring it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _reap(self) -> Cost:
        _, status, usage = os.wait4(self._process.pid, 0)
        took = time.perf_counter() - self.started
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._peak.join()
        return Cost(took, self._peak.mib, usage.ru_utime + usage.ru_stime)

    def has_ended(self) -> bool:
        """Return whether it has ended by itself. ``end`` still returns its costs."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def printed(self) -> str:
        """Return the end of its output."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-PRINTED_CHARACTERS:]


class _Peak(threading.Thread):
    """
    Polls the peak memory of a process in ``/proc`` until it ends.

    ``wait4`` is not used, because its peak includes the memory of the process that
    started it.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.mib = 0.0
        self.start()

    def run(self) -> None:
        while self.look():
            time.sleep(SAMPLE_SECONDS)

    def look(self) -> bool:
        """Read it once; return False if the process has ended."""
        try:
            found = _PEAK.search(self._status.read_text(encoding="ascii", errors="replace"))
        except OSError:
            return False
        if found is None:
            return False
        self.mib = int(found["kib"]) / 1024
        return True


def run(command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> Cost:
    """Run a command until it ends."""
    return Measured(command, env, cwd).end()
