"""files → parse → model → graph → render → fingerprint: what every verb needs before it does anything.

Pure: the project and the lock are given. See :mod:`hubstack.plan` for the arrow that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hubstack.fingerprint import Identity
from hubstack.model import Fingerprint, Graph, Layer, Project, Rendered
from hubstack.plan import Known, Plan, make_plan
from hubstack.select import Selection


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything that is known of the selected nodes, and of those below them, before anything is asked or built."""

    project: Project
    graph: Graph
    selection: Selection
    rendered: Mapping[str, Rendered]
    identities: Mapping[str, Identity]
    tests: Mapping[str, str]  # node id → test fingerprint
    offered: frozenset[str]  # nodes that people can choose: the hub test is for them
    blocked: Mapping[str, str]  # node id → why it can't be built here

    def layers(self, node: str) -> list[Layer]:
        """The layers in a node's image, lowest first."""
        return [self.project.layers[self.graph.nodes[one].layer] for one in self.graph.lineage[node]]

    def fingerprint(self, node: str) -> Fingerprint:
        return self.identities[node].fingerprint

    def plan(self, known: Known | None) -> Plan:
        return make_plan(
            self.graph,
            self.identities,
            self.tests,
            targets=self.selection.nodes,
            images=self.selection.images,
            known=known,
            sources={node: rendered.sources for node, rendered in self.rendered.items()},
            blocked=self.blocked,
        )
