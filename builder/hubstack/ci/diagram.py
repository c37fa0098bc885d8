"""A run's nodes as a Mermaid flowchart, coloured by what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hubstack.model import Node
from hubstack.plan import Plan
from hubstack.schedule import Outcome, Result

MOST_NODES = 120
"""GitHub's Mermaid draws at most 500 arrows and 50,000 characters; people read less."""

_CLASSES = {
    Result.BUILT: "fill:#d1f0da,stroke:#1a7f37,color:#0b3d1b",
    Result.TESTED: "fill:#d6ecff,stroke:#0969da,color:#0a3069",
    Result.REUSED: "fill:#eef2f7,stroke:#8c959f,color:#424a53",
    Result.FAILED: "fill:#ffd7d5,stroke:#cf222e,color:#82071e,stroke-width:3px",
    Result.SKIPPED: "fill:#fff1d6,stroke:#bf8700,color:#633c01",
    Result.CANCELLED: "fill:#fff1d6,stroke:#bf8700,color:#633c01,stroke-dasharray:4 3",
}
_FIRST = (Result.FAILED, Result.BUILT, Result.TESTED, Result.CANCELLED, Result.SKIPPED, Result.REUSED)


def diagram(plan: Plan, outcomes: Mapping[str, Outcome]) -> str:
    """Markdown: the flowchart, and which nodes are left out of it. Empty where there is nothing to draw."""
    shown = _shown(plan, outcomes)
    if not shown:
        return ""
    keys = {node.id: f"n{number}" for number, node in enumerate(shown)}
    lines = ["flowchart LR", *(f'  {keys[node.id]}["{_label(plan, node)}"]' for node in shown)]
    for node in shown:
        lines += [f"  {keys[one]} --> {keys[node.id]}" for one in node.parents if one in keys]
        lines += [f"  {keys[one]} -. copy .-> {keys[node.id]}" for one in node.copies.values() if one in keys]
    for result, style in _CLASSES.items():
        if ids := [keys[node.id] for node in shown if outcomes[node.id].result is result]:
            lines += [f"  classDef {result} {style}", f"  class {','.join(ids)} {result}"]
    body = "\n".join(lines)
    return f"```mermaid\n{body}\n```\n\n{_left_out(plan, outcomes, shown)}"


def _shown(plan: Plan, outcomes: Mapping[str, Outcome]) -> Sequence[Node]:
    """In build order: all nodes where they are few, else what something has happened to, failures first, and its parents."""
    nodes = [step.node for step in plan.steps]
    if len(nodes) <= MOST_NODES:
        return nodes
    wanted: dict[str, None] = {}
    for node in sorted(nodes, key=lambda node: _FIRST.index(outcomes[node.id].result)):
        if outcomes[node.id].result is not Result.REUSED:
            wanted |= dict.fromkeys((node.id, *node.inputs))
    kept = set(list(wanted)[:MOST_NODES])
    return [node for node in nodes if node.id in kept]


def _left_out(plan: Plan, outcomes: Mapping[str, Outcome], shown: Sequence[Node]) -> str:
    count = len(plan.steps) - len(shown)
    if not count:
        return ""
    drawn = {node.id for node in shown}
    rest = [one for one in outcomes.values() if one.node not in drawn]
    said = [f"{n} {result}" for result in _FIRST if (n := sum(one.result is result for one in rest))]
    return f"Not drawn: {', '.join(said)}.\n\n"


def _label(plan: Plan, node: Node) -> str:
    """The node, and what people choose that is this node."""
    images = [image.variant.id for image in plan.images if image.node == node.id]
    more = f" and {len(images) - 2} more" if len(images) > 2 else ""
    return "<br>".join(mermaid_text(one) for one in (node.id, *images[:2])) + mermaid_text(more)


def mermaid_text(words: str) -> str:
    """With Mermaid's entities for whatever could end the label or begin markup in it."""
    return "".join(one if one.isalnum() or one in " -_.,:/" else f"#{ord(one)};" for one in words)
