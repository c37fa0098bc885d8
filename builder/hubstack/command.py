"""The only place where hubstack starts another program.

A child runs in a process group of its own and gets SIGTERM from the kernel when the thread that started it ends
(prctl(2), PR_SET_PDEATHSIG, through setpriv(1)): a killed hubstack leaves no builder behind that would go on and
finish. So the thread that calls :func:`run` must live until it returns, which it does by waiting here.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hubstack.errors import Cancelled, CommandFailed, DeadlineExceeded, EngineError
from hubstack.spelling import CONTROL

TAIL_LINES = 40
GRACE_S = 5.0
_POLL_S = 0.2
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[0-Z\\^-~])")  # ECMA-48; xterm's OSC
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")  # what stands before the host in an address


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a child may take in all, and how long it may be silent, in seconds."""

    deadline_s: float = 4 * 3600
    silence_s: float = 1800


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    limits: Limits = Limits(),
    cancel: threading.Event | None = None,
) -> tuple[str, ...]:
    """Run ``argv`` to its end and return its last lines (stdout and stderr together), each as ``printable`` makes it.

    Raises CommandFailed for an exit code other than 0, DeadlineExceeded, Cancelled, and EngineError where the program
    is not there.
    """
    if cancel is not None and cancel.is_set():
        raise Cancelled
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with _started(argv, env, stdin) as child:
        try:
            for line in _lines(child, limits, cancel):
                tail.append(line)
                on_line(line)
        except BaseException:
            stop(child)
            raise
        code = child.returncode
    if code:
        raise CommandFailed(f"{_name(argv)} ended with code {code}", code=code, tail=tuple(tail))
    return tuple(tail)


def output(argv: Sequence[str], *, env: Mapping[str, str] | None = None, deadline_s: float = 60) -> str:
    """What ``argv`` prints on stdout. Raises as :func:`run` does; stderr is in the error."""
    with _started(argv, env, None, stderr=subprocess.PIPE) as child:
        try:
            out, err = child.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            stop(child)
            raise DeadlineExceeded(f"{_name(argv)} took longer than {deadline_s:g} s") from None
        except BaseException:
            stop(child)
            raise
    if child.returncode:
        tail = tuple(printable(line) for line in err.decode(errors="replace").splitlines()[-TAIL_LINES:])
        raise CommandFailed(f"{_name(argv)} ended with code {child.returncode}", code=child.returncode, tail=tail)
    return out.decode(errors="replace")


def attached(argv: Sequence[str]) -> int:
    """Run ``argv`` on this process's own terminal and give its exit code. Ctrl-C is the child's to answer."""
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)  # not SIG_IGN: the child would inherit that
    try:
        with subprocess.Popen(argv) as child:
            try:
                return child.wait()
            except BaseException:
                child.terminate()  # docker hands it on to the container; a killed client would leave that behind
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(GRACE_S)
                child.kill()
                raise
    finally:
        signal.signal(signal.SIGINT, before)


def stop(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole group: politely, then surely, and with it what has not listened."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def printable(text: str) -> str:
    """A line of a program's output as terminals and logs may have it: without what moves the cursor, and without
    the credentials in addresses.
    """
    plain = CONTROL.sub("", _ESCAPE.sub("", text.replace("\t", "    ")))
    return _CREDENTIALS.sub("***@", plain)


def _started(
    argv: Sequence[str], env: Mapping[str, str] | None, stdin: IO[bytes] | None, *, stderr: int = subprocess.STDOUT
) -> subprocess.Popen[bytes]:
    setpriv = shutil.which("setpriv")  # util-linux: not on macOS
    guard = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv and shutil.which(argv[0]) else []
    try:
        return subprocess.Popen(
            [*guard, *argv],
            env=env,
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise EngineError(f"{argv[0]} is not installed") from None
    except OSError as fault:
        raise EngineError(f"{argv[0]} can't be started: {fault.strerror}") from None


def _lines(child: subprocess.Popen[bytes], limits: Limits, cancel: threading.Event | None) -> Iterator[str]:
    """The child's output line by line, until it has ended."""
    assert child.stdout is not None
    started = heard = time.monotonic()
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(_POLL_S):
                chunk = os.read(child.stdout.fileno(), 65536)
                if not chunk:
                    break
                heard = time.monotonic()
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (printable(line.decode(errors="replace")) for line in whole)
            _check(started, heard, limits, cancel)
    if rest:
        yield printable(rest.decode(errors="replace"))
    while child.poll() is None:  # it has closed its output and goes on
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_POLL_S)
        _check(started, heard, limits, cancel)


def _check(started: float, heard: float, limits: Limits, cancel: threading.Event | None) -> None:
    now = time.monotonic()
    if cancel is not None and cancel.is_set():
        raise Cancelled
    if now - started > limits.deadline_s:
        raise DeadlineExceeded(f"it took longer than {limits.deadline_s:g} s")
    if now - heard > limits.silence_s:
        raise DeadlineExceeded(f"it printed nothing for {limits.silence_s:g} s")


def _name(argv: Sequence[str]) -> str:
    return Path(argv[0]).name
