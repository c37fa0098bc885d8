"""A real shell behind a stream as Docker's API frames it."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hubstack.shell import Shell, ShellEnded


@pytest.fixture
def near() -> Iterator[socket.socket]:
    """Our end of a shell's stdin and stdout; what it says comes in frames, a byte at a time at first."""
    near, far = socket.socketpair()
    with (
        near,
        far,
        subprocess.Popen(["sh"], stdin=far.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child,
    ):
        assert child.stdout is not None
        assert child.stderr is not None
        threads = [
            threading.Thread(target=forward, args=(child.stdout.fileno(), 1, far, child)),
            threading.Thread(target=forward, args=(child.stderr.fileno(), 2, far, child)),
        ]
        for thread in threads:
            thread.start()
        yield near
        child.kill()
        for thread in threads:
            thread.join()


def forward(pipe: int, stream: int, far: socket.socket, child: subprocess.Popen[bytes]) -> None:
    small = iter([1, 2, 3])
    with open(pipe, "rb", buffering=0, closefd=False) as file:
        while content := file.read(next(small, 1 << 16)):
            far.sendall(bytes([stream, 0, 0, 0]) + len(content).to_bytes(4) + content)
    if stream == 1 and child.wait() is not None:
        far.shutdown(socket.SHUT_WR)


def test_commands_one_after_the_other(near: socket.socket, tmp_path: Path) -> None:
    shell = Shell(near)
    (tmp_path / "a b").mkdir()
    assert shell.run("pwd; echo oh no >&2; exit 3", timeout_s=10, folder=f"{tmp_path}/a b") == (
        3,
        f"{tmp_path}/a b\noh no\n",
    )
    assert shell.run("echo 'it''s' \"two\"\nprintf end", timeout_s=10, folder="/") == (0, "its two\nend")
    assert shell.run("cat", timeout_s=10, folder="/") == (0, "")  # not the next command
    assert shell.run("exit 255", timeout_s=10, folder="/") == (255, "")


def test_what_is_large_or_no_text(near: socket.socket) -> None:
    shell = Shell(near)
    code, output = shell.run("yes '0123456789' | head -c 300000; printf '\\377'", timeout_s=30, folder="/")
    assert (code, len(output), output[-1]) == (0, 300001, "\N{REPLACEMENT CHARACTER}")
    assert shell.run("echo next", timeout_s=10, folder="/") == (0, "next\n")


def test_a_command_that_takes_too_long_is_ended(near: socket.socket) -> None:
    started = time.monotonic()
    assert Shell(near).run("sleep 60", timeout_s=1, folder="/") == (124, "")
    assert time.monotonic() - started < 20


def test_what_a_command_leaves_running_is_in_nobody_s_way(near: socket.socket) -> None:
    shell = Shell(near)
    code, left = shell.run("sleep 60 & echo $!", timeout_s=10, folder="/")
    assert code == 0
    assert shell.run(f"kill {left}", timeout_s=10, folder="/") == (0, "")  # it was running


def test_a_missing_folder_fails_the_command(near: socket.socket) -> None:
    code, output = Shell(near).run("echo never", timeout_s=10, folder="/no such folder")
    assert code != 0
    assert "/no such folder" in output
    assert "never" not in output


def test_the_far_end_hangs_up(near: socket.socket) -> None:
    with pytest.raises(ShellEnded, match="last words"):
        Shell(near).run("echo last words; kill -9 $(ps -o ppid= -p $PPID)", timeout_s=10, folder="/")
