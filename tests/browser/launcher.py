"""The launcher's page, as people use it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

START_MS = 60_000


@dataclass
class Launcher:
    """One profile on the page. ``faults`` keeps what the browser complains of."""

    page: Page
    profile: str = "python"
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    @property
    def box(self) -> Locator:
        return self.page.locator(f"#profile-{self.profile}")

    def open(self, option: int = 0) -> Locator:
        """The entries of a drop-down."""
        self.box.locator(".select__control").nth(option).click()
        return self.page.locator(".select__option")

    def choose(self, title: str, option: int = 0) -> None:
        self.open(option).filter(has=self.page.get_by_text(title, exact=True)).click()

    def field(self, name: str) -> Locator:
        return self.page.locator(f"[id='profile-option-{self.profile}--image--unlisted-choice{name}']")

    @property
    def submit(self) -> Locator:
        return self.page.locator("#form button[type=submit]")

    def wait_for_lab(self) -> None:
        self.page.wait_for_url("**/user/*/lab**", timeout=START_MS)
        expect(self.page.locator(".jp-LauncherCard").first).to_be_visible(timeout=START_MS)

    def run_cell(self, text: str) -> str:
        """In a new notebook; what stands below the cell when it has ended."""
        self.page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
        notebook = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        idle = self.page.get_by_role("button", name=re.compile(r"^Python 3 .*\| Idle$"))
        expect(idle).to_be_visible(timeout=START_MS)  # until then JupyterLab may still load the cell anew
        cell = notebook.locator(".cm-content").first
        cell.fill(text)
        expect(cell).to_have_text(text)
        cell.press("Shift+Enter")
        output = notebook.locator(".jp-OutputArea-output").first
        expect(output).to_be_visible(timeout=START_MS)
        return output.inner_text().strip()


def stop_server(page: Page, hub: str) -> None:
    """Stop this user's server and wait for the launcher, which is there again when it has ended."""
    page.goto(f"{hub}/hub/home")
    page.locator("#stop").click()
    expect(page.locator("#stop")).to_be_hidden(timeout=START_MS)
    deadline = time.monotonic() + START_MS / 1000
    while page.goto(f"{hub}/hub/spawn") and "spawn-pending" in page.url:
        assert time.monotonic() < deadline
        time.sleep(0.5)
