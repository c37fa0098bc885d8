"""hadolint and ShellCheck over what layers' authors have written, with findings at the lines of their templates.

Rendered Dockerfiles are linted, for a template is none. Layers without a Dockerfile.j2 have nothing of their author's in
theirs. All files go to one process, since most of its time is spent on starting and on what is in them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hubstack import command
from hubstack.errors import Problem, Severity
from hubstack.model import Graph, Project, Rendered
from hubstack.render.compose import DOCKERFILE
from hubstack.render.dockerfile import parse_dockerfile
from hubstack.render.packages import RUN_SCRIPT
from hubstack.source import Position

_IGNORED = (
    "DL3002",
    "DL3003",
    "DL3008",
    "DL3009",
    "DL3013",
    "DL3015",
    "DL3016",
    "DL3028",
    "DL3042",
    "DL4006",
    "SC2164",
)
"""The last USER is a rule of ours; a script may change its folder; what is installed is locked, or stamped by an epoch,
and its caches are mounts; run.sh is no pipe."""


def lint(project: Project, graph: Graph, rendered: Mapping[str, Rendered], ignore: Sequence[str] = ()) -> list[Problem]:
    """Findings of ``rendered``'s Dockerfiles as warnings, by file and line; none where there is no hadolint."""
    texts: dict[str, Rendered] = {}
    for node, one in rendered.items():
        if DOCKERFILE in project.layers[graph.nodes[node].layer].files:
            texts.setdefault(plainly(one), one)
    program = find_hadolint()
    if not texts or program is None:
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files: dict[str, Rendered] = {}
        for number, (text, one) in enumerate(texts.items()):
            path = folder / f"{number}.Dockerfile"
            path.write_text(text, encoding="utf-8")
            files[str(path)] = one
        config = folder / "hadolint.yaml"
        config.write_text(_configuration(ignore), encoding="utf-8")
        argv = [program, "--no-fail", "--format", "json", "--config", str(config), *files]
        found = json.loads(command.output(argv, deadline_s=120))
    problems = (problem for row in found for problem in _problems(row, files[row["file"]]))
    return sorted(set(problems), key=lambda one: (one.position.sort_key, one.what))


def find_hadolint() -> str | None:
    """The one that was installed beside this Python, else any."""
    return shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def plainly(rendered: Rendered) -> str:
    """The Dockerfile with the same lines, for hadolint.

    Scripts that hubstack's run.sh runs become plain here-documents of RUN, so that ShellCheck looks into them; RUNs that
    hubstack writes itself become comments, for ShellCheck is slow. These are known by their whole text: a template can
    make its lines look as if they came from elsewhere.
    """
    lines = rendered.dockerfile.split("\n")
    for one in parse_dockerfile(rendered.dockerfile).instructions:
        if "\n".join(lines[one.line - 1 : one.end]) in rendered.written:
            lines[one.line - 1 : one.end] = ["#"] * (one.end - one.line + 1)
            continue
        at = one.end - one.heredoc_lines - 1
        before, called, after = lines[at].partition(f"sh /tmp/{RUN_SCRIPT}")
        if one.heredocs and called:
            lines[at] = f"{before}{after[after.index('<<') :]}"
            if one.heredocs[0].content and not lines[at + 1].startswith("#!"):
                lines[at + 1] = f"set -e; {lines[at + 1]}"  # as run.sh does
    return "\n".join(lines)


def _configuration(ignore: Sequence[str]) -> str:
    """A file of ours: without one hadolint reads that of whoever calls it."""
    ours = resources.files("hubstack.render").joinpath("templates", "hadolint.yaml").read_text(encoding="utf-8")
    return ours + "".join(f"  - {rule}\n" for rule in (*_IGNORED, *ignore))


def _problems(row: Mapping[str, Any], rendered: Rendered) -> Iterator[Problem]:
    place = rendered.origins[min(int(row["line"]), len(rendered.origins)) - 1]
    if row["code"] != "DL1000":  # what hadolint's parser doesn't know yet; ours has passed it
        what = f"{row['code']}: {str(row['message']).strip().rstrip('.')}"
        yield Problem(
            position=Position(path=place.path, line=place.line),
            what=what,
            remedy=f"Mend it, or put `# hadolint ignore={row['code']}` above it.",
            severity=Severity.WARNING,
        )
