"""Families of images put together by hand: what is built on what, what each Dockerfile says, what must pass.

Nothing is read, resolved or rendered, so that a test may make thousands: see tests/tree.py for projects from text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hubstack.fingerprint import fingerprints
from hubstack.graph import needed
from hubstack.graph.select import Selection
from hubstack.model import Graph, Image, Kind, Layer, Method, Node, Project, Rendered, Settings, Stack, Test, Variant
from hubstack.pipeline import Inputs
from hubstack.reference import ImageRef
from hubstack.source import Position, Source

PLATFORM = "linux/amd64"


@dataclass(frozen=True, kw_only=True)
class Family:
    """``below`` holds for each node its parent and then what it copies from, in build order; a node is called as its
    layer. Stacks are called as people call them and stand on one node each.
    """

    below: Mapping[str, Sequence[str]]
    stacks: Mapping[str, str]
    merged: Collection[str] = ()  # nodes that merge what is below them
    assembly: Method | None = None  # None: the project merges if some node does
    methods: Mapping[str, Method] = field(default_factory=dict)  # of stacks that have one of their own
    epochs: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)  # what a layer's Dockerfile says, if not its name
    tests: Mapping[str, Sequence[str]] = field(default_factory=dict)  # layer → commands
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    registry: ImageRef | None = None
    blocked: Mapping[str, str] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        users: dict[str, list[str]] = {}
        for stack, top in self.stacks.items():
            users.setdefault(top, []).append(f"{stack}/default")
        nodes = {
            name: Node(
                id=name,
                layer="" if name in self.merged else name,
                base=next(iter(self.below)),
                values={},
                platform=PLATFORM,
                parents=tuple(sorted(below) if name in self.merged else below[:1]),
                copies={} if name in self.merged else {one: one for one in below[1:]},
                stacks=tuple(users.get(name, ())),
            )
            for name, below in self.below.items()
        }
        images = tuple(
            Image(
                variant=Variant(stack=stack, name="default", base="", axes={}, values={}), platform=PLATFORM, node=top
            )
            for stack, top in self.stacks.items()
        )
        return Graph(nodes=nodes, images=images, alone={})

    def inputs(self, *stacks: str) -> Inputs:
        """Of all stacks, or of those that are named."""
        graph = self.graph
        images = tuple(image for image in graph.images if not stacks or image.variant.stack in stacks)
        selection = Selection(nodes=tuple(dict.fromkeys(image.node for image in images)), images=images)
        project = self._project()
        nodes = needed(graph, selection.nodes)
        rendered = {node: self._rendered(node) for node in nodes if node not in self.merged}
        return Inputs(
            project=project,
            graph=graph,
            selection=selection,
            rendered=rendered,
            identities=fingerprints(graph, rendered, self.epochs),
            offered=frozenset(image.node for image in graph.images),
            blocked={node: why for node, why in self.blocked.items() if node in nodes},
        )

    def _project(self) -> Project:
        layers = {
            name: Layer(
                name=name,
                kind=Kind.LAYER if below else Kind.BASE,
                summary=name,
                tests=tuple(
                    Test(run=run, position=Position(path=f"layers/{name}/layer.yaml", line=9))
                    for run in self.tests.get(name, ())
                ),
                versions=self.versions.get(name, {}),
                source=Source(path=f"layers/{name}/layer.yaml"),
            )
            for name, below in self.below.items()
        }
        stacks = {
            name: Stack(
                name=name,
                title=name,
                layers=(top,),
                assembly=self.methods.get(name),
                source=Source(path=f"stacks/{name}.yaml"),
            )
            for name, top in self.stacks.items()
        }
        assembly = self.assembly or (Method.MERGE if self.merged else Method.CHAIN)
        settings = Settings(registry=self.registry, assembly=assembly, source=Source(path="hubstack.yaml"))
        return Project(settings=settings, layers=layers, stacks=stacks, hubs={})

    def _rendered(self, node: str) -> Rendered:
        says = self.texts.get(node, node)
        lines = [f"FROM {'parent' if self.below[node] else 'scratch'}", f"RUN {says}", "USER 1000:100"]
        return Rendered(
            dockerfile="\n".join(lines) + "\n",
            origins=tuple(Position(path=f"layers/{node}/Dockerfile.j2", line=line) for line in (1, 2, 3)),
            context=(),
            sources={f"layers/{node}/Dockerfile.j2": says},
        )


DIAMOND = Family(
    below={"debian": [], "lab": ["debian"], "r": ["lab"], "scipy": ["lab"], "both": ["scipy", "r"]},
    stacks={"minimal": "lab", "science": "scipy", "all": "both"},
    tests={"lab": ["lab works"], "scipy": ["scipy works"]},
    versions={"lab": {"JupyterLab": "jupyter lab --version"}},
)

MERGED = Family(
    below={
        "debian": [],
        "lab": ["debian"],
        "r": ["debian"],
        "scipy": ["lab"],
        "lab.r": ["lab", "r"],
        "kernel": ["lab.r"],
        "kernel.scipy": ["kernel", "scipy"],
    },
    merged=("lab.r", "kernel.scipy"),
    stacks={"minimal": "lab", "all": "kernel.scipy"},
    tests={"lab": ["lab works"], "scipy": ["scipy works"], "kernel": ["kernel works"]},
)

CHAIN = Family(
    below={"debian": [], "lab": ["debian"], "scipy": ["lab"]},
    stacks={"minimal": "lab", "science": "scipy"},
    tests={"lab": ["lab works"], "scipy": ["scipy works"]},
)
