"""Commands in one shell at the far end of a stream: a container's ``sh``, its stdin and stdout attached.

An exec of its own for each command would cost the daemon a quarter of a container; a line to a shell costs nothing.
"""

from __future__ import annotations

import secrets
import shlex
from typing import Protocol

_HEADER_BYTES = 8  # of a frame: which stream, three zeros, the length (Docker's API, "Attach to a container")
_STDERR = 2
_CODE_BYTES = 4  # of "255\n"
_GRACE_S = 60  # beyond a command's own deadline, which the container keeps


class Wire(Protocol):
    """A connected socket. Its failures are OSErrors."""

    def sendall(self, data: bytes, /) -> object: ...

    def recv(self, count: int, /) -> bytes: ...

    def settimeout(self, seconds: float, /) -> None: ...


class ShellEnded(Exception):
    """The far end hung up; what it said last is the message."""


class Shell:
    """One command at a time. What a command leaves running may still be heard while a later one runs."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def run(self, command: str, *, timeout_s: int, folder: str) -> tuple[int, str]:
        """The exit code (124: it took longer than ``timeout_s``) and everything that was printed.

        Raises ShellEnded and OSError.
        """
        mark = secrets.token_hex(16)  # nothing that a command prints can look like its end
        bounded = f"exec timeout -k 1 {timeout_s} sh -c {shlex.quote(command)}"
        line = f"(cd {shlex.quote(folder)} && {bounded}) </dev/null 2>&1; printf '\\n%s %s\\n' {mark} $?\n"
        self._wire.settimeout(timeout_s + _GRACE_S)
        self._wire.sendall(line.encode())
        return self._until(f"\n{mark} ".encode())

    def _until(self, mark: bytes) -> tuple[int, str]:
        said = bytearray()
        while True:
            seen = max(0, len(said) - len(mark) - _CODE_BYTES)
            stream, content = self._frame(said)
            if stream == _STDERR:
                continue  # the shell's own remarks: what commands say there, they say on stdout
            said += content
            at = said.find(mark, seen)
            if at >= 0 and (end := said.find(b"\n", at + len(mark))) >= 0:
                return int(said[at + len(mark) : end]), said[:at].decode(errors="replace")

    def _frame(self, said: bytearray) -> tuple[int, bytes]:
        header = self._exactly(_HEADER_BYTES, said)
        return header[0], self._exactly(int.from_bytes(header[4:]), said)

    def _exactly(self, count: int, said: bytearray) -> bytes:
        got = bytearray()
        while len(got) < count:
            chunk = self._wire.recv(min(count - len(got), 1 << 16))
            if not chunk:
                raise ShellEnded(said.decode(errors="replace").strip()[-500:] or "nothing")
            got += chunk
        return bytes(got)
