"""Runs the steps of a plan: event-driven, longest path first, a bounded number at once.

One thread, the caller's, owns the state; workers only return outcomes. A failed step is an outcome like any other: what
stands on it is skipped and says why, and independent branches go on.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum

from hubstack.command import Cancelled
from hubstack.errors import HubstackError
from hubstack.model import Digest, Graph
from hubstack.plan import Action, Step

DEFAULT_SECONDS = 30.0  # a node that was never built; only the order of work depends on it


class Result(StrEnum):
    BUILT = "built"
    TESTED = "tested"
    REUSED = "reused"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


GOOD = frozenset({Result.BUILT, Result.TESTED, Result.REUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a node. ``size_bytes`` counts its compressed filesystem layers, those below it included."""

    node: str
    result: Result
    digest: Digest | None = None
    seconds: float = 0.0
    size_bytes: int = 0
    message: str = ""
    error: HubstackError | None = None


def priorities(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    """For each node, the seconds from its start to the end of the longest path above it."""
    length: dict[str, float] = {}
    for node in reversed(graph.nodes):
        above = max((length[child] for child in graph.children[node]), default=0.0)
        length[node] = above + seconds.get(node, DEFAULT_SECONDS)
    return length


def run(
    steps: Sequence[Step],
    work: Callable[[Step], Outcome],
    *,
    priority: Mapping[str, float],
    jobs: int,
    fail_fast: bool = False,
    cancel: threading.Event,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    on_cancel: Callable[[], None] = lambda: None,
) -> dict[str, Outcome]:
    """The outcome of every step, in the order of ``steps`` (parents before children).

    ``work`` runs in worker threads; its HubstackErrors become failed outcomes, and any other exception is a bug that
    ends the run. ``cancel`` may be set from anywhere: nothing new starts then, and workers are expected to look at it;
    ``on_cancel`` is called once then, to end what they wait for.
    """
    return _Run(steps, work, priority, jobs, fail_fast, cancel, on_outcome, on_cancel).outcomes()


class _Run:
    def __init__(
        self,
        steps: Sequence[Step],
        work: Callable[[Step], Outcome],
        priority: Mapping[str, float],
        jobs: int,
        fail_fast: bool,
        cancel: threading.Event,
        on_outcome: Callable[[Outcome], None],
        on_cancel: Callable[[], None],
    ) -> None:
        self._steps = {step.node.id: step for step in steps}
        self._work, self._priority, self._jobs = work, priority, jobs
        self._fail_fast, self._cancel = fail_fast, cancel
        self._on_outcome, self._on_cancel = on_outcome, on_cancel
        self._done: dict[str, Outcome] = {}
        self._missing = {  # how many of a step's inputs are not done yet
            step.node.id: len({one for one in step.node.inputs if one in self._steps}) for step in steps
        }
        self._users: dict[str, list[str]] = {node: [] for node in self._steps}
        for step in steps:
            for needed in dict.fromkeys(step.node.inputs):
                if needed in self._users:
                    self._users[needed].append(step.node.id)
        self._ready: list[tuple[float, str]] = []

    def outcomes(self) -> dict[str, Outcome]:
        for node, missing in list(self._missing.items()):
            if not missing and (settled := self._offer(node)) is not None:
                self._finish(settled)
        running: dict[Future[Outcome], str] = {}
        told = False
        with ThreadPoolExecutor(max_workers=self._jobs, thread_name_prefix="node") as pool:
            try:
                while self._ready or running:
                    while self._ready and len(running) < self._jobs and not self._cancel.is_set():
                        node = heapq.heappop(self._ready)[1]
                        running[pool.submit(self._attempt, self._steps[node])] = node
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        del running[future]
                        self._finish(future.result())
                    if self._cancel.is_set() and running and not told:
                        told = True
                        self._on_cancel()
            except BaseException:
                self._cancel.set()  # the pool waits for its workers: they must hear of it
                self._on_cancel()
                raise
        for node in self._steps:
            if node not in self._done:
                self._finish(Outcome(node=node, result=Result.CANCELLED, message="the run was cancelled"))
        return {node: self._done[node] for node in self._steps}

    def _attempt(self, step: Step) -> Outcome:
        started = time.monotonic()
        try:
            return self._work(step)
        except Cancelled:
            return Outcome(node=step.node.id, result=Result.CANCELLED, message="the run was cancelled")
        except HubstackError as error:
            seconds = time.monotonic() - started
            return Outcome(node=step.node.id, result=Result.FAILED, seconds=seconds, message=error.message, error=error)

    def _offer(self, node: str) -> Outcome | None:
        """Queue ``node``, whose inputs are all good; its outcome, where there is nothing to do."""
        step = self._steps[node]
        if step.action is Action.REUSE:
            return Outcome(node=node, result=Result.REUSED, digest=step.digest)
        if step.action is Action.BLOCKED:
            return Outcome(node=node, result=Result.SKIPPED, message=step.reason)
        heapq.heappush(self._ready, (-self._priority[node], node))
        return None

    def _finish(self, outcome: Outcome) -> None:
        pending = [outcome]
        while pending:  # a loop, for a failed base may take a chain of thousands with it
            outcome = pending.pop()
            self._done[outcome.node] = outcome
            self._on_outcome(outcome)
            if outcome.result is Result.FAILED and self._fail_fast:
                self._cancel.set()
            for user in self._users[outcome.node]:
                if user in self._done:
                    continue
                if outcome.result in GOOD:
                    self._missing[user] -= 1
                    if not self._missing[user] and (settled := self._offer(user)) is not None:
                        pending.append(settled)
                elif outcome.result is not Result.CANCELLED:
                    why = (
                        outcome.message
                        if outcome.result is Result.SKIPPED
                        else f"skipped because {outcome.node} failed"
                    )
                    pending.append(Outcome(node=user, result=Result.SKIPPED, message=why))
