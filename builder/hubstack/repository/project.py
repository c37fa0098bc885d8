"""A project's stacks as repositories may choose them."""

from __future__ import annotations

from collections.abc import Mapping

from hubstack.graph import drafts
from hubstack.model import Graph, Image, Project
from hubstack.pipeline import demand
from hubstack.repository.choice import Offer


def find_offers(project: Project, graph: Graph, platform: str) -> Mapping[Offer, Image]:
    """Every image for ``platform`` that is neither a draft nor a repository's, those of the fewest layers first.

    Offers have no image's name yet.

    So the default is the smallest stack that fits. Raises ProjectError.
    """
    asked = demand(project, graph).inputs
    withheld = drafts(project, graph)
    made = {name for name, stack in project.stacks.items() if stack.repository is None}
    there = [
        one
        for one in graph.images
        if one.platform == platform and one.variant.stack in made and one.variant.id not in withheld
    ]
    found = {}
    for image in sorted(there, key=lambda one: len(graph.lineage[one.node])):
        lineage = graph.lineage[image.node]
        layers = [project.layers[graph.nodes[node].layer] for node in lineage]
        python = next((asked[node].python for node in reversed(lineage) if node in asked), "")
        provides = frozenset(name for layer in layers for name in (layer.name, *layer.provides))
        found[Offer(name=image.variant.id, image="", python=python, provides=provides)] = image
    return found
