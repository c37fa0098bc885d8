"""A project's nodes: which images are built, and what each is built on.

Every variant of every stack, on every platform, becomes nodes that end in one; what is equal is one node. Drafts are in the
graph like anything else. Only :mod:`hubstack.graph.assembly` knows how layers are put together: all others see nodes with
a tuple of parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hubstack.errors import Problem, ProjectError
from hubstack.graph import repository
from hubstack.graph.assembly import Assembly, Manner, bases_alone, chain_alone
from hubstack.graph.chain import Chain, Chains
from hubstack.graph.option import find_points, listed, place_of
from hubstack.graph.requirement import Shelf, layer_problems, unknown_layer
from hubstack.graph.variant import BASE, Point, find_owners, find_types, name_problems, settle
from hubstack.model import Graph, Image, Kind, Node, Project, Stack, Variant
from hubstack.source import Position
from hubstack.spelling import did_you_mean, enumerate_words, quote

if TYPE_CHECKING:
    import networkx as nx


def resolve(project: Project) -> Graph:
    """The whole project's graph. Raises ProjectError with everything that is wrong between its files."""
    chains = Chains(Shelf.of(project))
    variants, problems = _variants(project, chains)
    problems += _resolve_problems(project, variants)
    problems += [*layer_problems(chains.shelf), *_base_problems(project), *_double_problems(project, chains)]
    if problems:
        raise ProjectError(problems)
    nodes = Assembly(project, chains)
    images = tuple(
        Image(variant=variant, platform=platform, node=nodes.stand(chain, variant.values, platform, manner, top).id)
        for variant, chain in variants
        for manner, top in [_manner(project, variant.stack)]
        for platform in project.settings.platforms
    )
    alone = [nodes.alone(platform) for platform in project.settings.platforms]
    return Graph(
        nodes=_with_stacks(nodes.found, images),
        images=images,
        alone={name: tuple(tops[name].id for tops in alone) for name in sorted(alone[0])},
    )


def _manner(project: Project, stack: str) -> tuple[Manner, str]:
    """How the variants of a stack are put together, and the name of the repository on top; empty: there is none."""
    one = project.stacks[stack].repository
    ground = stack if one is None else one.below
    return Manner.of(project, project.stacks[ground]), "" if one is None else stack


def digraph(graph: Graph) -> nx.DiGraph[str]:
    """An edge from each node to those that need it; its ``kind`` is ``parent`` or ``copy``."""
    import networkx as nx

    found: nx.DiGraph[str] = nx.DiGraph()
    for node in graph.nodes.values():
        found.add_node(node.id, layer=node.label, platform=node.platform)
        found.add_edges_from(((copied, node.id) for copied in node.copies.values()), kind="copy")
        found.add_edges_from(((parent, node.id) for parent in node.parents), kind="parent")
    return found


def needed(graph: Graph, nodes: Iterable[str]) -> tuple[str, ...]:
    """``nodes`` and everything that must be there before them, in build order."""
    found = set(nodes)
    waiting = list(found)
    while waiting:
        new = [one for one in graph.nodes[waiting.pop()].inputs if one not in found]
        found.update(new)
        waiting += new
    return tuple(node for node in graph.nodes if node in found)


def drafts(project: Project, graph: Graph) -> Mapping[str, str]:
    """Why nodes (by id) and variants (``STACK/VARIANT``) are built only when somebody names them.

    A node is a draft if its layer, its base or anything that it needs is one; a variant if its stack or its node is one.
    """
    found: dict[str, str] = {}
    for node in graph.nodes.values():
        own = "" if node.is_merge else project.layers[node.layer].draft
        reasons = [f"{node.layer}: {own}"] if own else [found[one] for one in node.inputs if one in found]
        if reasons:
            found[node.id] = reasons[0]
    for image in graph.images:
        stack = project.stacks[image.variant.stack]
        if stack.repository is not None and not stack.draft:
            stack = project.stacks[stack.repository.below]
        reason = f"{stack.name}: {stack.draft}" if stack.draft else found.get(image.node)
        if reason:
            found[image.variant.id] = reason
    return found


# --- stacks → variants -------------------------------------------------------------------------------------------------


def _variants(project: Project, chains: Chains) -> tuple[list[tuple[Variant, Chain]], list[Problem]]:
    owners = find_owners(project)
    types = find_types(owners)
    points: dict[str, tuple[Point, ...]] = {}
    variants: list[tuple[Variant, Chain]] = []
    problems: list[Problem] = []
    for name in sorted(project.stacks):
        stack = project.stacks[name]
        if stack.repository is not None:
            continue  # it stands on another stack's variants
        points[name], wrong = find_points(stack, types, chains)
        misnamed = [*_list_problems(stack, chains.shelf), *_stack_base_problems(stack, points[name], project)]
        problems += [*wrong, *misnamed]
        elsewhere = _optional_variables(stack, points[name], chains)
        for point in points[name]:
            if chains.shelf.is_base(point.base):
                chain, faults = _chain(stack, point, chains)
                declared, twice = chains.variables(chain)
                variant, wrong = settle(stack, point, declared, owners, elsewhere)
                variants.append((variant, chain))
                problems += [*faults, *twice, *(() if misnamed else wrong)]  # a layer's variables are missed with it
    standing, misplaced = repository.standing(project, variants)
    for stack in (one for one in project.stacks.values() if one.repository is not None):
        points[stack.name] = repository.points(stack, [variant for variant, _ in standing])
    variants = sorted([*variants, *standing], key=lambda one: one[0].stack)
    return variants, [*problems, *misplaced, *name_problems(points, project.settings)]


def _optional_variables(stack: Stack, points: Sequence[Point], chains: Chains) -> frozenset[str]:
    """What any of the variants declares, where options make them differ."""
    there = [point for point in points if stack.options and chains.shelf.is_base(point.base)]
    return frozenset(name for point in there for name in chains.variables(_chain(stack, point, chains)[0])[0])


def _chain(stack: Stack, point: Point, chains: Chains) -> tuple[Chain, list[Problem]]:
    shelf = chains.shelf
    names = tuple(name for name in listed(stack, point) if name in shelf.layers and not shelf.is_base(name))
    chain = chains.of(point.base, names)

    def where(layer: str) -> Position:
        return _base_place(stack, point) if layer == point.base else place_of(stack, layer)

    return chain, [*chain.problems(where), *_copy_problems(chain, chains)]


def _copy_problems(chain: Chain, chains: Chains) -> Iterator[Problem]:
    """What is copied from is built by itself: a stack's list neither decides for it nor mends it."""
    layers = chains.shelf.layers
    for copied in chains.copied(chain):
        for fault in chains.alone(chain.base, copied).faults:
            user = next(layers[name] for name in sorted(layers) if copied in layers[name].copy_from)
            yield Problem(
                position=user.source.at("copy_from", user.copy_from.index(copied)),
                what=f"{copied} can't be built by itself on {chain.base}: {fault.what}",
                remedy="Correct what it requires, or copy from another layer.",
            )


def _list_problems(stack: Stack, shelf: Shelf) -> Iterator[Problem]:
    for name in (*stack.layers, *(one for option in stack.options for one in option.layers)):
        position = place_of(stack, name)
        if name in shelf.layers:
            if shelf.is_base(name):
                yield Problem(position=position, what=f"{name} is a base, not a layer", remedy=f"Write `base: {name}`.")
        elif name in shelf.providers:
            remedy = f"List {enumerate_words(shelf.providers[name])}."
            yield Problem(position=position, what=f"{quote(name)} is a name that layers provide", remedy=remedy)
        else:
            names = [layer for layer in shelf.layers if not shelf.is_base(layer)]
            yield unknown_layer(name, names, position)


def _stack_base_problems(stack: Stack, points: Iterable[Point], project: Project) -> Iterator[Problem]:
    for name, place in {point.base: _base_place(stack, point) for point in points}.items():
        if name:
            yield from _unknown_base(name, place, project)


def _base_place(stack: Stack, point: Point) -> Position:
    return point.given[BASE].position if BASE in point.given else stack.source.at(BASE)


def _resolve_problems(project: Project, variants: Iterable[tuple[Variant, Chain]]) -> Iterator[Problem]:
    layers: dict[str, dict[str, None]] = {}
    for variant, chain in variants:
        layers.setdefault(variant.stack, {}).update(dict.fromkeys(chain.layers))
    for name, there in layers.items():
        stack = project.stacks[name]
        for one in stack.resolve:
            if one.layer not in there:
                position = stack.source.at("resolve", f"/{one.path}", "layer")
                what = f"{quote(one.layer)} is no layer of {name}{did_you_mean(one.layer, there)}"
                yield Problem(position=position, what=what, remedy=f"It has {enumerate_words(there, 'and')}.")


def _base_problems(project: Project) -> Iterator[Problem]:
    if project.settings.base:
        yield from _unknown_base(project.settings.base, project.settings.source.at(BASE), project)


def _unknown_base(name: str, place: Position, project: Project) -> Iterator[Problem]:
    found = project.layers.get(name)
    if found is not None and found.kind is Kind.BASE:
        return
    bases = sorted(base.name for base in project.bases())
    what = f"{name} is a layer, not a base" if found else f"unknown base {quote(name)}{did_you_mean(name, bases)}"
    yield Problem(position=place, what=what, remedy=f"base/ holds {enumerate_words(bases, 'and') or 'none'}.")


def _double_problems(project: Project, chains: Chains) -> Iterator[Problem]:
    """Variables declared twice below layers that may be in no stack. What stands highest has all the others below it."""
    below = {need for needs in chains.shelf.edges.values() for need in needs}
    bases = bases_alone(project)
    for name in sorted(chains.shelf.layers.keys() - below):
        if isinstance(chain := chain_alone(chains, name, bases), Chain):
            yield from chains.variables(chain)[1]


def _with_stacks(nodes: Mapping[str, Node], images: Iterable[Image]) -> dict[str, Node]:
    users: dict[str, dict[str, None]] = {node: {} for node in nodes}
    for image in images:
        waiting = [image.node]
        seen = {image.node}
        while waiting:
            node = waiting.pop()
            users[node][image.variant.id] = None
            new = [one for one in nodes[node].inputs if one not in seen]
            seen.update(new)
            waiting += new
    return {name: replace(node, stacks=tuple(users[name])) for name, node in nodes.items()}
