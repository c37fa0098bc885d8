"""Ctrl-C and SIGTERM: children end, nothing stays behind, nothing is half published, and the exit code says so.

(SIGKILL, after which only the next run can clean up, is promise 4.)
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest
from hubstack.registry import Registry

from tests.engine.workbench import Work, builders, containers, published

pytestmark = [pytest.mark.engine, pytest.mark.slow]

LONG_STEP = "{% call run() %}\necho asleep in a step\nsleep 120\n{% endcall %}\n\nUSER 1000:100"
LONG_TEST = "tests:\n  - run: echo asleep in a test; sleep 120\n    timeout_s: 200\n"


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """A shell's background job ignores SIGINT, and what it starts would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("where", ["step", "test"])
def test_a_signal_ends_everything(
    settled: Work, registry: Registry, where: str, number: signal.Signals, code: int
) -> None:
    if where == "step":
        settled.edit("layers/tool/Dockerfile.j2", "USER 1000:100", LONG_STEP)
    else:
        settled.edit("layers/tool/layer.yaml", "tests:\n", LONG_TEST)
        settled.edit("layers/tool/Dockerfile.j2", "USER", f"ENV {where}_{number.name}=1\nUSER")
    before = published(registry, settled.prefix)
    with settled.start("build", "--push", "--json") as run:
        assert run.stdout is not None
        for line in run.stdout:
            event = json.loads(line)
            if (event["event"] == "line" and event["text"].endswith("asleep in a step")) or event.get(
                "phase"
            ) == "testing":
                break
        if where == "test":
            wait_for(lambda: containers(settled), "a container")
        run.send_signal(number)
        started = time.monotonic()
        out, err = run.communicate(timeout=60)
        took = time.monotonic() - started
    assert run.returncode == code, out + err
    assert took < 30
    assert "Traceback" not in err
    assert builders(settled) == []
    assert containers(settled) == []
    assert [path.name for path in (settled.folder / ".hubstack" / "nodes").glob(".new-*")] == []
    assert list((settled.folder / ".hubstack" / "tmp").iterdir()) == []
    assert published(registry, settled.prefix) == before
    results = {one["node"]: one["result"] for one in map(json.loads, out.splitlines()) if one["event"] == "finished"}
    assert set(results.values()) <= {"cancelled", "reused"}


def wait_for(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.05)
