"""A hub as `hubstack preview` starts it, with what `make demo` builds, and the machine's Chromium to drive it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hubstack.reference import ImageRef
from playwright.sync_api import Browser, BrowserContext, Page

from tests.engine.workbench import Work, docker

ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "dist" / "screens"
BUILD = ("build", "--push", "--json", "minimal", "scipy", "datascience", "--hub", "demo", "--profiles")  # make demo
ADDRESS = re.compile(r"(http://127\.0\.0\.1:[0-9]+)/ .* password (\S+)\n")
END_S = 60


@dataclass(frozen=True)
class Preview:
    """A running one. ``shown`` is what it printed before its address."""

    process: subprocess.Popen[str]
    project: Path
    stderr: Path
    url: str
    password: str
    shown: str

    def reports(self) -> list[str]:
        return self.stderr.read_text(encoding="utf-8").splitlines()

    def containers(self) -> list[str]:
        label = f"--filter=label=io.github.hubstack.preview={self.project}"
        return docker("ps", "--all", "--quiet", label).split()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(END_S)

    def log_in(self, page: Page, name: str) -> None:
        """To the launcher, where this user has no server."""
        page.goto(f"{self.url}/hub/spawn")
        page.fill("#username_input", name)
        page.fill("#password_input", self.password)
        page.click("#login_submit")
        page.wait_for_selector("#form button[type=submit]")


@contextmanager
def preview(work: Work, *words: str, env: dict[str, str] | None = None) -> Iterator[Preview]:
    """``hubstack preview demo`` until the block ends, and whatever happens no longer."""
    with tempfile.TemporaryDirectory() as folder:
        stderr = Path(folder) / "stderr"
        with stderr.open("w") as file:
            process = subprocess.Popen(
                work.argv("preview", "demo", "--port", "0", *words),
                env={**os.environ, "NO_COLOR": "1", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        with process:
            try:
                yield _wait(process, work, stderr)
            finally:
                if process.poll() is None:
                    process.terminate()


def _wait(process: subprocess.Popen[str], work: Work, stderr: Path) -> Preview:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if match := ADDRESS.fullmatch(line):
            return Preview(process, work.folder.resolve(), stderr, match[1], match[2], "".join(lines[:-1]))
    pytest.fail(f"the preview has ended with {process.wait()}: {stderr.read_text(encoding='utf-8')}")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="session")
def tree(real_registry: ImageRef, ca_bundle: Path | None) -> Work:
    return Work(ROOT, real_registry, ca_bundle)


@pytest.fixture(scope="session")
def demo(tree: Work, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ConfigMap that `make demo` leaves in dist/demo; what is built already is taken as it is."""
    folder = tmp_path_factory.mktemp("demo")
    with tree.start(*BUILD, str(folder)) as run:
        out, err = run.communicate()
    assert run.returncode == 0, out[-3000:] + err[-3000:]
    return folder / "demo.yaml"


@pytest.fixture(scope="session")
def screens() -> Path:
    SCREENS.mkdir(parents=True, exist_ok=True)
    return SCREENS
