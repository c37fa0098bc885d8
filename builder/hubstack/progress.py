"""Who listens to a run: log files, plain lines, GitHub's log, JSON lines. (A terminal's live board is in board.py.)

Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubstack.buildx import BuildFailed
from hubstack.event import Event, Finished, Line, Note, Phase, Planned
from hubstack.plan import Action, Plan
from hubstack.schedule import Outcome, Result
from hubstack.source import Position
from hubstack.verify import ImageTestFailed

_TO_DO = {Action.BLOCKED: "blocked", Action.UNKNOWN: "not asked for"}
_COMMAND = re.compile(r":(?=:)|#(?=#\[)")  # where a zero-width space keeps Actions' runner from reading a command


class Logs:
    """A full log file for each node that does something, in ``folder``. Of this run: what was there is overwritten."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._begun: set[str] = set()

    def path(self, node: str) -> Path:
        return self.folder / f"{node}.log"

    def __call__(self, event: Event) -> None:
        match event:
            case Phase(node=node, phase=phase):
                self._write(node, f"== {phase}")
            case Line(node=node, text=text):
                self._write(node, text)
            case Finished(outcome=outcome) if outcome.node in self._begun:
                self._write(outcome.node, f"== {outcome.result} {outcome.message}")

    def _write(self, node: str, text: str) -> None:
        with self.path(node).open("a" if node in self._begun else "w", encoding="utf-8") as file:
            file.write(f"{text.rstrip()}\n")
        self._begun.add(node)


def describe(error: Exception | None) -> tuple[Position | None, tuple[str, ...], str]:
    """Where in the templates a failure comes from, its last lines, and a hint."""
    position = error.position if isinstance(error, BuildFailed | ImageTestFailed) else None
    return position, getattr(error, "tail", ()), getattr(error, "hint", "")


def failure_lines(outcome: Outcome, log: str) -> Iterator[str]:
    """What people read when a node has failed: where, why, the last lines, where the rest is."""
    position, tail, hint = describe(outcome.error)
    yield f"{f'{position}: ' if position else ''}{outcome.message}"
    yield from (f"    {line}" for line in tail)
    if hint:
        yield f"  {hint}"
    yield f"  The whole log: {log}"


@dataclass(kw_only=True)
class Plain:
    """A line when something begins or ends; with ``github``, also groups and annotations for Actions' log."""

    out: Callable[[str], None]
    log: Callable[[str], str]
    github: bool = False
    _left: set[str] = field(default_factory=set)  # nodes that something is to be done for
    _logs: dict[str, list[str]] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        match event:
            case Planned(plan=plan):
                self._left = {step.node.id for step in plan.dirty()}
                self._print(summary(plan))
            case Phase(node=node, phase=phase):
                self._print(f"{node}: {phase}")
            case Line(node=node, text=text):
                if self.github:
                    self._logs.setdefault(node, []).append(text)
            case Note(text=text):
                self._print(text)
            case Finished(outcome=outcome):
                self._finished(outcome)

    def _finished(self, outcome: Outcome) -> None:
        if outcome.result is Result.REUSED and outcome.node not in self._left:
            return  # it was there before the run
        self._left.discard(outcome.node)
        left = f", {len(self._left)} left" if self._left else ""
        self._group(outcome.node, self._logs.pop(outcome.node, []))
        if outcome.result is not Result.FAILED:
            why = "".join(f": {one}" for one in (outcome.note, outcome.message) if one)
            self._print(f"{outcome.node}: {outcome.result} in {outcome.seconds:.1f} s{left}{why}")
            return
        self._print(f"{outcome.node}: failed after {outcome.seconds:.1f} s{left}")
        for line in failure_lines(outcome, self.log(outcome.node)):
            self._print(line)
        if self.github:
            self.out(annotation(outcome))

    def _group(self, node: str, lines: list[str]) -> None:
        if lines:
            self.out(f"::group::{node}: log")
            for line in lines:
                self._print(line)
            self.out("::endgroup::")

    def _print(self, text: str) -> None:
        """Text in which a runner must not find a command, in today's spelling or in the one before it."""
        self.out(_COMMAND.sub("\\g<0>\u200b", text) if self.github else text)


def annotation(outcome: Outcome) -> str:
    """A workflow command that puts the failure on the template's line ("Workflow commands", GitHub's documentation)."""
    position, tail, _ = describe(outcome.error)
    text = _escaped("\n".join((outcome.message, *tail[-5:])))
    if position is None:
        return f"::error::{text}"
    path = _escaped(position.path).replace(":", "%3A").replace(",", "%2C")
    return f"::error file={path},line={position.line}::{text}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


@dataclass(kw_only=True)
class JsonLines:
    """Every event as one JSON object a line."""

    out: Callable[[str], None]

    def __call__(self, event: Event) -> None:
        self.out(json.dumps(self._value(event), ensure_ascii=False))

    def _value(self, event: Event) -> dict[str, Any]:
        match event:
            case Planned(plan=plan):
                counts = {str(action): sum(s.action is action for s in plan.steps) for action in Action}
                return {"event": "planned", "nodes": len(plan.steps), "actions": counts}
            case Phase(node=node, phase=phase):
                return {"event": "phase", "node": node, "phase": phase}
            case Line(node=node, text=text):
                return {"event": "line", "node": node, "text": text}
            case Note(text=text):
                return {"event": "note", "text": text}
            case Finished(outcome=outcome):
                return {"event": "finished", **outcome_json(outcome)}


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    position, tail, _ = describe(outcome.error)
    return {
        "node": outcome.node,
        "result": outcome.result,
        **({"note": outcome.note} if outcome.note else {}),
        "digest": outcome.digest,
        "seconds": round(outcome.seconds, 1),
        "size_bytes": outcome.size_bytes,
        "message": outcome.message,
        "position": str(position) if position else None,
        "tail": list(tail),
    }


def summary(plan: Plan) -> str:
    """The plan in one line."""
    counts = {action: sum(step.action is action for step in plan.steps) for action in Action}
    parts = [f"{number} {_TO_DO.get(action, f'to {action}')}" for action, number in counts.items() if number]
    nodes, images = _counted(len(plan.steps), "node"), _counted(len(plan.images), "image")
    return f"{nodes}, {images}: {', '.join(parts) or 'nothing to do'}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
