"""From chains to nodes: what a variant's image, or a layer by itself, is built of.

As a chain each layer is built on the one below it. To be merged, each is built on what it requires and nothing else, so
that it is one node in whatever stacks it is; where that is several, and at the top, a node merges them (design.md, "Two
ways to put layers together").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from hubstack.graph.chain import Chain, Chains
from hubstack.graph.requirement import Shelf
from hubstack.model import Graph, Kind, Method, Node, Preference, Project, Stack, Value, Variable

_MOST_NAMED = 3  # of the layers in a merge's id


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a stack's layers are put together. Of ``resolve`` a merge has what is about its own layers."""

    method: Method
    resolve: tuple[Preference, ...] = ()

    @classmethod
    def of(cls, project: Project, stack: Stack | None = None) -> Manner:
        """``stack`` is None for a layer by itself."""
        if stack is None:
            return cls(method=project.settings.assembly)
        return cls(method=project.method(stack), resolve=stack.resolve)


class Assembly:
    """Nodes in build order, each once however many images stand on it."""

    def __init__(self, project: Project, chains: Chains) -> None:
        self.found: dict[str, Node] = {}
        self._project = project
        self._chains = chains
        self._made: dict[tuple[object, ...], Node] = {}
        self._images: dict[
            str, int
        ] = {}  # of merged projects: node → those in its image, a bit each, itself among them

    def stand(
        self, chain: Chain, values: Mapping[str, Value], platform: str, manner: Manner, repository: str = ""
    ) -> Node:
        """The topmost node of the chain, or of a repository on it.

        What its layers copy from is built by itself, with the same base and values.
        """
        copied: dict[str, Node] = {}
        for name in self._chains.copied(chain):
            copied[name] = self._put(self._chains.alone(chain.base, name), values, platform, manner, copied)
        top = self._put(chain, values, platform, manner, copied)
        return self._node(repository, top, values, platform, {}) if repository else top

    def alone(self, platform: str) -> dict[str, Node]:
        """The topmost node of each layer that can be built by itself."""
        tops: dict[str, Node] = {}
        bases, manner = bases_alone(self._project), Manner.of(self._project)
        for name in self._chains.shelf.order:
            if (below := self._lower(name, tops)) is not None:
                defaults = _defaults(self._project.layers[name].variables)
                if not isinstance(defaults, Variable):
                    tops[name] = self._node(name, below, defaults, platform, {})
            elif not isinstance(found := _alone(self._chains, name, bases), str):
                tops[name] = self.stand(*found, platform, manner)
        return tops

    def join(self, nodes: Iterable[Node], manner: Manner) -> Node:
        """What has all of ``nodes`` in it: one of them that stands on the others, else their merge."""
        images = {node.id: self._image(node) for node in nodes}
        tops = sorted(
            one
            for one, image in images.items()
            if not any(image & other == image for name, other in images.items() if name != one)
        )
        return self.found[tops[0]] if len(tops) == 1 else self._merge([self.found[top] for top in tops], manner)

    def stack(self, below: Node, nodes: Iterable[Node]) -> Node:
        """The layers of ``nodes``, each built on the one before, the first on ``below``."""
        for node in nodes:
            copied = {layer: self.found[source] for layer, source in node.copies.items()}
            below = self._node(node.layer, below, node.values, node.platform, copied)
        return below

    def _lower(self, name: str, tops: Mapping[str, Node]) -> Node | None:
        """What a layer with one requirement stands on by itself, known already: so a long line of layers stays linear."""
        layer, shelf = self._project.layers[name], self._chains.shelf
        if len(layer.requires) != 1 or layer.copy_from:
            return None
        found = shelf.pick(layer.requires[0], {})
        below = tops.get(found) if isinstance(found, str) else None
        return None if below is None or layer.requires[0] in shelf.names(below.base) else below

    def _put(
        self, chain: Chain, values: Mapping[str, Value], platform: str, manner: Manner, copied: Mapping[str, Node]
    ) -> Node:
        put = self._line if manner.method is Method.CHAIN else self._layers
        return put(chain, values, platform, manner, copied)

    def _line(
        self, chain: Chain, values: Mapping[str, Value], platform: str, _: Manner, copied: Mapping[str, Node]
    ) -> Node:
        base, *layers = chain.layers
        node = self._node(base, None, values, platform, copied)
        for name in layers:
            node = self._node(name, node, values, platform, copied)
        return node

    def _layers(
        self, chain: Chain, values: Mapping[str, Value], platform: str, manner: Manner, copied: Mapping[str, Node]
    ) -> Node:
        base, *layers = chain.layers
        made = {base: self._node(base, None, values, platform, copied)}
        for name in layers:
            below = self.join([made[one] for one in chain.below[name]] or [made[base]], manner)
            made[name] = self._node(name, below, values, platform, copied)
        return self.join(made.values(), manner)

    def _node(
        self, name: str, below: Node | None, values: Mapping[str, Value], platform: str, copied: Mapping[str, Node]
    ) -> Node:
        layer = self._project.layers[name]
        own = {key: values[key] for key in layer.variables}
        copies = {one: copied[one].id for one in layer.copy_from}
        key = (name, below and below.id, platform, *own.values(), *copies.values())
        if key not in self._made:
            everything = (
                dict(sorted({**below.values, **own}.items())) if below and own else below.values if below else own
            )
            node = Node(
                id="",
                layer=name,
                base=below.base if below else name,
                values=everything,
                platform=platform,
                parents=(below.id,) if below else (),
                copies=copies,
            )
            self._made[key] = self._add(node)
        return self._made[key]

    def _merge(self, parents: Sequence[Node], manner: Manner) -> Node:
        layers = self._layers_of(parents)
        resolve = tuple(one for one in manner.resolve if one.layer in layers)
        key = ("", *(node.id for node in parents), resolve)
        if key not in self._made:
            first = parents[0]
            node = Node(
                id="",
                layer="",
                base=first.base,
                values=dict(sorted(pair for parent in parents for pair in parent.values.items())),
                platform=first.platform,
                parents=tuple(parent.id for parent in parents),
                resolve=resolve,
            )
            self._made[key] = self._add(node)
        return self._made[key]

    def _layers_of(self, nodes: Iterable[Node]) -> frozenset[str]:
        waiting, found = [node.id for node in nodes], dict[str, str]()
        while waiting:
            if (name := waiting.pop()) not in found:
                found[name] = self.found[name].layer
                waiting += self.found[name].parents
        return frozenset(found.values())

    def _image(self, node: Node) -> int:
        """A bit for each node below it and for itself, in the order in which they were made."""
        waiting = [node.id]
        while waiting:
            name = waiting[-1]
            missing = [one for one in self.found[name].parents if one not in self._images]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if name not in self._images:
                image = 1 << len(self._images)
                for parent in self.found[name].parents:
                    image |= self._images[parent]
                self._images[name] = image
        return self._images[node.id]

    def _add(self, node: Node) -> Node:
        named = replace(node, id=self._id(node))
        return self.found.setdefault(named.id, named)

    def _id(self, node: Node) -> str:
        identity: list[object] = [node.layer, node.values, node.parents, node.copies, node.platform]
        if node.resolve:
            identity += [[one.path, one.layer] for one in node.resolve]
        digits = sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        name = node.layer or _merged_name(node.parents)
        short = f"{name}-{digits[:8]}"
        there = self.found.get(short)
        same = there is None or replace(there, id="", stacks=()) == node
        return short if same else f"{name}-{digits}"  # one pair in 2³² nodes of a layer


def _merged_name(parents: Sequence[str]) -> str:
    """No layer has a dot in its name."""
    layers = [parent.rpartition("-")[0] for parent in parents]
    more = [f"{len(layers) - _MOST_NAMED}-more"] if len(layers) > _MOST_NAMED else []
    return ".".join((*layers[:_MOST_NAMED], *more))


def _defaults(variables: Mapping[str, Variable]) -> dict[str, Value] | Variable:
    """The defaults, or the first variable that has none."""
    found: dict[str, Value] = {}
    for variable in variables.values():
        if variable.default is None:
            return variable
        found[variable.name] = variable.default
    return found


def why_not_alone(project: Project, layer: str) -> str:
    """Why ``layer`` is not in the graph's ``alone``; empty where it is."""
    if project.layers[layer].kind is Kind.REPOSITORY:
        return "it is a repository on a stack"
    found = _alone(Chains(Shelf.of(project)), layer, bases_alone(project))
    return found if isinstance(found, str) else ""


def bases_alone(project: Project) -> tuple[str, ...]:
    """What a layer stands on when it is built by itself, best first; none where the project doesn't say."""
    bases = sorted(base.name for base in project.bases())
    ready = [base for base in bases if not project.layers[base].draft] or bases
    first = project.settings.base or (ready[0] if len(ready) == 1 else "")
    return tuple(sorted(bases, key=first.__ne__)) if first in bases else ()


def chain_alone(chains: Chains, layer: str, bases: tuple[str, ...]) -> Chain | str:
    """On the first of ``bases`` on which it can stand by itself; else why not."""
    if chains.shelf.is_base(layer):
        return chains.alone(layer, layer)
    whys = []
    for base in bases:
        chain = chains.alone(base, layer)
        faults = [*chain.faults, *(fault for one in chains.copied(chain) for fault in chains.alone(base, one).faults)]
        if not faults:
            return chain
        whys.append(faults[0].what)
    return whys[0] if whys else "hubstack.yaml doesn't say on which base (`base: NAME`)"


def joined(
    graph: Graph, project: Project, nodes: Sequence[str], resolve: tuple[Preference, ...] = ()
) -> tuple[Graph, str]:
    """The graph with what has all of ``nodes`` in it, and that node's id: for images that no stack has."""
    assembly = _begun(graph, project)
    manner = replace(Manner.of(project), resolve=resolve)
    top = assembly.join([graph.nodes[node] for node in nodes], manner).id
    return replace(graph, nodes=assembly.found), top


def stacked(graph: Graph, project: Project, lower: str, upper: str) -> tuple[Graph, str]:
    """The graph with all layers that ``upper`` has and ``lower`` hasn't built on ``lower``, one on the other; and the topmost."""
    assembly = _begun(graph, project)
    there = {graph.nodes[one].layer for one in graph.lineage[lower]}
    further = [node for one in graph.lineage[upper] if (node := graph.nodes[one]).layer not in there]
    top = assembly.stack(graph.nodes[lower], further).id
    return replace(graph, nodes=assembly.found), top


def _begun(graph: Graph, project: Project) -> Assembly:
    assembly = Assembly(project, Chains(Shelf.of(project)))
    assembly.found |= graph.nodes
    return assembly


def _alone(chains: Chains, layer: str, bases: tuple[str, ...]) -> tuple[Chain, Mapping[str, Value]] | str:
    chain = chain_alone(chains, layer, bases)
    if isinstance(chain, str):
        return chain
    defaults = _defaults(chains.variables(chain)[0])
    if isinstance(defaults, Variable):
        return f"the variable {defaults.name} has no default ({defaults.position})"
    return chain, defaults
