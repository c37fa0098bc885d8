"""Everything that can be wrong with a project and can be found without an engine, a registry or a clock."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hubstack.errors import Problem, ProjectError
from hubstack.graph import resolve
from hubstack.graph.select import Selection
from hubstack.hub.check import check_hubs
from hubstack.hub.configmap import Emitted, load_emitted
from hubstack.lock import LOCK_FILE, Lock, load_lock
from hubstack.model import Graph, Project
from hubstack.pipeline import prepare_nodes
from hubstack.project import load_project


def check(root: Path) -> list[Problem]:
    """Every fault and warning, by file and line. A stage that found faults is the last: the next stands on its records."""
    problems: list[Problem] = []
    try:
        project, warnings = load_project(root)
        problems += warnings
        graph = resolve(project)
    except ProjectError as error:
        problems += error.problems
    else:
        problems += _hub_problems(root, project, graph)
        problems += _node_problems(root, project, graph)
    return sorted(set(problems), key=lambda problem: (problem.position.sort_key, problem.what))


def _hub_problems(root: Path, project: Project, graph: Graph) -> list[Problem]:
    emitted: dict[str, Emitted] = {}
    try:
        for hub in project.hubs.values():
            if (last := load_emitted(root, hub)) is not None:
                emitted[hub.name] = last
    except ProjectError as error:
        return list(error.problems)
    return check_hubs(project, graph, emitted)


def _node_problems(root: Path, project: Project, graph: Graph) -> Iterable[Problem]:
    """What is wrong with the lock, or shows in the files that nodes are built from."""
    path = root / LOCK_FILE
    try:
        lock = load_lock(path.read_text(encoding="utf-8")) if path.exists() else Lock()
        everything = Selection(nodes=tuple(graph.nodes), images=graph.images)
        return prepare_nodes(project, lock, graph, everything).warnings
    except ProjectError as error:
        return error.problems
