"""What a layer does that the policy does not allow, and the exceptions from that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from hubstack.errors import Problem, Severity
from hubstack.rulebook import Exemption, Policy, Rule

Day = str
"""As 2027-03-01: such dates are in order as texts. Empty where nobody knows which day it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    layer: str
    rule: Rule
    problem: Problem


def settle(
    policy: Policy,
    found: Iterable[Violation],
    rules: Collection[Rule],
    today: Day,
    layers: Collection[str] | None = None,
) -> Iterator[Problem]:
    """What is left of ``found`` beside the exceptions, and what is wrong with those.

    ``rules`` and ``layers`` (None: all) are what was looked at: of other exceptions nobody can say whether they are needed.
    """
    violations = list(dict.fromkeys(found))
    exempt = {(one.layer, one.rule) for one in policy.exceptions if not _ended(one, today)}
    yield from (one.problem for one in violations if (one.layer, one.rule) not in exempt)
    broken = {(one.layer, one.rule) for one in violations}
    for one in policy.exceptions:
        if one.rule not in rules or (layers is not None and one.layer not in layers):
            continue
        if (one.layer, one.rule) not in broken:
            what = f"the layer {one.layer} needs no exception from {one.rule}"
            yield Problem(position=one.position, what=what, remedy="Remove this entry.", severity=Severity.WARNING)
        elif _ended(one, today):
            what = f"the exception of the layer {one.layer} from {one.rule} ended on {one.until} ({one.reason})"
            yield Problem(position=one.position, what=what, remedy="Mend the layer, or agree on another day.")


def _ended(one: Exemption, today: Day) -> bool:
    return bool(today) and today > one.until
