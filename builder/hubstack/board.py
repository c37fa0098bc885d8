"""A live board on a terminal: what runs and for how long, how many are left, an estimate. Logs go to files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hubstack.event import Event, Finished, Line, Note, Phase, Planned
from hubstack.progress import failure_lines, summary
from hubstack.schedule import DEFAULT_SECONDS, Outcome, Result

_MARKS = {
    Result.BUILT: ("green", "✔"),
    Result.TESTED: ("green", "✔"),
    Result.REUSED: ("dim", "✔"),
    Result.FAILED: ("bold red", "✘"),
    Result.SKIPPED: ("yellow", "–"),
    Result.CANCELLED: ("yellow", "–"),
}


class Board:
    def __init__(self, console: Console, log: Callable[[str], str], jobs: int) -> None:
        self._console, self._log, self._jobs = console, log, jobs
        self._running: dict[str, tuple[str, float, str]] = {}  # node → phase, started, last line
        self._seconds: dict[str, float] = {}  # dirty nodes that are not done → their estimate
        self._done = 0
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._live:
            yield

    def __call__(self, event: Event) -> None:
        match event:
            case Planned(plan=plan):
                self._seconds = {step.node.id: step.seconds or DEFAULT_SECONDS for step in plan.dirty()}
                self._console.print(summary(plan), style="dim", highlight=False)
            case Phase(node=node, phase=phase):
                started = self._running.get(node, ("", time.monotonic(), ""))[1]
                self._running[node] = (phase, started, "")
            case Line(node=node, text=text):
                if node in self._running and text.strip():
                    phase, started, _ = self._running[node]
                    self._running[node] = (phase, started, text)
            case Note(text=text):
                self._console.print(text, highlight=False, markup=False)
            case Finished(outcome=outcome):
                self._running.pop(outcome.node, None)
                if self._seconds.pop(outcome.node, None) is not None:
                    self._done += 1
                self._print(outcome)

    def _print(self, outcome: Outcome) -> None:
        if outcome.result is Result.REUSED and not outcome.seconds:
            return  # it was there before the run
        style, mark = _MARKS[outcome.result]
        why = f"  {escape(outcome.message)}" if outcome.result is not Result.FAILED and outcome.message else ""
        self._console.print(
            f"[{style}]{mark} {escape(outcome.node)}[/] {outcome.result} [dim]{outcome.seconds:.1f} s[/]{why}",
            highlight=False,
        )
        if outcome.result is Result.FAILED:
            for line in failure_lines(outcome, self._log(outcome.node)):
                self._console.print(line, highlight=False, markup=False)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for node, (phase, started, line) in list(self._running.items()):
            table.add_row(
                Text(node, style="bold"),
                phase,
                f"{now - started:5.0f} s",
                Text(line, style="dim", no_wrap=True, overflow="ellipsis"),
            )
        waiting = len(self._seconds) - len(self._running)
        estimate = sum(self._seconds.values()) / max(self._jobs, 1)
        about = f", about {estimate / 60:.0f} min" if estimate > 90 else ""
        return Group(table, Text(f"{self._done} done, {max(waiting, 0)} waiting{about}", style="dim"))
