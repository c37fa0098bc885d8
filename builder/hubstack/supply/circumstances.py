"""What a provenance says beside the project's files: asked once a run, of git, the engine and CI's own variables."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from hubstack import command
from hubstack.buildx import find_plugin
from hubstack.errors import HubstackError
from hubstack.supply.provenance import LOCAL, Circumstances

_VERSION = re.compile(r"v?(\d+(?:\.\d+)+\S*)")


def find_circumstances(
    root: Path, lock: Path, environ: Mapping[str, str], *, builders: Sequence[str] = ()
) -> Circumstances:
    """``builders`` are the buildx builders in use; none: the engine's own. What can't be found out is left out."""
    git = ["git", "-C", str(root)]
    commit = _ask([*git, "rev-parse", "HEAD"])
    return Circumstances(
        builder=_workflow(environ),
        run=_run(environ),
        repository=_without_credentials(_ask([*git, "remote", "get-url", "origin"])) if commit else "",
        commit=commit,
        dirty=bool(commit and _ask([*git, "status", "--porcelain", "--untracked-files=normal", "--", "."])),
        lock=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else "",
        tools={"hubstack": version("hubstack"), **_engine(builders)},
    )


def _workflow(environ: Mapping[str, str]) -> str:
    """GITHUB_WORKFLOW_REF is OWNER/REPO/.github/workflows/FILE@REF, where the reusable workflow was called from."""
    ref = environ.get("GITHUB_WORKFLOW_REF", "")
    return f"{environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{ref}" if ref else LOCAL


def _run(environ: Mapping[str, str]) -> str:
    run, repository = environ.get("GITHUB_RUN_ID", ""), environ.get("GITHUB_REPOSITORY", "")
    server, attempt = environ.get("GITHUB_SERVER_URL", "https://github.com"), environ.get("GITHUB_RUN_ATTEMPT", "1")
    return f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}" if run and repository else ""


def _engine(builders: Sequence[str]) -> dict[str, str]:
    """Of several builders the first speaks for all. Debian's dockerd doesn't know its BuildKit's version: its own says it."""
    try:
        plugin = find_plugin()
    except HubstackError:
        return {}
    inspected = _ask([plugin, "inspect", *builders[:1]])
    buildkit = next((line for line in inspected.splitlines() if line.lower().startswith("buildkit")), "")
    said = {
        "buildx": _ask([plugin, "version"]),
        "buildkit": buildkit,
        "docker": "" if builders else _ask(["docker", "version", "--format={{.Server.Version}}"]),
    }
    return {name: match[1] for name, text in said.items() if (match := _VERSION.search(text))}


def _without_credentials(url: str) -> str:
    return re.sub(r"(?<=://)[^/\s@]+@", "", url)


def _ask(argv: list[str]) -> str:
    try:
        return command.output(argv).strip()
    except HubstackError:
        return ""
