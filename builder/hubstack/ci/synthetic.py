"""Made-up plans of any size, with durations that real builds have taken.

Of a recursive tree: each node stands on any earlier one, so that a hundred thousand of them are some thirty deep. A few
copy from one of the first as well, as layers do from a tool that is built once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import cache
from importlib import resources

from hubstack.fingerprint import Identity
from hubstack.model import Node
from hubstack.plan import Action, Plan, Step
from hubstack.reference import Fingerprint

PLATFORM = "linux/amd64"
_TRUNK = 4  # nodes on which everything stands: a base, Python, JupyterLab …
_COPIES = 0.02
_TOOLS = 0.01
_NOTHING = Identity(fingerprint=Fingerprint("0" * 64), facts=())


@cache
def records() -> tuple[tuple[str, float], ...]:
    """(layer, seconds) of real builds; the file says whose."""
    text = (resources.files("hubstack.ci") / "durations.json").read_text(encoding="utf-8")
    return tuple((layer, seconds) for layer, seconds in json.loads(text)["seconds"])


def make_up(nodes: int, seed: int) -> Plan:
    """A plan in which everything is to be built; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    steps: list[Step] = []
    for number in range(nodes):
        layer, seconds = chance.choice(records())
        parents, copies = _inputs(steps, chance)
        steps.append(make_step(f"{layer}-{number:08x}", layer, parents, copies=copies, seconds=seconds))
    return Plan(steps=tuple(steps), images=())


def _inputs(made: list[Step], chance: random.Random) -> tuple[tuple[str, ...], dict[str, str]]:
    """The parent, if any, and now and then a node to copy from."""
    number = len(made)
    if not number:
        return (), {}
    parent = made[-1 if number < _TRUNK else chance.randrange(_TRUNK - 1, number)].node
    if number > _TRUNK and chance.random() < _COPIES:
        tool = made[chance.randrange(1 + int(number * _TOOLS))].node
        return (parent.id,), {} if tool.id == parent.id else {tool.layer: tool.id}
    return (parent.id,), {}


def make_step(
    name: str,
    layer: str,
    parents: tuple[str, ...],
    *,
    copies: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> Step:
    node = Node(id=name, layer=layer, base="", values={}, platform=PLATFORM, parents=parents, copies=copies or {})
    return Step(node=node, identity=_NOTHING, tests="", action=Action.BUILD, reason="never built", seconds=seconds)


def actual_seconds(plan: Plan, error: float, seed: int) -> dict[str, float]:
    """What each node really takes, where records say it by ``error`` wrong (0.2: most by a fifth or less)."""
    chance = random.Random(f"{seed} actual")  # noqa: S311 - no secret
    return {step.node.id: (step.seconds or 0.0) * chance.lognormvariate(0.0, error) for step in plan.steps}
