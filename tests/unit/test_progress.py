from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hubstack.board import Board
from hubstack.buildx import BuildFailed
from hubstack.command import printable
from hubstack.errors import CommandFailed, HubstackError
from hubstack.event import Event, Finished, Line, Note, Phase, Planned, Reader, Stream
from hubstack.progress import JsonLines, Logs, Plain, annotation
from hubstack.reference import Digest
from hubstack.schedule import Outcome, Result
from hubstack.source import Position
from hubstack.verify import ImageTestFailed
from rich.console import Console

from tests.family import DIAMOND
from tests.unit.test_plan import Place

FAILED = Outcome(
    node="scipy",
    result=Result.FAILED,
    seconds=3.21,
    message="scipy: a command ended with code 1",
    error=BuildFailed(
        "scipy: a command ended with code 1",
        position=Position(path="layers/scipy/Dockerfile.j2", line=7),
        tail=["Collecting numpy", "ERROR: no such thing"],
        hint="Free some space.",
    ),
)
INPUTS = DIAMOND.inputs()


def events() -> list[Event]:
    """Lab is built, scipy fails, r was built here before and is pushed now, both is skipped; debian is there."""
    plan = INPUTS.plan(Place().put(INPUTS, "debian"))
    return [
        Planned(plan=plan),
        Finished(outcome=Outcome(node="debian", result=Result.REUSED)),
        Phase(node="lab", phase="building"),
        Line(node="lab", text="#1 0.1 Hello"),
        Phase(node="lab", phase="testing"),
        Finished(outcome=Outcome(node="lab", result=Result.BUILT, digest=Digest(f"sha256:{'a' * 64}"), seconds=12.34)),
        Phase(node="scipy", phase="building"),
        Phase(node="r", phase="pushing"),
        Line(node="scipy", text="#6 0.1 ERROR: no such thing"),
        Finished(outcome=FAILED),
        Finished(outcome=Outcome(node="r", result=Result.REUSED, seconds=0.4)),
        Finished(outcome=Outcome(node="both", result=Result.SKIPPED, message="skipped because scipy failed")),
        Note(text="moved 1 channel tags"),
    ]


def shown(given: Sequence[Event], *, github: bool = False) -> list[str]:
    lines: list[str] = []
    reader = Plain(out=lines.append, log=lambda node: f".hubstack/logs/{node}.log", github=github)
    for event in given:
        reader(event)
    return lines


# --- plain lines ---------------------------------------------------------------------------------------------------------


def test_plain_lines() -> None:
    assert shown(events()) == [
        "5 nodes, 3 images: 4 to build, 1 to reuse",
        "lab: building",
        "lab: testing",
        "lab: built in 12.3 s, 3 left",
        "scipy: building",
        "r: pushing",
        "scipy: failed after 3.2 s, 2 left",
        "layers/scipy/Dockerfile.j2:7:1: scipy: a command ended with code 1",
        "    Collecting numpy",
        "    ERROR: no such thing",
        "  Free some space.",
        "  The whole log: .hubstack/logs/scipy.log",
        "r: reused in 0.4 s, 1 left",
        "both: skipped in 0.0 s: skipped because scipy failed",
        "moved 1 channel tags",
    ]


def test_every_kind_of_error_shows_what_it_knows() -> None:
    error: HubstackError = CommandFailed("mmdebstrap ended with code 25", code=25, tail=("E: no such suite",))
    lines = shown([Finished(outcome=Outcome(node="a", result=Result.FAILED, message=error.message, error=error))])
    assert lines[1:3] == ["mmdebstrap ended with code 25", "    E: no such suite"]
    error = ImageTestFailed(
        "a: `x` ended with code 1, not 0", position=Position(path="p", line=2, column=3), tail=["why"]
    )
    lines = shown([Finished(outcome=Outcome(node="a", result=Result.FAILED, message=error.message, error=error))])
    assert lines[1:3] == ["p:2:3: a: `x` ended with code 1, not 0", "    why"]


# --- GitHub ----------------------------------------------------------------------------------------------------------------


def test_github_gets_groups_and_annotations() -> None:
    lines = shown(events(), github=True)
    start = lines.index("::group::scipy: log")
    assert lines[start : start + 3] == ["::group::scipy: log", "#6 0.1 ERROR: no such thing", "::endgroup::"]
    assert (
        "::error file=layers/scipy/Dockerfile.j2,line=7::scipy: a command ended with code 1%0ACollecting numpy%0A"
        "ERROR: no such thing"
    ) in lines
    assert "::group::lab: log" in lines
    assert "::group::r: log" not in lines


HOSTILE = [
    "::add-path::/tmp/evil",
    "   ::set-env name=PATH::/tmp",
    "##[add-path]/tmp/evil",
    "::endgroup::",
    ":::::stop-commands::x",
    "#7 0.1 ::error::no",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_build_is_a_command_for_github(text: str) -> None:
    error = BuildFailed(text, position=None, tail=[text])
    given: list[Event] = [
        Phase(node=text, phase="building"),
        Line(node="a", text=text),
        Note(text=text),
        Finished(outcome=Outcome(node="a", result=Result.SKIPPED, message=text)),
        Finished(outcome=Outcome(node="b", result=Result.FAILED, message=text, error=error)),
    ]
    commands = [line for line in shown(given, github=True) if line.strip().startswith("::") or "##[" in line]
    assert commands == ["::group::a: log", "::endgroup::", f"::error::{text}%0A{text}"]
    for line in shown(given, github=True):
        assert line in commands or "::" not in line


@pytest.mark.parametrize("text", HOSTILE)
def test_elsewhere_text_stays_as_it_is(text: str) -> None:
    assert shown([Note(text=text)]) == [text]


def test_an_annotation_is_one_line_whatever_stands_in_it() -> None:
    error = BuildFailed("", position=Position(path="layers/a,b:c/100%\n::x", line=3), tail=["one\r", "two"])
    outcome = Outcome(node="a", result=Result.FAILED, message="50%\n::warning::x", error=error)
    assert annotation(outcome) == (
        "::error file=layers/a%2Cb%3Ac/100%25%0A%3A%3Ax,line=3::50%25%0A::warning::x%0Aone%0D%0Atwo"
    )


# --- JSON lines --------------------------------------------------------------------------------------------------------------


def test_json_lines() -> None:
    lines: list[str] = []
    for event in events():
        JsonLines(out=lines.append)(event)
    values = [json.loads(line) for line in lines]
    assert values[0] == {
        "event": "planned",
        "nodes": 5,
        "actions": {"build": 4, "test": 0, "reuse": 1, "blocked": 0, "unknown": 0},
    }
    assert {"event": "phase", "node": "lab", "phase": "building"} in values
    assert {"event": "line", "node": "lab", "text": "#1 0.1 Hello"} in values
    assert {"event": "note", "text": "moved 1 channel tags"} in values
    assert {
        "event": "finished",
        "node": "scipy",
        "result": "failed",
        "digest": None,
        "seconds": 3.2,
        "size_bytes": 0,
        "message": "scipy: a command ended with code 1",
        "position": "layers/scipy/Dockerfile.j2:7:1",
        "tail": ["Collecting numpy", "ERROR: no such thing"],
    } in values
    assert all("\n" not in line for line in lines)


# --- log files -----------------------------------------------------------------------------------------------------------------


def test_every_node_that_does_something_has_a_whole_log(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    for event in events():
        logs(event)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.log", "r.log", "scipy.log"]
    assert logs.path("lab").read_text() == "== building\n#1 0.1 Hello\n== testing\n== built\n"
    assert logs.path("scipy").read_text().splitlines()[-1] == "== failed scipy: a command ended with code 1"


def test_a_log_is_of_the_last_run_and_takes_any_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "C")
    for text in ("one", "zwei – ✔ \ufffd"):
        logs = Logs(tmp_path)
        logs(Phase(node="a", phase="building"))
        logs(Line(node="a", text=text))
        logs(Finished(outcome=Outcome(node="a", result=Result.BUILT)))
    assert logs.path("a").read_text(encoding="utf-8") == "== building\nzwei – ✔ \ufffd\n== built\n"


# --- the board -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def console() -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=80, height=20, color_system=None, legacy_windows=False
    )


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines_of(console: Console) -> list[str]:
    lines = [printable(line).strip() for line in text_of(console).splitlines()]
    return [line for line in lines if line]


def test_the_board_prints_what_ends_and_why(console: Console) -> None:
    board = Board(console, lambda node: f".hubstack/logs/{node}.log", jobs=2)
    for event in events():
        board(event)
    assert lines_of(console) == [
        "5 nodes, 3 images: 4 to build, 1 to reuse",
        "✔ lab built 12.3 s",
        "✘ scipy failed 3.2 s",
        "layers/scipy/Dockerfile.j2:7:1: scipy: a command ended with code 1",
        "Collecting numpy",
        "ERROR: no such thing",
        "Free some space.",
        "The whole log: .hubstack/logs/scipy.log",
        "✔ r reused 0.4 s",
        "– both skipped 0.0 s  skipped because scipy failed",
        "moved 1 channel tags",
    ]


def test_the_board_shows_what_runs(console: Console) -> None:
    board = Board(console, str, jobs=2)
    for event in events()[:9]:
        board(event)
    with board.shown():
        pass
    assert lines_of(console)[2:] == [
        "scipy  building      0 s  #6 0.1 ERROR: no such thing",
        "r      pushing       0 s",
        "1 done, 1 waiting",
    ]


def test_no_text_is_markup_for_the_board(console: Console) -> None:
    board = Board(console, str, jobs=2)
    board(Planned(plan=INPUTS.plan(Place())))
    for number, text in enumerate(["[red]x[/red]", "[/]", "[link=http://x]", "\\[b]"]):
        node = f"n{number}"
        board(Phase(node=node, phase="building"))
        board(Line(node=node, text=text))
        board(Note(text=text))
        board(Finished(outcome=Outcome(node=node, result=Result.SKIPPED, message=text)))
        assert text_of(console).count(text) == 2


# --- all of them -----------------------------------------------------------------------------------------------------------------


def test_readers_get_events_one_at_a_time_from_any_thread() -> None:
    inside, worst, seen = 0, 0, []

    def reader(event: Event) -> None:
        nonlocal inside, worst
        inside += 1
        worst = max(worst, inside)
        seen.append(event)
        inside -= 1

    readers: list[Reader] = [reader, reader]
    stream = Stream(readers)

    def send() -> None:
        for number in range(200):
            stream(Note(text=str(number)))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (worst, len(seen)) == (1, 1600)
    assert seen[0::2] == seen[1::2]


def test_actions_are_all_counted() -> None:
    plan = INPUTS.plan(None)
    assert shown([Planned(plan=plan)]) == ["5 nodes, 3 images: 5 not asked for"]
