"""How much work the layers of an image are to put together, and why: merged, merged and settled, or built on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from hubstack.certificate.pair import merges_below
from hubstack.model import Image, Method, Node
from hubstack.pipeline import Inputs
from hubstack.plan import Plan
from hubstack.record import Record
from hubstack.reference import Fingerprint


class Tier(StrEnum):
    MERGE = "merge"  # in the registry alone
    SETTLE = "settle"  # and one RUN on what came out, without network
    BUILD = "build"  # a layer is built on another one that it doesn't require


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    tier: Tier
    why: str


def judge(
    inputs: Inputs, plan: Plan, recorded: Callable[[Iterable[Fingerprint]], Mapping[Fingerprint, Record]]
) -> dict[str, Judgement]:
    """By STACK/VARIANT. What is merged already is remembered; what isn't is a merge as far as anybody knows."""
    nodes = {image.variant.id: inputs.graph.nodes[image.node] for image in plan.images}
    merges = [inputs.fingerprint(one.id) for node in nodes.values() for one in merges_below(inputs.graph, node.id)]
    records = recorded(dict.fromkeys(merges)) if merges else {}
    return {image.variant.id: _judgement(inputs, image, records) for image in plan.images}


def _judgement(inputs: Inputs, image: Image, records: Mapping[Fingerprint, Record]) -> Judgement:
    node = inputs.graph.nodes[image.node]
    stack = inputs.project.stacks[image.variant.stack]
    if (stack.assembly or inputs.project.settings.assembly) is Method.CHAIN:
        return Judgement(tier=Tier.BUILD, why="its layers are a chain")
    if after := next(_stacked(inputs, node), ""):
        return Judgement(tier=Tier.BUILD, why=after)
    merges = [one.id for one in merges_below(inputs.graph, node.id)]
    known = [records.get(inputs.fingerprint(one)) for one in merges]
    if settled := [line for record in known if record is not None for line in record.settled]:
        return Judgement(tier=Tier.SETTLE, why="; ".join(dict.fromkeys(settled)))
    if None in known:
        return Judgement(tier=Tier.MERGE, why="not merged yet: whether anything is to be settled shows then")
    what = "nothing in one layer is about another" if merges else "each layer stands on the one below"
    return Judgement(tier=Tier.MERGE, why=what)


def _stacked(inputs: Inputs, node: Node) -> Iterator[str]:
    """Layers that stand on others only for the sake of the order."""
    layers = inputs.layers(node.id)
    names = {name: layer.name for layer in layers for name in (layer.name, *layer.provides)}
    for layer in layers:
        for name in layer.after:
            if name in names and names[name] != layer.name:
                yield f"{layer.name} is built after {names[name]}"
