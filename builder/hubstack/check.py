"""Everything that can be wrong with a project and can be found without an engine, a registry or a clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hubstack.errors import Problem, ProjectError, Severity
from hubstack.graph import resolve
from hubstack.graph.select import Selection
from hubstack.hub.check import check_hubs
from hubstack.hub.choice import resolve_offers
from hubstack.hub.configmap import Emitted, load_emitted
from hubstack.lock import LOCK_FILE, UPDATE, Lock, read_lock
from hubstack.model import Graph, Project
from hubstack.pipeline import Inputs, prepare_nodes
from hubstack.policy import check_policy
from hubstack.policy.default import Default
from hubstack.policy.violation import Day
from hubstack.project import load_project


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Every fault and warning, by file and line; ``inputs`` is None where something could not be rendered."""

    problems: list[Problem]
    inputs: Inputs | None


def check(root: Path, today: Day = "") -> list[Problem]:
    """Every fault and warning, by file and line; ``today`` is for the ends of the policy's exceptions."""
    return inspect(root, today).problems


def inspect(root: Path, today: Day = "") -> Inspection:
    """A stage that found faults is the last: the next stands on its records."""
    problems: list[Problem] = []
    inputs: Inputs | None = None
    try:
        project, warnings = load_project(root)
        problems += warnings
        graph = resolve(project)
    except ProjectError as error:
        problems += error.problems
    else:
        problems += _hub_problems(root, project, graph)
        inputs, found = _prepared(root, project, graph)
        problems += found
    if inputs is not None:
        problems += check_policy(project, graph, inputs.rendered, _defaults(project, graph), today)
    return Inspection(problems=sorted(set(problems), key=lambda one: (one.position.sort_key, one.what)), inputs=inputs)


def _defaults(project: Project, graph: Graph) -> Iterator[Default]:
    for hub in project.hubs.values():
        for one in resolve_offers(project, graph, hub)[0]:
            if one.default and one.stack and not one.retired:
                yield Default(stack=one.stack, variant=one.variant, position=one.position)


def _hub_problems(root: Path, project: Project, graph: Graph) -> list[Problem]:
    emitted: dict[str, Emitted] = {}
    try:
        for hub in project.hubs.values():
            if (last := load_emitted(root, hub)) is not None:
                emitted[hub.name] = last
    except ProjectError as error:
        return list(error.problems)
    return check_hubs(project, graph, emitted)


def _prepared(root: Path, project: Project, graph: Graph) -> tuple[Inputs | None, Iterable[Problem]]:
    """All nodes, and what is wrong with the lock, or shows in the files that nodes are built from."""
    path = root / LOCK_FILE
    begun = False
    try:
        lock = read_lock(path)
        begun = path.exists() and lock == Lock()
        everything = Selection(nodes=tuple(graph.nodes), images=graph.images)
        inputs = prepare_nodes(project, lock, graph, everything)
    except ProjectError as error:
        return None, [_awaited(one) for one in error.problems] if begun else error.problems
    return inputs, inputs.warnings


def _awaited(problem: Problem) -> Problem:
    """A lock that holds nothing is `hubstack init`'s, of a tree that waits for its first update: no fault of its files."""
    return replace(problem, severity=Severity.WARNING) if problem.remedy == UPDATE else problem
