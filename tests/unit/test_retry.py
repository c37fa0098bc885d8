from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hubstack.errors import DigestMismatch, RegistryError, RegistryUnreachable
from hubstack.registry.retry import Fault, Retry, parse_retry_after

from tests.fakes.clock import FakeTime

DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


def busy(wait_s: float = 0.0) -> Fault:
    return Fault(RegistryError("busy", hint="later", code="TOOMANYREQUESTS"), wait_s=wait_s)


def failing(*faults: Exception) -> tuple[list[int], Callable[[int], str]]:
    left = list(faults)
    tried: list[int] = []

    def attempt(number: int) -> str:
        tried.append(number)
        if left:
            raise left.pop(0)
        return "done"

    return tried, attempt


def test_tries_again_and_tells_how_often_it_has_tried() -> None:
    time = FakeTime()
    tried, attempt = failing(busy(), busy())
    assert time.retry().budget().run(attempt) == "done"
    assert tried == [0, 1, 2]
    assert time.slept == [1.0, 2.0]


def test_back_off_doubles_from_1_s_to_60_s_within_the_budget() -> None:
    time = FakeTime()
    with pytest.raises(RegistryError, match=r"busy \(tried 10 times\)") as caught:
        time.retry(budget_s=300).budget().run(failing(*[busy()] * 100)[1])
    assert time.slept == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert (caught.value.hint, caught.value.code) == ("later", "TOOMANYREQUESTS")


def test_waits_are_anywhere_below_the_bound_so_that_threads_spread() -> None:
    waits = {Retry(sleep=lambda _s: None).delay(3, busy()) for _ in range(50)}
    assert len(waits) > 40
    assert all(0 <= wait <= 8 for wait in waits)


def test_waits_no_shorter_than_asked() -> None:
    time = FakeTime()
    time.retry().budget().run(failing(busy(wait_s=30))[1])
    assert time.slept == [31.0]


def test_does_not_wait_for_what_the_budget_does_not_hold() -> None:
    time = FakeTime()
    with pytest.raises(RegistryError, match="asks to wait 3600 s"):
        time.retry().budget().run(failing(busy(wait_s=3600))[1])
    assert time.slept == []


def test_one_budget_serves_many_calls() -> None:
    time = FakeTime()
    budget = time.retry(budget_s=9).budget()
    budget.run(failing(busy(), busy())[1])
    with pytest.raises(RegistryError, match="tried 3 times"):
        budget.run(failing(*[busy()] * 9)[1])
    assert time.slept == [1, 2, 1, 2]


def test_a_long_attempt_that_breaks_costs_no_more_than_the_longest_wait() -> None:
    time = FakeTime()
    left = [busy(), busy()]

    def upload(_tried: int) -> str:
        time.now_s += 600
        if left:
            raise left.pop()
        return "done"

    assert time.retry(budget_s=300).budget().run(upload) == "done"


def test_attempts_that_wait_in_vain_are_paid_from_the_budget() -> None:
    time = FakeTime()
    tried: list[int] = []

    def silent(number: int) -> str:
        tried.append(number)
        time.now_s += 60
        raise busy()

    with pytest.raises(RegistryError):
        time.retry(budget_s=300).budget().run(silent)
    assert len(tried) == 5
    assert time.now_s <= 360


def test_what_is_spoiled_twice_is_final() -> None:
    time = FakeTime()
    spoiled = Fault(DigestMismatch("spoiled"), once=True)
    assert time.retry().budget().run(failing(spoiled)[1]) == "done"
    with pytest.raises(DigestMismatch, match="tried 3 times"):
        time.retry().budget().run(failing(spoiled, busy(), spoiled)[1])


def test_patience_may_end_before_the_budget() -> None:
    time = FakeTime()
    unknown = Fault(RegistryUnreachable("no such host"), patience_s=10)
    with pytest.raises(RegistryUnreachable):
        time.retry().budget().run(failing(*[unknown] * 99)[1])
    assert time.slept == [1, 2, 4]


def test_other_errors_pass_through_at_once() -> None:
    time = FakeTime()
    with pytest.raises(RegistryError, match=r"^final$"):
        time.retry().budget().run(failing(RegistryError("final"))[1])
    assert time.slept == []


def test_stop_wakes_who_waits() -> None:
    retry = Retry(first_s=1000, cap_s=1000, budget_s=1e6, jitter=lambda _low, high: high)
    threading.Timer(0.05, retry.stop).start()
    with pytest.raises(RegistryError, match="busy"):
        retry.budget().run(failing(*[busy()] * 9)[1])


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("", DATE, 0),
        ("7", "", 7),
        ("Sat, 21 Nov 2026 10:01:30 GMT", DATE, 90),
        ("Sat, 21 Nov 2026 09:00:00 GMT", DATE, 0),
        ("Sat, 21 Nov 2026 10:01:30 GMT", "", 0),
        ("soon", DATE, 0),
        ("-5", DATE, 0),
        ("Sat, 21 Nov 2026 10:01:30 -0000", DATE, 0),
    ],
)
def test_retry_after(value: str, date: str, seconds: float) -> None:
    assert parse_retry_after(value, date) == seconds
