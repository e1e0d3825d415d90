"""The CPU share that Lambda gives to a memory size, as a control group of Linux. It needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
PERIOD_MICROSECONDS = 20_000

CORE_MIB = 1_769
"""With this much memory, a function has one core (AWS Lambda Developer Guide, "Configure Lambda function memory")."""


class NotPossibleError(Exception):
    """The CPU of a process cannot be limited on this machine."""


@contextmanager
def share_of(memory_mib: int) -> Iterator[Path]:
    """
    Create a control group with the CPU share of a memory size. A process joins it when its id is written to the file.

    Raises:
        NotPossibleError: It cannot be created.
    """
    quota = PERIOD_MICROSECONDS * memory_mib // CORE_MIB
    is_first_version = (GROUPS / "cpu").is_dir()
    group = (GROUPS / "cpu" if is_first_version else GROUPS) / f"cdk-ecrpublic-benchmark-{os.getpid()}-{memory_mib}"
    try:
        group.mkdir()
    except OSError as error:
        raise NotPossibleError(str(error)) from error
    try:
        if is_first_version:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS), encoding="ascii")
            (group / "cpu.cfs_quota_us").write_text(str(quota), encoding="ascii")
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}", encoding="ascii")
        yield group / "cgroup.procs"
    except OSError as error:
        raise NotPossibleError(str(error)) from error
    finally:
        group.rmdir()
