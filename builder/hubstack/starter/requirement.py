"""What a project's workflows install: this hubstack, as a line of a pip requirements file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import Distribution
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    line: str
    doubt: str = ""  # why a machine elsewhere may not be able to install it

    @property
    def text(self) -> str:
        comment = f"# {self.doubt}\n" if self.doubt else ""
        return f"# What the workflows install: one line, as pip reads it.\n{comment}{self.line}\n"


def find_requirement() -> Requirement:
    distribution = Distribution.from_name("hubstack")
    return requirement(distribution.version, distribution.read_text("direct_url.json"))


def requirement(version: str, direct_url: str | None) -> Requirement:
    """``direct_url`` is the text of PEP 610's file; None where hubstack came from a package index."""
    said: dict[str, Any] = json.loads(direct_url) if direct_url else {}
    url = said.get("url", "")
    if (vcs := said.get("vcs_info")) is not None:
        line = f"hubstack @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
        folder = f"#subdirectory={said['subdirectory']}" if said.get("subdirectory") else ""
        return Requirement(line=line + folder, doubt=_local(url))
    if "archive_info" in said and not url.startswith("file:"):
        return Requirement(line=f"hubstack @ {url}")
    released = f"hubstack=={version}"
    if not said:
        return Requirement(line=released)
    doubt = f"This hubstack was installed from a folder: {version} is no released version that is known."
    return Requirement(
        line=released, doubt=f"{doubt} Name what can be installed elsewhere, as hubstack @ git+https://…"
    )


def _local(url: str) -> str:
    where = "This hubstack came from a repository on one machine. Name one that others can read."
    return where if url.startswith(("file:", "/")) else ""
