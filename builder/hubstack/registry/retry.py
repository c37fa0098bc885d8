"""The one place that tries again: which faults may pass is said by who raises ``Fault``; how long, here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import TypeVar

from hubstack.errors import RegistryError

T = TypeVar("T")
Seconds = float
_uniform = SystemRandom().uniform


class Fault(Exception):
    """Something that may pass. Raised by an attempt; ``Budget.run`` waits and tries again, or raises ``error``.

    ``wait_s`` is what the other side asks for. ``once``: a second one is final. ``patience_s`` bounds the time spent on
    faults below the budget.
    """

    def __init__(
        self, error: RegistryError, *, wait_s: Seconds = 0.0, once: bool = False, patience_s: Seconds = float("inf")
    ) -> None:
        super().__init__(error.message)
        self.error, self.wait_s, self.once, self.patience_s = error, wait_s, once, patience_s


class Retry:
    """Full-jitter back-off (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015), in any number of threads."""

    def __init__(
        self,
        *,
        budget_s: Seconds = 300.0,
        first_s: Seconds = 1.0,
        cap_s: Seconds = 60.0,
        clock: Callable[[], Seconds] = time.monotonic,
        sleep: Callable[[Seconds], object] | None = None,
        jitter: Callable[[Seconds, Seconds], Seconds] = _uniform,
    ) -> None:
        """``sleep`` is by default one that ``stop`` ends."""
        self._stopped = threading.Event()
        self.clock, self.cap_s, self._jitter = clock, cap_s, jitter
        self._sleep = sleep or self._stopped.wait
        self._budget_s, self._first_s = budget_s, first_s

    def budget(self) -> Budget:
        """A new one, for everything that belongs to one push."""
        return Budget(self, self._budget_s)

    def stop(self) -> None:
        """Wakes everyone who waits; from now on every fault is final."""
        self._stopped.set()

    def delay(self, tried: int, fault: Fault) -> Seconds:
        """At least what the other side asks for, and jitter on top, so that not all threads come back at once."""
        return fault.wait_s + self._jitter(0.0, min(self.cap_s, self._first_s * 2.0 ** min(tried, 30)))

    def wait(self, seconds: Seconds) -> bool:
        """False when there is no point in trying again."""
        self._sleep(seconds)
        return not self._stopped.is_set()


class Budget:
    """The seconds that may be lost to faults: waiting, and attempts that failed.

    An attempt counts for no more than the longest wait: an upload that breaks after ten minutes deserves another one.
    """

    def __init__(self, retry: Retry, total_s: Seconds) -> None:
        self._retry, self._total_s = retry, total_s
        self._spent_s = 0.0
        self._lock = threading.Lock()

    def run(self, attempt: Callable[[int], T]) -> T:
        """What ``attempt`` returns. It is handed the number of attempts before it, so that it can look before it repeats.

        Raises the last fault's error when the budget is spent.
        """
        tried, spoiled = 0, 0
        while True:
            began = self._retry.clock()
            try:
                return attempt(tried)
            except Fault as fault:
                tried, spoiled = tried + 1, spoiled + fault.once
                delay = self._retry.delay(tried - 1, fault)
                lost = min(self._retry.clock() - began, self._retry.cap_s)
                if spoiled > 1 or not self._spend(lost, delay, fault) or not self._retry.wait(delay):
                    raise self._final(fault, tried) from fault

    def _spend(self, lost: Seconds, delay: Seconds, fault: Fault) -> bool:
        """Whether there is enough left to wait for ``delay``."""
        with self._lock:
            self._spent_s += lost
            if self._spent_s + delay > min(self._total_s, fault.patience_s):
                return False
            self._spent_s += delay
            return True

    def _final(self, fault: Fault, tried: int) -> RegistryError:
        error = fault.error
        asked = f"; it asks to wait {fault.wait_s:.0f} s" if fault.wait_s else ""
        times = "once" if tried == 1 else f"{tried} times"
        return type(error)(f"{error.message}{asked} (tried {times})", hint=error.hint, code=error.code)


def parse_retry_after(value: str, date: str) -> Seconds:
    """The header Retry-After (RFC 9110, 10.2.3) as seconds; 0 where it says nothing that can be understood.

    A moment is compared with the answer's own ``Date``, so the two machines' clocks may differ.
    """
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError):  # TypeError: one of the two has no time zone
        return 0.0
