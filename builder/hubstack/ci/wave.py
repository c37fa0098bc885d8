"""Waves of jobs: work → who does what, and when.

A CI service has no scheduler that we could use: a job is a machine that takes a while to start, its work is named before
it starts, and a wave waits for the whole one before it. So jobs are put together here. Chains are never torn apart. A
wave deals its tasks out as the scheduler does, longest path first, for a while; what becomes ready on one machine only
goes on there or waits for the next wave. The last wave takes all that is left, whatever hangs together in one job. How
many waves, and for how long each, is tried out: the estimate decides.

A part may stay with the machine that plans: it is there already. Often that is the trunk on which everything stands.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from hubstack.ci.estimate import Task, Work, makespan_s

MOST_JOBS = 256  # in a matrix (GitHub's "Usage limits")
JOB_S = 300 * 60.0  # GitHub ends a job after six hours; estimates are estimates
PLANNER = "linux/amd64"  # where the planner's own job runs
_MACHINE = 0.02  # seconds of waiting that are worth a second of a machine's start-up
_PATIENCE = 400_000  # chains that are dealt out in all trials: a few seconds
_FEWEST = 12  # trials, however many chains
_OWN = (0.0, None, 0.125, 0.25, 0.5)
_PAIRS = (  # the shares of the first and of the last wave but one
    *((0.0, 0.5), (0.25, 0.75), (0.0, 0.0), (0.25, 0.5), (0.0, 0.75), (0.5, 0.75), (0.25, 0.25), (0.5, 0.5)),
    *((0.0, 0.25), (0.0, 0.125), (0.125, 0.5), (0.125, 0.25), (0.125, 0.75), (0.125, 0.125), (0.75, 0.75)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Tasks for one machine, in build order."""

    tasks: tuple[Task, ...]
    platform: str

    @property
    def seconds(self) -> float:
        """Without the machine's start."""
        return sum(task.seconds for task in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """``here`` is done before the first wave, where the planning is done."""

    here: tuple[Task, ...] = ()
    waves: tuple[tuple[Job, ...], ...] = ()
    makespan_s: float = 0.0

    @property
    def jobs(self) -> int:
        return sum(map(len, self.waves))

    @property
    def longest_s(self) -> float:
        """Of the jobs, without their machine's start; the planner's is one of them."""
        here = sum(task.seconds for task in self.here)
        return max((here, *(job.seconds for jobs in self.waves for job in jobs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """``runners`` work at once, each ready ``startup_s`` after it was asked for; at most ``waves`` wait for each other."""

    runners: int
    startup_s: float
    waves: int


def make_waves(work: Work, machines: Machines) -> Waves:
    """The best of what was tried; the same for the same input."""
    if not work.tasks:
        return Waves()
    layout = _Layout(work, machines)
    tried = [layout.deal(trial) for trial in _trials(len(layout.chains), machines.waves)]
    best = min(tried, key=lambda waves: _worth(waves, machines))
    alone = work.seconds <= JOB_S and set(layout.platforms) == {PLANNER}
    if alone and work.seconds <= best.makespan_s + machines.startup_s:  # not worth asking for machines
        return Waves(here=work.tasks, makespan_s=work.seconds)
    return best


def _worth(waves: Waves, machines: Machines) -> tuple[float, float]:
    """Less is better. A job that is cut off is worse than any that takes long."""
    return max(waves.longest_s, JOB_S), waves.makespan_s + _MACHINE * machines.startup_s * waves.jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """How work is cut into waves; shares are of the least time in which what is left then could be done."""

    own: float | None  # for the planner's job; None: nothing
    waves: int
    pair: tuple[float, float]  # of the first and of the last wave but one; the last one takes what is left

    def share(self, wave: int) -> float:
        first, last = self.pair
        return first + (last - first) * wave / max(1, self.waves - 2)


def _trials(chains: int, most_waves: int) -> Sequence[_Trial]:
    """As many as there is time for; first those that differ little from the likeliest."""
    counts = range(most_waves, 0, -1)
    ranks = sorted(product(range(len(_OWN)), range(len(counts)), range(len(_PAIRS))), key=sum)
    trials = dict.fromkeys(
        _Trial(own=_OWN[own], waves=counts[waves], pair=_PAIRS[pair] if counts[waves] > 2 else (_PAIRS[pair][0],) * 2)
        for own, waves, pair in ranks
        if counts[waves] > 1 or not pair
    )
    return [*trials][: max(_FEWEST, _PATIENCE // chains)]


class _Layout:
    """Chains of tasks, and what each waits for. Chains are numbers, in build order."""

    def __init__(self, work: Work, machines: Machines) -> None:
        self._machines = machines
        self.chains, inputs = _chains(work.tasks)
        self.inputs = [sorted(one) for one in inputs]
        self.users: list[list[int]] = [[] for _ in self.chains]
        for chain, below in enumerate(self.inputs):
            for one in below:
                self.users[one].append(chain)
        self.seconds = [sum(task.seconds for task in chain) for chain in self.chains]
        self.platforms = [chain[0].platform for chain in self.chains]
        self.rest = list(self.seconds)  # the longest path that begins with it
        for chain in reversed(range(len(self.chains))):
            self.rest[chain] += max((self.rest[one] for one in self.users[chain]), default=0.0)

    def deal(self, trial: _Trial) -> Waves:
        deal = _Deal(self)
        here: tuple[Task, ...] = ()
        if trial.own is not None:
            for job in deal.wave({PLANNER: 1}, min(trial.own * self._least_s(deal), JOB_S)):
                here = self._tasks(job)
        dealt: list[list[list[int]]] = []
        for wave in range(trial.waves - 1):
            if left_s := deal.left_s():
                budget_s = min(trial.share(wave) * self._least_s(deal), JOB_S)
                dealt.append(deal.wave(self._share_out(left_s), budget_s))
        if left_s := deal.left_s():
            dealt.append(self._last(deal, left_s))
        jobs = tuple(tuple(map(self._job, sorted(wave, key=self._longest_first))) for wave in dealt)
        return Waves(here=here, waves=jobs, makespan_s=self._makespan_s(here, jobs))

    def _makespan_s(self, here: Sequence[Task], waves: Sequence[Sequence[Job]]) -> float:
        startup_s, runners = self._machines.startup_s, self._machines.runners
        lengths = [[startup_s + job.seconds for job in wave] for wave in waves]
        return sum(task.seconds for task in here) + sum(makespan_s(wave, runners) for wave in lengths)

    def _least_s(self, deal: _Deal) -> float:
        """How long what is left takes at least."""
        return max(deal.left_path_s(), sum(deal.left_s().values()) / self._machines.runners)

    def _share_out(self, left_s: Mapping[str, float]) -> dict[str, int]:
        """Machines for each platform: as many as its work needs to end in time, then where there is most for each."""
        most = MOST_JOBS // len(left_s)
        count = {one: min(most, max(1, math.ceil(left_s[one] / JOB_S))) for one in sorted(left_s)}
        while sum(count.values()) < min(self._machines.runners, MOST_JOBS):
            busiest = max(count, key=lambda platform: left_s[platform] / count[platform])
            count[busiest] += 1
        return count

    def _last(self, deal: _Deal, left_s: Mapping[str, float]) -> list[list[int]]:
        """Everything that is left: what hangs together in one job, the jobs evenly filled."""
        pieces: dict[str, list[list[int]]] = {}
        for piece in deal.pieces():
            pieces.setdefault(self.platforms[piece[0]], []).append(piece)
        machines = self._share_out(left_s)
        return [job for platform, some in sorted(pieces.items()) for job in self._pack(some, machines[platform])]

    def _pack(self, pieces: list[list[int]], machines: int) -> list[list[int]]:
        """Longest first on the least busy; then on fewer, where half a start-up is worth more than what they do."""
        sizes = sorted(((self._length(piece), piece) for piece in pieces), key=lambda one: (-one[0], one[1][0]))
        jobs = _even(sizes, machines)
        most_s = max(*map(self._length, jobs), self._machines.startup_s / 2, 1.0)
        fewer = max(1, math.ceil(sum(size for size, _ in sizes) / most_s))
        if fewer < len(jobs) and max(map(self._length, again := _even(sizes, fewer))) <= most_s:
            return again
        return jobs

    def _length(self, chains: Iterable[int]) -> float:
        return sum(self.seconds[one] for one in chains)

    def _job(self, chains: list[int]) -> Job:
        return Job(tasks=self._tasks(chains), platform=self.platforms[chains[0]])

    def _tasks(self, chains: list[int]) -> tuple[Task, ...]:
        return tuple(task for chain in sorted(chains) for task in self.chains[chain])

    def _longest_first(self, chains: list[int]) -> tuple[float, int]:
        return -self._length(chains), min(chains)


def _chains(tasks: Sequence[Task]) -> tuple[list[list[Task]], list[set[int]]]:
    """Tasks of which each is the only one that needs the one before it and needs nothing else; and their inputs."""
    needed: dict[str, int] = {}
    for task in tasks:
        for one in task.inputs:
            needed[one] = needed.get(one, 0) + 1
    chains: list[list[Task]] = []
    inputs: list[set[int]] = []
    place: dict[str, int] = {}
    for task in tasks:
        if len(task.inputs) == 1 and needed[task.inputs[0]] == 1:
            place[task.node] = place[task.inputs[0]]
            chains[place[task.node]].append(task)
        else:
            place[task.node] = len(chains)
            chains.append([task])
            inputs.append({place[one] for one in task.inputs})
    return chains, inputs


def _even(sizes: Sequence[tuple[float, list[int]]], machines: int) -> list[list[int]]:
    """``sizes`` are pieces with their seconds, longest first; each goes to the machine that has least to do."""
    jobs: list[list[int]] = [[] for _ in range(min(machines, len(sizes)))]
    busy = [(0.0, number) for number in range(len(jobs))]
    for size, piece in sizes:
        seconds, number = busy[0]
        jobs[number] += piece
        heapq.heapreplace(busy, (seconds + size, number))
    return jobs


class _Deal:
    """Which chains are not dealt out yet, and which of them could begin."""

    def __init__(self, layout: _Layout) -> None:
        self._layout = layout
        self._missing = [len(below) for below in layout.inputs]
        self._done = [False] * len(layout.chains)
        self._ready = [chain for chain, missing in enumerate(self._missing) if not missing]

    def left_s(self) -> dict[str, float]:
        """Platform → seconds of what is left there."""
        found: dict[str, float] = {}
        for chain, done in enumerate(self._done):
            if not done:
                platform = self._layout.platforms[chain]
                found[platform] = found.get(platform, 0.0) + self._layout.seconds[chain]
        return found

    def left_path_s(self) -> float:
        return max((self._layout.rest[chain] for chain in self._ready), default=0.0)

    def wave(self, machines: Mapping[str, int], budget_s: float) -> list[list[int]]:
        """Jobs of up to ``budget_s`` each, or of one chain that is longer."""
        ready: dict[str, list[tuple[float, int]]] = {platform: [] for platform in machines}
        later = [chain for chain in self._ready if self._layout.platforms[chain] not in ready]
        for chain in self._ready:
            if (there := ready.get(self._layout.platforms[chain])) is not None:
                there.append((-self._layout.rest[chain], chain))
        jobs = [job for platform in sorted(ready) for job in self._fill(ready[platform], machines[platform], budget_s)]
        self._ready = [*later, *self._enabled(jobs, {chain for some in ready.values() for _, chain in some})]
        return jobs

    def _fill(self, ready: list[tuple[float, int]], machines: int, budget_s: float) -> list[list[int]]:
        """Deal out ``ready``: to the machine that is free first what it can begin with and most stands on.

        What is left in ``ready`` is for the next wave.
        """
        heapq.heapify(ready)
        jobs: list[list[int]] = [[] for _ in range(min(machines, len(ready)))]
        own: list[list[tuple[float, int]]] = [[] for _ in jobs]  # ready, but only there
        place: dict[int, int] = {}  # of what is dealt out here
        free = [(0.0, number) for number in range(len(jobs))]
        while free:
            busy_s, number = heapq.heappop(free)
            source = min((one for one in (own[number], ready) if one), key=lambda one: one[0], default=None)
            if source is None or (jobs[number] and busy_s + self._layout.seconds[source[0][1]] > budget_s):
                continue
            chain = heapq.heappop(source)[1]
            jobs[number].append(chain)
            self._done[chain], place[chain] = True, number
            heapq.heappush(free, (busy_s + self._layout.seconds[chain], number))
            for user in self._layout.users[chain]:
                self._missing[user] -= 1
                if not self._missing[user] and self._at_once(user, place, number):
                    heapq.heappush(own[number], (-self._layout.rest[user], user))
        return [job for job in jobs if job]

    def _at_once(self, chain: int, place: Mapping[int, int], number: int) -> bool:
        """Whether all that it needs is done before this wave or in that job, on that job's platform."""
        here = self._layout.platforms[chain] == self._layout.platforms[self._layout.inputs[chain][0]]
        return here and all(place.get(one, number) == number for one in self._layout.inputs[chain])

    def _enabled(self, jobs: Sequence[Sequence[int]], left: set[int]) -> list[int]:
        """``left``, and what became ready and was not dealt out, in build order."""
        users = {user for job in jobs for chain in job for user in self._layout.users[chain]}
        return sorted(left | {user for user in users if not self._missing[user] and not self._done[user]})

    def pieces(self) -> list[list[int]]:
        """What hangs together of all that is left."""
        root = list(range(len(self._done)))

        def find(chain: int) -> int:
            while root[chain] != chain:
                root[chain] = chain = root[root[chain]]
            return chain

        left = [chain for chain, done in enumerate(self._done) if not done]
        for chain in left:
            for below in self._layout.inputs[chain]:
                if not self._done[below]:
                    root[find(chain)] = find(below)
        found: dict[int, list[int]] = {}
        for chain in left:
            found.setdefault(find(chain), []).append(chain)
        return list(found.values())
