"""From chains to nodes: what a variant's image, or a layer by itself, is built of.

Another way to put layers together (design.md, "Two ways") is another module like this one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from hubstack.graph.chain import Chain, Chains
from hubstack.graph.requirement import Shelf
from hubstack.model import Kind, Node, Project, Value, Variable


class Assembly:
    """Nodes in build order, each once however many images stand on it."""

    def __init__(self, project: Project, chains: Chains) -> None:
        self.found: dict[str, Node] = {}
        self._project = project
        self._chains = chains
        self._made: dict[tuple[object, ...], Node] = {}

    def stand(self, chain: Chain, values: Mapping[str, Value], platform: str, repository: str = "") -> Node:
        """The topmost node of the chain, or of a repository on it.

        What its layers copy from is built by itself, with the same base and values.
        """
        copied: dict[str, Node] = {}
        for name in self._chains.copied(chain):
            copied[name] = self._line(self._chains.alone(chain.base, name), values, platform, copied)
        top = self._line(chain, values, platform, copied)
        return self._node(repository, top, values, platform, {}) if repository else top

    def alone(self, platform: str) -> dict[str, Node]:
        """The topmost node of each layer that can be built by itself."""
        tops: dict[str, Node] = {}
        bases = bases_alone(self._project)
        for name in self._chains.shelf.order:
            if (below := self._lower(name, tops)) is not None:
                defaults = _defaults(self._project.layers[name].variables)
                if not isinstance(defaults, Variable):
                    tops[name] = self._node(name, below, defaults, platform, {})
            elif not isinstance(found := _alone(self._chains, name, bases), str):
                tops[name] = self.stand(*found, platform)
        return tops

    def _lower(self, name: str, tops: Mapping[str, Node]) -> Node | None:
        """What a layer with one requirement stands on by itself, known already: so a long line of layers stays linear."""
        layer, shelf = self._project.layers[name], self._chains.shelf
        if len(layer.requires) != 1 or layer.copy_from:
            return None
        found = shelf.pick(layer.requires[0], {})
        below = tops.get(found) if isinstance(found, str) else None
        return None if below is None or layer.requires[0] in shelf.names(below.base) else below

    def _line(self, chain: Chain, values: Mapping[str, Value], platform: str, copied: Mapping[str, Node]) -> Node:
        base, *layers = chain.layers
        node = self._node(base, None, values, platform, copied)
        for name in layers:
            node = self._node(name, node, values, platform, copied)
        return node

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
            self._made[key] = node = replace(node, id=self._id(node))
            self.found[node.id] = node
        return self._made[key]

    def _id(self, node: Node) -> str:
        identity = [node.layer, node.values, node.parents, node.copies, node.platform]
        digits = sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        short = f"{node.layer}-{digits[:8]}"
        return short if short not in self.found else f"{node.layer}-{digits}"  # one pair in 2³² nodes of a layer


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


def _alone(chains: Chains, layer: str, bases: tuple[str, ...]) -> tuple[Chain, Mapping[str, Value]] | str:
    chain = chain_alone(chains, layer, bases)
    if isinstance(chain, str):
        return chain
    defaults = _defaults(chains.variables(chain)[0])
    if isinstance(defaults, Variable):
        return f"the variable {defaults.name} has no default ({defaults.position})"
    return chain, defaults
