"""What a summary says beyond a run's own outcomes, asked of the registry: what people could choose before it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from hubstack.ci.summary import Row
from hubstack.hub.diff import records_of
from hubstack.model import Image
from hubstack.names import Names
from hubstack.plan import Plan
from hubstack.publish import Published, Remote
from hubstack.record import Record
from hubstack.reference import Digest
from hubstack.registry import Registry
from hubstack.schedule import Outcome, Result

Before: TypeAlias = Mapping[tuple[str, str], Digest]
"""(STACK/VARIANT, platform) → what the channel named."""


def ask_before(registry: Registry, names: Names, images: Sequence[Image], channel: str) -> Before:
    """To be asked before channels move. One HEAD an image, and for those of several platforms their index."""
    variants = {image.variant.id: image.variant for image in images}
    refs = {one: names.channel(variant.stack, variant.name, channel) for one, variant in variants.items()}
    there = registry.heads(refs.values())
    found: dict[tuple[str, str], Digest] = {}
    for one, ref in refs.items():
        platforms = [image.platform for image in images if image.variant.id == one]
        if (digest := there[ref]) is None:
            continue
        if len(platforms) == 1:
            found[one, platforms[0]] = digest
        elif (index := registry.manifest(ref.with_digest(digest))) is not None:
            found |= {(one, part.platform): part.digest for part in index.manifests}
    return found


def rows_of(
    plan: Plan,
    outcomes: Mapping[str, Outcome],
    published: Sequence[Published],
    before: Before,
    records: Mapping[str, Record],
    remote: Remote,
) -> list[Row]:
    """``records`` are those of the images' nodes; what images were before is looked up where it is something else."""
    look = records_of(remote.registry, remote.names)
    refs = {f"{one.stack}/{one.variant}": one.ref for one in published}
    several = len({image.platform for image in plan.images}) > 1
    found = []
    for image in plan.images:
        row = Row(
            image=image.variant.id,
            platform=image.platform if several else "",
            outcome=outcomes[image.node],
            record=records.get(image.node),
            before=before.get((image.variant.id, image.platform)),
            ref=str(refs.get(image.variant.id, "")),
        )
        if row.is_new and row.before:
            name = plan.published(remote.names, image)
            row = replace(row, before_record=look(name.with_tag("").with_digest(row.before)))
        found.append(row)
    return found


def planned_nodes(text: str) -> frozenset[str]:
    """The nodes that ``hubstack matrix`` has said were to be built, in whichever format it said so."""
    return frozenset(re.findall(r"\bnode:([a-z0-9][A-Za-z0-9._-]*)", text))


def as_planned(
    outcomes: Mapping[str, Outcome], planned: Collection[str], records: Mapping[str, Record]
) -> dict[str, Outcome]:
    """What other jobs of this run have built is there by now, as is what nobody had to build: tell them apart."""
    return {
        node: replace(outcome, result=Result.BUILT, seconds=records[node].seconds if node in records else 0.0)
        if node in planned and outcome.result is Result.REUSED
        else outcome
        for node, outcome in outcomes.items()
    }
