"""What maintainers allow layers to do: (project, graph, rendered) → violations, beside the exceptions of hubstack.yaml.

Pure: which day it is comes as an argument. What hubstack itself never allows, :mod:`hubstack.render.rule` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hubstack.errors import Problem
from hubstack.model import Graph, Project, Rendered
from hubstack.policy.default import Default, default_violations
from hubstack.policy.dockerfile import dockerfile_violations
from hubstack.policy.layer import layer_violations
from hubstack.policy.violation import Day, settle
from hubstack.rulebook import Rule

CHECKED = frozenset(Rule) - {Rule.SIZE}
"""What shows in files alone. Sizes show once something is built: :mod:`hubstack.policy.size`."""


def check_policy(
    project: Project, graph: Graph, rendered: Mapping[str, Rendered], defaults: Iterable[Default], today: Day
) -> list[Problem]:
    """Every violation, and exceptions that have ended or that nobody needs. ``rendered`` holds all nodes."""
    found = [
        *layer_violations(project),
        *dockerfile_violations(project, graph, rendered),
        *default_violations(project, graph, defaults),
    ]
    return list(dict.fromkeys(settle(project.settings.policy, found, CHECKED, today)))
