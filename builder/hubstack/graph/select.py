"""SELECT: which nodes and images a command is about.

``STACK``, ``STACK/VARIANT`` and globs of both take images; ``layer:NAME`` takes the layer by itself, on what it requires,
whether or not a stack has it: one node, whatever the stacks put below that layer, and no image. ``+X`` takes everything
that X stands on too, ``X+`` everything in the stacks that stands on it. A layer stands on other things in each stack, so
``layer:NAME+`` begins at all of its nodes. ``node:ID`` takes one node, as plans and jobs call it, and no image.

A draft is taken when a term without a wildcard names it. ``STACK`` means its variants that are no drafts, if it has any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hubstack.errors import ProjectError, UsageError
from hubstack.graph import drafts as find_drafts
from hubstack.graph import needed, resolve
from hubstack.graph.assembly import why_not_alone
from hubstack.graph.chain import Chains
from hubstack.graph.option import find_points
from hubstack.graph.repository import named
from hubstack.graph.requirement import Shelf
from hubstack.graph.variant import find_owners, find_types
from hubstack.model import Graph, Image, Project, Stack
from hubstack.spelling import did_you_mean, enumerate_words, quote

_LAYER = "layer:"
_NODE = "node:"
_WILD = frozenset("*?[")
_LIST = "`hubstack list` shows what there is."


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """``nodes`` are the targets, in build order; what they stand on is among them only where ``+X`` asks for it."""

    nodes: tuple[str, ...]
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    text: str
    layer: str = ""
    node: str = ""
    stack: str = ""
    variant: str = ""  # empty: every one
    below: bool
    above: bool

    @classmethod
    def parse(cls, text: str) -> _Term:
        below, above = text.startswith("+"), text.endswith("+") and len(text) > 1
        name = text[below : len(text) - above]
        if name.startswith(_LAYER):
            return cls(text=name, layer=name.removeprefix(_LAYER), below=below, above=above)
        if name.startswith(_NODE):
            return cls(text=name, node=name.removeprefix(_NODE), below=below, above=above)
        stack, _, variant = name.partition("/")
        return cls(text=name, stack=stack, variant=variant, below=below, above=above)

    @property
    def wild(self) -> bool:
        return not _WILD.isdisjoint(self.text)


def select(project: Project, graph: Graph, terms: Sequence[str], *, drafts: bool = False) -> Selection:
    """What ``terms`` name; without any, every image that is no draft. ``drafts``: drafts are like anything else.

    Raises UsageError for a term that matches nothing.
    """
    withheld = {} if drafts else find_drafts(project, graph)
    ready = [image for image in graph.images if image.variant.id not in withheld]
    taken = [] if terms else ready
    nodes: set[str] = set()
    for term in map(_Term.parse, terms):
        named = [] if term.text.startswith((_LAYER, _NODE)) else _images(term, project, graph, withheld)
        start = {image.node for image in named} or _nodes(term, project, graph, withheld)
        further = _above(term, start, graph, ready) if term.above else set()
        if term.below:
            further |= set(needed(graph, start | further)) - start
        nodes |= start | further
        taken = [*taken, *named, *(image for image in ready if image.node in further)]
    published = {image.variant.id for image in taken}  # with all of its platforms, or not at all
    images = tuple(image for image in graph.images if image.variant.id in published)
    nodes |= {image.node for image in images}
    return Selection(nodes=tuple(node for node in graph.nodes if node in nodes), images=images)


def complete(project: Project, prefix: str) -> tuple[str, ...]:
    """The terms that begin with ``prefix``, for a shell.

    Without a graph, so that faults elsewhere are in nobody's way; only nodes need one.
    """
    plus, name = ("+", prefix[1:]) if prefix.startswith("+") else ("", prefix)
    if name.startswith(_LAYER):
        words = [f"{_LAYER}{one.name}" for _, one in sorted(project.layers.items()) if one.repository is None]
    elif (stack := project.stacks.get(name.partition("/")[0])) and "/" in name:
        words = [f"{stack.name}/{variant}" for variant in _variants(project, stack)]
    elif name.startswith(_NODE):
        words = [f"{_NODE}{node}" for node in _known_nodes(project)]
    else:
        words = [*sorted(project.stacks), _LAYER, _NODE]
    return tuple(f"{plus}{word}" for word in words if word.startswith(name))


def _variants(project: Project, stack: Stack) -> list[str]:
    if stack.repository is not None:
        lower = project.stacks.get(stack.repository.below)
        known = _variants(project, lower) if lower is not None and lower.repository is None else []
        return [name for _, name in named(stack.repository, known)]
    chains = Chains(Shelf.of(project))
    return [point.name for point in find_points(stack, find_types(find_owners(project)), chains)[0]]


def _known_nodes(project: Project) -> list[str]:
    try:
        return sorted(resolve(project).nodes)
    except ProjectError:
        return []


def _images(term: _Term, project: Project, graph: Graph, withheld: Mapping[str, str]) -> list[Image]:
    found = [
        image
        for image in graph.images
        if fnmatchcase(image.variant.stack, term.stack) and fnmatchcase(image.variant.name, term.variant or "*")
    ]
    if not found:
        raise _no_image(term, project, graph)
    ready = [image for image in found if image.variant.id not in withheld]
    if term.wild and not ready:
        raise _only_drafts(term, (withheld[image.variant.id] for image in found))
    return ready if term.wild else found if term.variant else ready or found


def _nodes(term: _Term, project: Project, graph: Graph, withheld: Mapping[str, str]) -> set[str]:
    return {_node(term, graph)} if term.text.startswith(_NODE) else _alone(term, project, graph, withheld)


def _node(term: _Term, graph: Graph) -> str:
    if term.node not in graph.nodes:
        what = f"no node is called {quote(term.node)}{did_you_mean(term.node, graph.nodes)}"
        raise UsageError(what, hint="`hubstack plan --offline` shows what there is.")
    return term.node


def _alone(term: _Term, project: Project, graph: Graph, withheld: Mapping[str, str]) -> set[str]:
    names = [name for name in sorted(project.layers) if fnmatchcase(name, term.layer)]
    if not names:
        what = f"no layer is called {quote(term.layer)}{did_you_mean(term.layer, project.layers)}"
        raise UsageError(what, hint=_LIST)
    able = [name for name in names if name in graph.alone]
    if not able:
        what = f"{names[0]} can't be built by itself: {why_not_alone(project, names[0])}"
        raise UsageError(what, hint="Name a stack that has it, or make one.")
    found = {node for name in able for node in graph.alone[name]}
    ready = found - withheld.keys()
    if term.wild and not ready:
        raise _only_drafts(term, (withheld[node] for node in sorted(found)))
    return ready if term.wild else found


def _above(term: _Term, start: set[str], graph: Graph, ready: Iterable[Image]) -> set[str]:
    """``start``, the layer's nodes in the images that are ``ready``, and what stands on any of them there."""
    variants = {image.variant.id for image in ready}
    live = {node.id for node in graph.nodes.values() if not variants.isdisjoint(node.stacks)}
    layers = {node: graph.nodes[node].layer for node in live if not graph.nodes[node].is_merge}
    found = start | {node for node, layer in layers.items() if fnmatchcase(layer, term.layer)}
    waiting = list(found)
    while waiting:
        new = [child for child in graph.children[waiting.pop()] if child in live and child not in found]
        found.update(new)
        waiting += new
    return found


def _no_image(term: _Term, project: Project, graph: Graph) -> UsageError:
    variants = [image.variant.name for image in graph.images if image.variant.stack == term.stack]
    if variants:
        known = dict.fromkeys(variants)
        what = f"{term.stack} has no variant {quote(term.variant)}{did_you_mean(term.variant, known)}"
        return UsageError(what, hint=f"It has {enumerate_words(known, 'and')}.")
    if term.text in project.layers:
        return UsageError(f"{term.text} is a layer, not a stack", hint=f"Write {_LAYER}{term.text}.")
    if term.wild:
        return UsageError(f"{quote(term.text)} matches nothing", hint=_LIST)
    what = f"no stack is called {quote(term.stack)}{did_you_mean(term.stack, project.stacks)}"
    return UsageError(what, hint=_LIST)


def _only_drafts(term: _Term, reasons: Iterable[str]) -> UsageError:
    what = f"{quote(term.text)} matches only drafts ({'; '.join(dict.fromkeys(reasons))})"
    return UsageError(what, hint="A draft is taken when it is named without a wildcard.")
