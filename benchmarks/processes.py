"""Processes of which the operating system says what they cost. Linux only: it reads ``/proc``."""

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
    """Something that is measured does not do what it should; the text says what it printed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What a process cost.

    Attributes:
        seconds: From its start to its end, or to what was waited for.
        peak_mib: The most memory that it held.
        cpu_seconds: Of all its threads, in user and system mode.
    """

    seconds: float
    peak_mib: float
    cpu_seconds: float


class Measured:
    """A process under way. What it prints goes into a file, so that nobody has to read it meanwhile."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> None:
        self.name = Path(command[0]).name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.started = time.perf_counter()
        self._process = subprocess.Popen(command, env=env, cwd=cwd, stdout=self._log, stderr=subprocess.STDOUT)  # noqa: S603 - a list, ours
        self._peak = _Peak(self._process.pid)

    def end(self) -> Cost:
        """
        Wait for its end.

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
        """End it, since it would go on for ever, and say that it took so long."""
        self._peak.look()
        # Not Popen.kill, which would take the exit status of one that has just ended, and its cost with it.
        os.kill(self._process.pid, signal.SIGKILL)
        cost = self._reap()
        self._log.close()
        return Cost(seconds, cost.peak_mib, cost.cpu_seconds)

    def kill(self) -> None:
        """End it, unless it has ended: nobody wants to know what it cost."""
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
        """Tell whether it has ended by itself; ``end`` still says what it cost."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def printed(self) -> str:
        """Return the end of what it printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-PRINTED_CHARACTERS:]


class _Peak(threading.Thread):
    """
    Reads a process's own record of its memory until it ends.

    What ``wait4`` says instead begins with the memory of the process that
    started it: with ours.
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
        """Read it once; False: it has ended."""
        try:
            found = _PEAK.search(self._status.read_text(encoding="ascii", errors="replace"))
        except OSError:
            return False
        if found is None:
            return False
        self.mib = int(found["kib"]) / 1024
        return True


def run(command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> Cost:
    """Run a command to its end."""
    return Measured(command, env, cwd).end()
