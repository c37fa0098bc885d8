"""The evaluator behind tests/engine/test_runners.py says what GitHub says, and refuses what it doesn't know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.expression import Anything, Unknown, evaluate, holds, interpolate

pytestmark = pytest.mark.long

CONTEXTS: dict[str, Any] = {
    "needs": {"plan": {"result": "failure", "outputs": {"wave1": '{"include": []}', "wave2": ""}}},
    "vars": Anything({"X": "x"}),
    "github": {"ref": "refs/heads/main"},
    "functions": {"success": lambda: False, "cancelled": lambda: False},
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("needs.plan.outputs.wave1", '{"include": []}'),
        ("vars.ABSENT || 'other'", "other"),
        ("vars.X && 'both'", "both"),
        ("github.ref == 'refs/heads/main'", True),
        ("!(vars.X != 'X')", True),  # texts are compared without regard to case
        ("fromJSON(needs.plan.outputs.wave1)", {"include": []}),
        ("'it''s'", "it's"),
    ],
)
def test_an_expression_has_its_value(expression: str, value: object) -> None:
    assert evaluate(expression, CONTEXTS) == value


@pytest.mark.parametrize(
    "expression",
    [
        "needs.paln.result",
        "github.event.pull_request.title",
        "hashFiles('x')",
        "vars.X ==",
        "1 + 1",
        "vars.X vars.X",
        "format('x'",
    ],
)
def test_what_is_not_known_is_an_error(expression: str) -> None:
    with pytest.raises(Unknown):
        evaluate(expression, CONTEXTS)


def test_a_text_with_several_expressions() -> None:
    assert interpolate("${{ vars.X }}/${{ github.ref }}", CONTEXTS) == "x/refs/heads/main"


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (None, False),
        ("${{ needs.plan.outputs.wave1 }}", False),  # success() is part of it
        ("${{ !cancelled() && needs.plan.outputs.wave1 }}", True),
        ("${{ !cancelled() && needs.plan.outputs.wave2 }}", False),
    ],
)
def test_a_condition_means_success_too_unless_it_says_otherwise(condition: str | None, met: object) -> None:
    assert holds(condition, CONTEXTS) is met
