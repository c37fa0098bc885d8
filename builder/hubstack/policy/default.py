"""What stands in the image that a profile begins with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hubstack.errors import Problem
from hubstack.model import Graph, Project
from hubstack.policy.violation import Violation
from hubstack.rulebook import Rule
from hubstack.source import Position
from hubstack.spelling import enumerate_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """The choice that a profile begins with; ``position`` is what brings it there, in the hub's file."""

    stack: str
    variant: str
    position: Position


def default_violations(project: Project, graph: Graph, defaults: Iterable[Default]) -> Iterator[Violation]:
    allowed = project.settings.policy.defaults
    if allowed is None:
        return
    nodes = {(image.variant.stack, image.variant.name): image.node for image in graph.images}
    for one in defaults:
        for name in (graph.nodes[node].layer for node in graph.lineage[nodes[one.stack, one.variant]]):
            if not any(fnmatchcase(name, glob) for glob in allowed):
                what = f"{one.stack}/{one.variant} is a default choice, and {name} may not be in one"
                remedy = f"Choose another default; allowed are {enumerate_words(allowed, 'and') or 'no layers'}."
                problem = Problem(position=one.position, what=what, remedy=remedy)
                yield Violation(layer=name, rule=Rule.DEFAULTS, problem=problem)
