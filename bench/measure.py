"""Whole processes, measured from outside: wall time, processor time and peak memory as the kernel counts them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """``cpu_s`` is that of the process and of the children it has waited for; an engine's work is not in it."""

    wall_s: float
    cpu_s: float
    rss_bytes: int  # of the largest process among them
    load: float  # of the machine, when it began
    code: int


class CommandFailed(Exception):
    pass


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our own, without what would change what is measured: settings of hubstack, and a ban on bytecode."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUBSTACK_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, **(extra or {})}


def measure(argv: Sequence[str], *, log: Path, extra: Mapping[str, str] | None = None) -> Sample:
    """Run ``argv`` to its end; what it prints goes to ``log``. Raises CommandFailed."""
    with log.open("wb") as output:
        sample = _run(argv, output, extra)
    if sample.code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise CommandFailed(f"{' '.join(argv)} ended with code {sample.code}:\n{tail}")
    return sample


def _run(argv: Sequence[str], output: IO[bytes], extra: Mapping[str, str] | None) -> Sample:
    load = os.getloadavg()[0]
    began = time.monotonic()
    child = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment(extra)
    )
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    wall = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)  # Popen need not wait for what is gone
    return Sample(
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        rss_bytes=usage.ru_maxrss * _RSS_UNIT,
        load=load,
        code=child.returncode,
    )


_RSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024
