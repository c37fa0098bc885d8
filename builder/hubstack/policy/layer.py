"""What a layer.yaml says that the policy does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from hubstack.errors import Problem
from hubstack.model import Kind, Layer, Project
from hubstack.policy.violation import Violation
from hubstack.rulebook import Policy, Rule
from hubstack.spelling import quote


def layer_violations(project: Project) -> Iterator[Violation]:
    policy = project.settings.policy
    for layer in project.layers.values():
        if layer.kind is Kind.REPOSITORY:
            continue  # the stack's file is what people write, and has neither owners nor tests
        if policy.require_owners and not owners_of(layer, policy):
            what = f"nobody owns the layer {layer.name}"
            remedy = 'Write `owners: ["@organisation/team"]`: who is asked when it breaks.'
            yield _violation(layer, Rule.OWNERS, Problem(position=layer.source.at(), what=what, remedy=remedy))
        for index, test in enumerate(layer.tests):
            if test.network and not policy.test_network:
                what = f"the test {quote(test.run)} asks for a network, which tests don't have here"
                position = layer.source.at("tests", index, "network")
                problem = Problem(position=position, what=what, remedy="Test what is in the image.")
                yield _violation(layer, Rule.TEST_NETWORK, problem)


def owners_of(layer: Layer, policy: Policy) -> tuple[str, ...]:
    """Whom the policy names first, then whom the layer does; each once."""
    given = [one for glob, owners in policy.owners.items() if fnmatchcase(layer.name, glob) for one in owners]
    return tuple(dict.fromkeys((*given, *layer.owners)))


def _violation(layer: Layer, rule: Rule, problem: Problem) -> Violation:
    return Violation(layer=layer.name, rule=rule, problem=problem)
