"""Work that might never end, or take all memory, done in one child process with bounds (engine.md, 7).

A signal handler can't interrupt a single long call into C (``9**9**9``), and what Python has allocated it keeps: only a
process can be ended for certain. One fork for a whole run costs next to nothing.
"""

from __future__ import annotations

import gc
import os
import pickle
import resource
import select
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
Step = Callable[[str], None]

_CEILING_S = 600  # of processor time for the whole child, so that it ends even when nobody is left to end it
_LENGTH_BYTES = 8


class TooLong(Exception):
    """The job's processor time is used up; raised between two steps of Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    memory_bytes: int = 512 << 20  # on top of what this process has mapped
    cpu_s: int = 3  # for each job; more raises TooLong in it
    silence_s: float = 10  # the longest time without a word from the child
    output_bytes: int = 1 << 30  # of all results


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrun:
    """A job that had to be ended: what it was at, and which bound it broke."""

    at: str
    what: str


def bounded(
    work: Callable[[Job, Step], Result], jobs: Sequence[Job], bounds: Bounds
) -> tuple[list[Result], Overrun | None]:
    """The results of ``work`` for ``jobs``, in their order; up to the one that had to be ended, if any.

    ``work`` gets a function to say what it is at.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _in_child(work, jobs, bounds, write)
    os.close(write)
    messages = _Messages(read)
    try:
        what = messages.collect(bounds)
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(read)
        _, status = os.waitpid(child, 0)
    if len(messages.results) == len(jobs):
        return messages.results, None
    return messages.results, Overrun(at=messages.at, what=what or _ended(status))


class _Messages:
    def __init__(self, pipe: int) -> None:
        self.results: list[Any] = []
        self.at = ""
        self._pipe = pipe
        self._buffer = bytearray()

    def collect(self, bounds: Bounds) -> str:
        """Read until the child has ended; which bound it broke, if one was."""
        received = 0
        while True:
            ready, _, _ = select.select([self._pipe], [], [], bounds.silence_s)
            if not ready:
                return f"took more than {bounds.silence_s:g} s"
            chunk = os.read(self._pipe, 1 << 20)
            received += len(chunk)
            if received > bounds.output_bytes:
                return f"wrote more than {bounds.output_bytes >> 20} MiB"
            if not chunk:
                return ""
            self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        self._buffer += chunk
        while len(self._buffer) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._buffer[:_LENGTH_BYTES])
            if len(self._buffer) < end:
                return
            at, result = pickle.loads(self._buffer[_LENGTH_BYTES:end])  # noqa: S301 - our own child wrote it
            del self._buffer[:end]
            if at is None:
                self.results.append(result)
            else:
                self.at = at


def _ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return "broke off"


def _in_child(work: Callable[[Job, Step], Result], jobs: Sequence[Job], bounds: Bounds, pipe: int) -> None:
    """Never returns: what this process was about to do otherwise is its parent's business."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGXCPU, _too_long)
        _limit_memory(bounds.memory_bytes)
        gc.disable()  # a collection would only copy the parent's pages
        for job in jobs:
            _limit_processor(bounds.cpu_s)
            _send(pipe, None, work(job, lambda at: _send(pipe, at, None)))
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def _send(pipe: int, at: str | None, result: object) -> None:
    content = pickle.dumps((at, result), protocol=5)
    view = memoryview(len(content).to_bytes(_LENGTH_BYTES) + content)
    while view:
        view = view[os.write(pipe, view) :]


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TooLong


def _limit_processor(seconds: int) -> None:
    """From now on; the soft limit raises TooLong, and the hard one ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    hard = _CEILING_S if hard == resource.RLIM_INFINITY else hard
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))


def _limit_memory(extra: int) -> None:
    statm = Path("/proc/self/statm")
    if not statm.exists():  # not Linux: the deadline remains
        return
    mapped = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = mapped + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
