from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hubstack.command import Limits, attached, output, printable, run
from hubstack.errors import Cancelled, CommandFailed, DeadlineExceeded, EngineError


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def lines(script: str) -> list[str]:
    seen: list[str] = []
    run(shell(script), on_line=seen.append)
    return seen


def is_alive(pid: int) -> bool:
    """A zombie is dead: nobody but its parent can end that."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def ends_within(seconds: float, pid: int) -> bool:
    end = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(pid)


# --- lines -------------------------------------------------------------------------------------------------------------


def test_both_streams_are_one_and_the_last_line_needs_no_end() -> None:
    assert lines("echo one; echo two >&2; echo; printf three") == ["one", "two", "", "three"]


def test_lines_come_while_the_child_runs() -> None:
    seen: list[float] = []
    run(shell("echo one; sleep 0.5; echo two"), on_line=lambda _: seen.append(time.monotonic()))
    assert seen[1] - seen[0] > 0.3


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (r"caf\303\251", "café"),
        (r"\377\376", "\ufffd\ufffd"),
        (r"windows\r", "windows"),
        (r"\033[1;31mred\033[0m", "red"),
        (r"\033]0;a title\007text", "text"),
        (r"\033]8;;http://x\033\\link", "link"),
        (r"\033cgone", "gone"),
        (r"bell\007 back\010", "bell back"),
        (r"a\tb", "a    b"),
        (r"\342\200\256txet", "txet"),  # U+202E turns the direction of writing
    ],
)
def test_a_line_can_not_move_the_cursor(raw: str, shown: str) -> None:
    assert lines(f"printf '{raw}'") == [shown]


def test_credentials_in_addresses_are_cut_out() -> None:
    assert printable("GET https://me:hunter2@example.org/x") == "GET https://***@example.org/x"
    assert (
        printable("mail me@example.org, see https://example.org/@x")
        == "mail me@example.org, see https://example.org/@x"
    )


def test_stdin_is_data_and_the_environment_is_given() -> None:
    seen: list[str] = []
    with tempfile.TemporaryFile() as file:
        file.write(b"from a file\n")
        file.seek(0)
        run(
            shell("cat; echo $WORD"), stdin=file, env={"WORD": "hello", "PATH": os.environ["PATH"]}, on_line=seen.append
        )
    assert seen == ["from a file", "hello"]


def test_without_stdin_nothing_can_be_asked() -> None:
    assert lines("read answer || echo nobody is there") == ["nobody is there"]


# --- ends --------------------------------------------------------------------------------------------------------------


def test_a_failure_carries_its_code_and_its_last_lines() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(shell("seq 1 100; exit 3"))
    assert caught.value.code == 3
    assert caught.value.tail == tuple(str(number) for number in range(61, 101))
    assert caught.value.message == "sh ended with code 3"


@pytest.mark.parametrize("start", [run, output])
def test_what_can_not_be_started_is_no_bug(start: Callable[[list[str]], object], tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="hubstack-is-not-a-program is not installed"):
        start(["hubstack-is-not-a-program"])
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(EngineError, match="can't be started: Permission denied"):
        start([str(tmp_path / "plain")])


def test_a_deadline_ends_the_child_and_all_that_it_started(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.3 s"):
        run(
            shell(f"sleep 60 & echo $! > {tmp_path}/pid; while :; do echo tick; sleep 0.05; done"),
            limits=Limits(deadline_s=0.3),
        )
    assert time.monotonic() - started < 30
    assert ends_within(1, int((tmp_path / "pid").read_text()))


def test_silence_ends_a_child_and_talking_keeps_it_alive() -> None:
    with pytest.raises(DeadlineExceeded, match=r"printed nothing for 0\.4 s"):
        run(shell("sleep 60"), limits=Limits(silence_s=0.4))
    run(shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done"), limits=Limits(silence_s=2.5))


@pytest.mark.parametrize("script", ["sleep 60", "exec >&- 2>&-; sleep 60", "while :; do echo tick; done"])
def test_cancelling_ends_it_whatever_it_does(script: str) -> None:
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        run(shell(script), cancel=cancel)
    assert time.monotonic() - started < 30


def test_what_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    """A grandchild that ignores SIGTERM must not live on when its parent has gone politely."""
    stubborn = f"(trap '' TERM; echo ready; sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60'; sleep 60) & wait"
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        run(shell(stubborn), on_line=lambda _: threading.Timer(0.2, cancel.set).start(), cancel=cancel)
    assert ends_within(1, int((tmp_path / "pid").read_text()))


def test_an_error_while_a_line_is_read_ends_the_child(tmp_path: Path) -> None:
    def fall(line: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(shell(f"echo $$ > {tmp_path}/pid; echo one; sleep 60"), on_line=fall)
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_killed_hubstack_leaves_no_child_behind(tmp_path: Path) -> None:
    script = f"from hubstack import command; command.run(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 60'])"
    with subprocess.Popen([sys.executable, "-c", script]) as hubstack:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        hubstack.kill()
    assert ends_within(2, int((tmp_path / "pid").read_text()))


# --- output and attached -------------------------------------------------------------------------------------------------


def test_output_is_stdout_alone() -> None:
    assert output(shell("echo result; echo noise >&2")) == "result\n"


def test_output_s_error_has_stderr() -> None:
    with pytest.raises(CommandFailed) as caught:
        output(shell("echo result; printf '\\033[31mwrong\\n' >&2; exit 4"))
    assert (caught.value.code, caught.value.tail) == (4, ("wrong",))


def test_output_has_a_deadline() -> None:
    with pytest.raises(DeadlineExceeded, match=r"sh took longer than 0\.2 s"):
        output(shell("sleep 60"), deadline_s=0.2)


def test_attached_gives_the_code_and_leaves_ctrl_c_to_the_child() -> None:
    before = signal.getsignal(signal.SIGINT)
    trap = "trap 'exit 7' INT; kill -INT $PPID; kill -INT $$; sleep 60"
    assert attached(shell(trap)) == 7
    assert signal.getsignal(signal.SIGINT) is before


def test_attached_hands_an_end_on_to_the_child(tmp_path: Path) -> None:
    """As `docker run` needs it: only a client that hears SIGTERM ends its container."""
    child = f"trap 'echo bye > {tmp_path}/bye; exit' TERM; echo up; while :; do sleep 0.05; done"
    script = (
        "import signal, sys\nfrom hubstack import command\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"command.attached(['sh', '-c', {child!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as hubstack:
        assert hubstack.stdout is not None
        assert hubstack.stdout.readline() == b"up\n"
        time.sleep(0.1)  # until the parent waits, too
        hubstack.terminate()
        assert hubstack.wait(5) == 143
    assert (tmp_path / "bye").read_text() == "bye\n"
