"""Which pairs the merges of a plan put together, and what a pair is checked with: its merge, and a chain in each order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from hubstack.certificate import Pair
from hubstack.graph.assembly import joined, stacked
from hubstack.graph.select import Selection
from hubstack.lock import Lock
from hubstack.model import Graph, Image, Node
from hubstack.names import node_tag
from hubstack.pipeline import Inputs, prepare_nodes
from hubstack.plan import Known
from hubstack.reference import Digest


@dataclass(frozen=True, kw_only=True)
class Stage:
    """``inputs`` select three nodes, none of which any stack need have."""

    inputs: Inputs
    merge: str
    chains: tuple[str, str]


def merges_below(graph: Graph, node: str) -> Iterator[Node]:
    """The merges in a node's image, itself among them; not those in what it copies from."""
    waiting, seen = [node], {node}
    while waiting:
        one = graph.nodes[waiting.pop()]
        if one.is_merge:
            yield one
        new = [parent for parent in one.parents if parent not in seen]
        seen.update(new)
        waiting += new


def pairs_of(inputs: Inputs, known: Known, nodes: Iterable[str]) -> Sequence[tuple[tuple[str, str], Pair | None]]:
    """All pairs that merges below ``nodes`` put together, each once; None for one of which a part isn't built."""
    merges = dict.fromkeys(one.id for node in nodes for one in merges_below(inputs.graph, node))
    parts = dict.fromkeys(parent for merge in merges for parent in inputs.graph.nodes[merge].parents)
    tags = {node: node_tag(inputs.fingerprint(node)) for node in parts}
    there = known.digests(list(dict.fromkeys(tags.values())))
    digests = {node: there[tag] for node, tag in tags.items() if tag in there}
    found = (
        (pair, _pair(inputs.graph, merge, pair, digests))
        for merge in (inputs.graph.nodes[one] for one in merges)
        for pair in combinations(merge.parents, 2)
    )
    return list(dict.fromkeys(found))


def images_with(graph: Graph, images: Iterable[Image], pair: Pair) -> tuple[str, ...]:
    """STACK/VARIANT of those that stand on a merge of both."""
    found = (
        image.variant.id
        for image in images
        if any(set(pair.nodes) <= set(merge.parents) for merge in merges_below(graph, image.node))
    )
    return tuple(dict.fromkeys(found))


def _pair(graph: Graph, merge: Node, nodes: tuple[str, str], digests: Mapping[str, Digest]) -> Pair | None:
    if not digests.keys() >= set(nodes):
        return None
    layers = {graph.nodes[below].layer for node in nodes for below in graph.lineage[node]}
    lower, upper = sorted(nodes, key=lambda node: (digests[node], node))
    return Pair(
        nodes=(lower, upper),
        digests=(digests[lower], digests[upper]),
        label=" + ".join(sorted(graph.nodes[node].layer for node in nodes)),
        resolve=tuple(one for one in merge.resolve if one.layer in layers),
    )


def stage(inputs: Inputs, lock: Lock, pair: Pair) -> Stage:
    """Raises ProjectError where a layer can't be rendered on the other."""
    graph, merge = joined(inputs.graph, inputs.project, pair.nodes, pair.resolve)
    lower, upper = pair.nodes
    graph, first = stacked(graph, inputs.project, lower, upper)
    graph, second = stacked(graph, inputs.project, upper, lower)
    staged = prepare_nodes(inputs.project, lock, graph, Selection(nodes=(merge, first, second), images=()))
    return Stage(
        inputs=replace(staged, offered=frozenset(), tried=frozenset({merge})), merge=merge, chains=(first, second)
    )
