"""Where a run is killed, as by SIGKILL: at what it says, or at what it asks of the registry. Never after a time."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

from tests.engine.relay import Moment, Relay
from tests.engine.workbench import Work, builders

Killing = Callable[[Relay, subprocess.Popen[str]], None]


def at_event(**wanted: str) -> Killing:
    """Kill as soon as the run says so."""

    def wait(_relay: Relay, run: subprocess.Popen[str]) -> None:
        assert run.stdout is not None
        for line in run.stdout:
            event = json.loads(line)
            if all(value in str(event.get(name)) for name, value in wanted.items()):
                run.kill()
                return

    return wait


def at_request(method: str, path: str, *, nth: int = 1, after: bool = False) -> Killing:
    def wait(relay: Relay, run: subprocess.Popen[str]) -> None:
        relay.moments.append(Moment(method, path, run.kill, nth=nth, after=after))
        run.communicate()

    return wait


def assert_no_builder_is_left(work: Work) -> None:
    deadline = time.monotonic() + 10
    while left := builders(work):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def leftovers(work: Work) -> list[str]:
    """What a killed run has left half done in the store."""
    return [path.name for path in (work.folder / ".hubstack").rglob("*") if path.name.startswith((".new-", "build-"))]
