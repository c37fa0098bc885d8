"""Time that passes only when somebody sleeps."""

from __future__ import annotations

from hubstack.registry.retry import Retry


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def retry(self, *, budget_s: float = 300.0) -> Retry:
        """One that always waits as long as it may."""
        return Retry(budget_s=budget_s, clock=self.clock, sleep=self.sleep, jitter=lambda _low, high: high)
