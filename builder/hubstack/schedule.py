"""Runs the steps of a plan: event-driven, longest path first, a bounded number at once.

One thread, the caller's, owns the state; workers only return outcomes. A failed step is an outcome like any other: what
stands on it is skipped and says why, and independent branches go on.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Protocol

from hubstack.errors import Cancelled, HubstackError
from hubstack.model import Graph
from hubstack.plan import Action, Step
from hubstack.reference import Digest

DEFAULT_SECONDS = 30.0  # a node that was never built; only the order of work depends on it
END_S = 10.0  # longer than command.GRACE_S: by then only a registry or an engine that hangs can hold a worker
_POLL_S = 0.5
_CANCELLED = "the run was cancelled"


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
    note: str = ""  # how it was made, where that isn't by a build
    message: str = ""
    error: HubstackError | None = None


class Crew(Protocol):
    """Who does the work: threads, or a clock that only says that it was done (:mod:`hubstack.ci.simulate`)."""

    @property
    def busy(self) -> int: ...

    def start(self, task: Callable[[], Outcome]) -> None: ...

    def wait(self) -> Iterable[Future[Outcome]]:
        """What has ended; nothing where that takes a while."""
        ...

    def leave(self) -> None:
        """Nothing more is started; who is still busy is waited for no longer."""
        ...


class Threads:
    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=most, thread_name_prefix="node")
        self._running: set[Future[Outcome]] = set()

    @property
    def busy(self) -> int:
        return len(self._running)

    def start(self, task: Callable[[], Outcome]) -> None:
        future: Future[Outcome] = Future()
        self._running.add(
            future
        )  # first: Ctrl-C may come while the pool starts the worker, which is to be waited for then
        self._pool.submit(_fulfil, future, task)

    def wait(self) -> Iterable[Future[Outcome]]:
        done, self._running = wait(self._running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
        return done

    def leave(self) -> None:
        self._pool.shutdown(wait=False)


def _fulfil(future: Future[Outcome], task: Callable[[], Outcome]) -> None:
    try:
        future.set_result(task())
    except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
        future.set_exception(error)


def priorities(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    """For each node, the seconds from its start to the end of the longest path above it."""
    length: dict[str, float] = {}
    for node in reversed(tuple(graph.nodes)):
        above = max((length[child] for child in graph.children[node]), default=0.0)
        length[node] = above + seconds.get(node, DEFAULT_SECONDS)
    return length


def run(  # noqa: PLR0913 - all but the first two are options, and keyword-only
    steps: Sequence[Step],
    work: Callable[[Step], Outcome],
    *,
    priority: Mapping[str, float],
    jobs: int,
    fail_fast: bool = False,
    cancel: threading.Event,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    on_cancel: Callable[[], None] = lambda: None,
    crew: Crew | None = None,
) -> dict[str, Outcome]:
    """The outcome of every step, in the order of ``steps`` (parents before children).

    Only what is to be built waits for what it stands on. ``work`` runs in worker threads; its HubstackErrors become
    failed outcomes, as does an OSError (a full disk); any other exception is a bug that ends the run.

    ``cancel`` may be set from anywhere: nothing new starts then, and workers are expected to look at it. ``on_cancel``
    is called then, and again until the last worker is back, to end what they wait for. Workers that don't come back
    after Ctrl-C or a bug are left behind after END_S seconds. ``crew`` is threads unless somebody gives another one.
    """

    def report(outcome: Outcome) -> None:
        on_outcome(outcome)
        if fail_fast and outcome.result is Result.FAILED:
            cancel.set()

    return _Run(steps, work, priority, jobs, cancel, report, on_cancel).outcomes(crew or Threads(jobs))


class _Run:
    def __init__(
        self,
        steps: Sequence[Step],
        work: Callable[[Step], Outcome],
        priority: Mapping[str, float],
        jobs: int,
        cancel: threading.Event,
        on_outcome: Callable[[Outcome], None],
        on_cancel: Callable[[], None],
    ) -> None:
        self._steps = {step.node.id: step for step in steps}
        self._work, self._priority, self._jobs = work, priority, jobs
        self._cancel = cancel
        self._on_outcome, self._on_cancel = on_outcome, on_cancel
        self._done: dict[str, Outcome] = {}
        self._missing: dict[str, int] = {}  # how many of a step's inputs are not done yet
        self._users: dict[str, list[str]] = {node: [] for node in self._steps}
        for step in steps:
            waits = step.action in {Action.BUILD, Action.UNKNOWN}  # what is there needs nothing below it
            inputs = [one for one in dict.fromkeys(step.node.inputs) if one in self._steps] if waits else []
            self._missing[step.node.id] = len(inputs)
            for one in inputs:
                self._users[one].append(step.node.id)
        self._ready: list[tuple[float, str]] = []

    def outcomes(self, crew: Crew) -> dict[str, Outcome]:
        for node in [node for node, missing in self._missing.items() if not missing]:
            self._offer(node)
        try:
            self._drain(crew)
        finally:
            crew.leave()
        for node in self._steps:
            if node not in self._done:
                self._finish(Outcome(node=node, result=Result.CANCELLED, message=_CANCELLED))
        return {node: self._done[node] for node in self._steps}

    def _drain(self, crew: Crew) -> None:
        """Start what is ready, as far as there is room, and wait for the next outcome, until nothing is left."""
        try:
            while self._start(crew):
                for future in crew.wait():
                    self._finish(future.result())
                if self._cancel.is_set() and crew.busy:
                    self._on_cancel()
        except BaseException:
            self._cancel.set()
            self._end(crew)
            raise

    def _start(self, crew: Crew) -> bool:
        """Whether anything is running then; once cancelled, what is ready stays undone."""
        while self._ready and crew.busy < self._jobs and not self._cancel.is_set():
            crew.start(partial(self._attempt, self._steps[heapq.heappop(self._ready)[1]]))
        return bool(crew.busy)

    def _end(self, crew: Crew) -> None:
        end = time.monotonic() + END_S
        while crew.busy and time.monotonic() < end:
            self._on_cancel()
            crew.wait()

    def _attempt(self, step: Step) -> Outcome:
        started = time.monotonic()
        try:
            return self._work(step)
        except Cancelled:
            return Outcome(node=step.node.id, result=Result.CANCELLED, message=_CANCELLED)
        except HubstackError as fault:
            error = fault
        except OSError as fault:
            error = HubstackError(f"{step.node.id}: {fault}")
        if self._cancel.is_set():  # what it worked with was taken away from it
            return Outcome(node=step.node.id, result=Result.CANCELLED, message=_CANCELLED)
        seconds = time.monotonic() - started
        return Outcome(node=step.node.id, result=Result.FAILED, seconds=seconds, message=error.message, error=error)

    def _offer(self, node: str) -> None:
        """Queue ``node``, whose inputs are all good, or settle it where there is nothing to do."""
        step = self._steps[node]
        if step.action is Action.REUSE:
            self._finish(Outcome(node=node, result=Result.REUSED, digest=step.digest))
        elif step.action is Action.BLOCKED:
            self._finish(Outcome(node=node, result=Result.SKIPPED, message=step.reason))
        else:
            heapq.heappush(self._ready, (-self._priority[node], node))

    def _finish(self, outcome: Outcome) -> None:
        """Note an outcome, and queue what has waited for it or skip it, with all that stands on that."""
        pending = [outcome]
        while pending:  # a loop, for a failed base may take a chain of thousands with it
            outcome = pending.pop()
            self._done[outcome.node] = outcome
            self._on_outcome(outcome)
            for user in self._users[outcome.node]:
                self._missing[user] -= 1
                if user in self._done:
                    continue
                if outcome.result in {Result.FAILED, Result.SKIPPED}:
                    pending.append(Outcome(node=user, result=Result.SKIPPED, message=_why(outcome)))
                elif outcome.result in GOOD and not self._missing[user]:
                    self._offer(user)


def _why(outcome: Outcome) -> str:
    """Why what stands on it is skipped: the first cause, however far below."""
    return outcome.message if outcome.result is Result.SKIPPED else f"skipped because {outcome.node} failed"
