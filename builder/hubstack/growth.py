"""Whether what a run has built keeps to the size budget: warnings, since it is built; `hubstack review` makes errors of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hubstack.errors import Problem, Severity
from hubstack.pipeline import Inputs
from hubstack.plan import Action, Known, Plan
from hubstack.policy.size import check_sizes, growths
from hubstack.policy.violation import Day
from hubstack.record import Record
from hubstack.rulebook import Budget
from hubstack.schedule import Outcome


def last_records(inputs: Inputs, plan: Plan, known: Known) -> Mapping[str, Record]:
    """Of what is to be built and what that stands on, as it was until now. Nothing is asked where there is no budget."""
    if inputs.project.settings.policy.size == Budget():
        return {}
    built = [step.node for step in plan.steps if step.action is Action.BUILD]
    return known.records(list(dict.fromkeys(one for node in built for one in (node.id, *node.parents))))


def budget_warnings(
    inputs: Inputs, plan: Plan, outcomes: Mapping[str, Outcome], before: Mapping[str, Record], today: Day
) -> list[Problem]:
    """``before`` are the records from before the run."""
    old = {node: record.size_bytes for node, record in before.items()}
    kept = {n: record.size_bytes for n, record in before.items() if record.fingerprint == inputs.fingerprint(n)}
    now = kept | {node: outcome.size_bytes for node, outcome in outcomes.items() if outcome.size_bytes}
    built = [step.node.id for step in plan.steps if step.action is Action.BUILD]
    found = check_sizes(inputs.project, growths(inputs.graph, built, now, inputs.graph, old), today)
    return [replace(one, severity=Severity.WARNING) for one in found]
