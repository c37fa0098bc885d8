"""How much work the layers of an image are to put together, and why: merged, merged and settled, or built on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from hubstack.certificate.pair import merges_below
from hubstack.errors import RegistryDenied, RegistryError, RegistryUnreachable, UsageError
from hubstack.merge.image import bear
from hubstack.merge.join import assemble
from hubstack.merge.shelf import Shelf
from hubstack.model import Image, Method, Node
from hubstack.pipeline import Inputs
from hubstack.plan import Action, Plan
from hubstack.record import Record
from hubstack.reference import Fingerprint


class Tier(StrEnum):
    """The least work first; of an image with several merges, the last that one of them has."""

    MERGE = "merge"  # in the registry alone
    SETTLE = "settle"  # and one RUN on what came out, without network
    UNKNOWN = "unknown"  # something below is not built yet, or no registry was asked
    BUILD = "build"  # a layer is built on another one that it doesn't require; or has to be, as they conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    tier: Tier
    why: str


CHAIN = Judgement(tier=Tier.BUILD, why="its layers are a chain")


def judge(
    inputs: Inputs,
    plan: Plan,
    recorded: Callable[[Iterable[Fingerprint]], Mapping[Fingerprint, Record]],
    shelf: Shelf | None,
) -> dict[str, Judgement]:
    """By STACK/VARIANT, on whichever platform it is most work. What is merged already is remembered; what isn't is worked out
    from the indexes that there are.

    ``shelf`` is None where no registry is asked.
    """
    merges = [inputs.fingerprint(one.id) for image in plan.images for one in merges_below(inputs.graph, image.node)]
    records = recorded(dict.fromkeys(merges)) if merges else {}

    @cache
    def of_merge(node: str) -> Sequence[Judgement]:
        record = records.get(inputs.fingerprint(node))
        return _settled(record.settled) if record is not None else [*_foretold(inputs, plan, shelf, node)]

    said: dict[str, list[Judgement]] = {}
    for image in plan.images:
        said.setdefault(image.variant.id, []).append(_judgement(inputs, image, of_merge))
    return {variant: _worst(of_platforms) for variant, of_platforms in said.items()}


def _judgement(inputs: Inputs, image: Image, of_merge: Callable[[str], Sequence[Judgement]]) -> Judgement:
    node = inputs.graph.nodes[image.node]
    if inputs.project.method(inputs.project.stacks[image.variant.stack]) is Method.CHAIN:
        return CHAIN
    if after := next(_stacked(inputs, node), ""):
        return Judgement(tier=Tier.BUILD, why=after)
    merges = [one.id for one in merges_below(inputs.graph, node.id)]
    if said := [one for merge in reversed(merges) for one in of_merge(merge)]:  # the lowest first
        return _worst(said)
    what = "nothing in one layer is about another" if merges else "each layer stands on the one below"
    return Judgement(tier=Tier.MERGE, why=what)


def _worst(said: Sequence[Judgement]) -> Judgement:
    """All that is to be settled; of what ends the matter before that, the first."""
    tier = max((one.tier for one in said), key=[*Tier].index)
    first, *more = dict.fromkeys(one.why for one in said if one.tier is tier)
    return Judgement(tier=tier, why="; ".join((first, *more)) if tier is Tier.SETTLE else first)


def _settled(lines: Iterable[str]) -> Sequence[Judgement]:
    return [Judgement(tier=Tier.SETTLE, why=line) for line in lines]


def _foretold(inputs: Inputs, plan: Plan, shelf: Shelf | None, merge: str) -> Iterator[Judgement]:
    """What a merge will come to that nobody has made; nothing where it is no more than that."""
    node, there = inputs.graph.nodes[merge], (Action.REUSE, Action.TEST)
    missing = next((one for one in node.parents if plan.by_node[one].action not in there), None)
    if shelf is None:
        yield Judgement(tier=Tier.UNKNOWN, why="the registry was not asked")
    elif missing is not None:
        yield Judgement(tier=Tier.UNKNOWN, why=f"it shows once {missing} is built")
    else:
        yield from _worked_out(inputs, plan, shelf, node)


def _worked_out(inputs: Inputs, plan: Plan, shelf: Shelf, node: Node) -> Iterator[Judgement]:
    digests = {step.identity.fingerprint: step.digest for step in plan.steps if step.digest is not None}
    tops = [inputs.fingerprint(parent) for parent in node.parents]
    try:
        found, built = assemble(shelf.as_it_is, tops, node.resolve, digests)
        bear(found, built)
    except UsageError as fault:
        yield Judgement(tier=Tier.BUILD, why=f"can't be merged: {fault.message}. {fault.hint.removesuffix('.')}")
        return
    except (RegistryDenied, RegistryUnreachable) as fault:
        yield Judgement(tier=Tier.UNKNOWN, why=f"the registry doesn't say ({fault.message})")
        return
    except RegistryError:
        yield Judgement(tier=Tier.UNKNOWN, why="it shows in the run, which makes an index that is missing")
        return
    if found.conflicts:
        first, *more = found.conflicts
        others = f" (and {len(more)} more)" if more else ""
        yield Judgement(tier=Tier.BUILD, why=f"can't be merged: {first}{others}. {first.remedy.removesuffix('.')}")
    else:
        yield from _settled(sorted(map(str, found.interests)))


def _stacked(inputs: Inputs, node: Node) -> Iterator[str]:
    """Layers that stand on others only for the sake of the order: they don't require them anyway."""
    graph = inputs.graph
    layers = inputs.layers(node.id)
    names = {name: layer.name for layer in layers for name in (layer.name, *layer.provides)}
    for layer in layers:
        alone = (below for one in graph.alone.get(layer.name, ()) for below in graph.lineage[one])
        required = {graph.nodes[below].layer for below in alone}
        for name in layer.after:
            if name in names and names[name] not in {layer.name, *required}:
                yield f"{layer.name} is built after {names[name]}"
