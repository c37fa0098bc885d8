"""What maintainers allow layers to do: (project, graph, rendered) → violations, beside the exceptions of hubstack.yaml.

Pure: which day it is comes as an argument. What hubstack itself never allows, :mod:`hubstack.render.rule` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hubstack.errors import Problem, Severity
from hubstack.model import Graph, Project, Rendered
from hubstack.policy.default import Default, default_violations
from hubstack.policy.dockerfile import dockerfile_violations
from hubstack.policy.layer import layer_violations
from hubstack.policy.violation import Day, settle
from hubstack.rulebook import Rule
from hubstack.spelling import did_you_mean, quote

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
    settled = settle(project.settings.policy, found, CHECKED, today, project.layers.keys())
    return list(dict.fromkeys((*settled, *_unknown(project))))


def _unknown(project: Project) -> Iterator[Problem]:
    """Exceptions of layers that are not there."""
    for one in project.settings.policy.exceptions:
        if one.layer not in project.layers:
            what = f"there is no layer {quote(one.layer)}{did_you_mean(one.layer, project.layers)}"
            remedy = "Correct the name, or remove this entry."
            yield Problem(position=one.position, what=what, remedy=remedy, severity=Severity.WARNING)
