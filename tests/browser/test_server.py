"""A click to JupyterLab, and from a repository to JupyterLab, as `make preview` offers them."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Preview, preview
from tests.browser.launcher import START_MS, Launcher, stop_server
from tests.engine.workbench import Work, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PACKAGE = "humanize==4.9.0"
BUILD_MS = 90_000


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of GitHub: ``ada/notes``, which asks for a package, and whose branch ``broken`` fails as it is built."""
    root = tmp_path_factory.mktemp("repositories")
    folder = root / "ada" / "notes"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "requirements.txt").write_text(f"{PACKAGE}\n", encoding="utf-8")
    (folder / "README.md").write_text(uuid.uuid4().hex, encoding="utf-8")  # no other run has built this commit
    commit(folder, "echo the kettle boils; sleep 3")  # as long as the log can be read
    git(folder, "switch", "--quiet", "--create", "broken")
    commit(folder, "echo the spoon is bent; exit 3")
    git(folder, "switch", "--quiet", "main")
    return root


def commit(folder: Path, post_build: str) -> None:
    script = folder / "postBuild"
    script.write_text(f"#!/bin/sh\n{post_build}\n", encoding="utf-8")
    script.chmod(0o755)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=notes")


def git(folder: Path, *words: str) -> str:
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    done = subprocess.run(["git", "-C", str(folder), *author, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def hub(tree: Work, demo: Path, repositories: Path) -> Iterator[Preview]:
    """With what the registry has now: no file is given."""
    with preview(tree, "--repositories", str(repositories)) as running:
        yield running
        built = [line.removeprefix("built ") for line in running.reports() if line.startswith("built ")]
        assert running.end(signal.SIGINT) == 130
        if built:
            docker("image", "rm", "--force", *built)


def test_a_choice_is_started_runs_a_cell_and_is_stopped(page: Page, hub: Preview, screens: Path) -> None:
    launcher = Launcher(page)
    hub.log_in(page, "ada")
    page.screenshot(path=screens / "launcher.png")
    launcher.open()
    page.screenshot(path=screens / "launcher-choices.png")
    launcher.open()
    launcher.choose("Minimal")
    launcher.submit.click()
    launcher.wait_for_lab()
    (container,) = hub.containers()
    assert (
        launcher.run_cell("import os; print('six times seven is', 6 * 7, os.getuid())") == "six times seven is 42 1000"
    )
    page.screenshot(path=screens / "jupyterlab.png")
    limits = docker("inspect", "--format={{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", container).split()
    assert limits == [str(2 << 30), "2000000000"]  # the choice "2 GB" of the demo
    stop_server(page, hub.url)
    assert hub.containers() == []
    said = [line for line in hub.reports() if line.startswith("ada: ")]
    assert [line for line in said if "/minimal:" in line]
    assert said[-1] == "ada: stopped"


def test_a_repository_is_built_started_and_used_again(page: Page, hub: Preview, screens: Path) -> None:
    launcher = Launcher(page)
    for number in range(2):
        hub.log_in(page, "bob") if number == 0 else page.goto(f"{hub.url}/hub/spawn")
        launcher.choose("Build your own image")
        launcher.field("--repo").fill("ada/notes")
        launcher.field("--ref").fill("main")
        launcher.submit.click()
        if number == 0:
            log = launcher.box.locator(".xterm-rows")
            expect(log).to_contain_text("Looking for ada/notes at main", timeout=START_MS)
            expect(log).to_contain_text("the kettle boils", timeout=BUILD_MS)
            page.screenshot(path=screens / "build-log.png", full_page=True)
        page.wait_for_url("**/user/*/lab**", timeout=BUILD_MS)
        launcher.wait_for_lab()
        assert launcher.run_cell("import humanize; print(humanize.intcomma(12345))") == "12,345"
        stop_server(page, hub.url)
    assert len([line for line in hub.reports() if line.startswith("built ")]) == 1
    assert len([line for line in hub.reports() if line.startswith("ada/notes at main: built before")]) == 1
    assert hub.containers() == []


@pytest.mark.parametrize(
    ("repo", "ref", "message"),
    [("ada/nothing", "HEAD", "there is no repository at"), ("ada/notes", "broken", "the spoon is bent")],
)
def test_a_build_that_fails_says_why_on_the_page(
    page: Page, hub: Preview, screens: Path, repo: str, ref: str, message: str
) -> None:
    launcher = Launcher(page)
    hub.log_in(page, "eve")
    launcher.choose("Build your own image")
    launcher.field("--repo").fill(repo)
    launcher.field("--ref").fill(ref)
    launcher.submit.click()
    log = launcher.box.locator(".xterm-rows")
    expect(log).to_contain_text(message, timeout=BUILD_MS)
    expect(page.get_by_text("image build failed").first).to_be_visible(timeout=BUILD_MS)
    page.screenshot(path=screens / f"build-failed-{repo.rpartition('/')[2]}.png", full_page=True)
    assert [line for line in hub.reports() if line.startswith(f"build of {repo} at {ref} failed")]


def start_minimal(page: Page, running: Preview) -> None:
    running.log_in(page, "ada")
    launcher = Launcher(page)
    launcher.choose("Minimal")
    launcher.submit.click()
    page.wait_for_url("**/user/*/lab**", timeout=START_MS)


@contextmanager
def frozen(running: Preview) -> Iterator[None]:
    """Its hub does nothing: else it would still remove its containers when hubstack has gone."""
    pid = running.process.pid
    (hub,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(hub), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(int(hub), signal.SIGCONT)


def test_servers_end_with_the_preview_and_those_of_a_killed_one_with_the_next(
    page: Page, tree: Work, demo: Path
) -> None:
    with preview(tree, "--profiles", str(demo)) as killed:
        others = set(killed.containers())
        start_minimal(page, killed)
        left = set(killed.containers()) - others
        with frozen(killed):
            killed.process.kill()
            killed.process.wait()
            assert left
            assert left <= set(killed.containers())
            with preview(tree, "--profiles", str(demo)) as running:
                assert not left & set(running.containers())
                assert "a preview that was killed" in running.reports()[0]
                start_minimal(page, running)
                mine = set(running.containers()) - others
                assert mine
                assert running.end(signal.SIGTERM) == 143
            assert not mine & set(running.containers())
