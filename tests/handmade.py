"""Small projects and graphs put together by hand, for tests that need no files: layers, and chains of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hubstack.lock.resolution import PythonInput
from hubstack.model import Graph, Kind, Layer, Node, Project, Settings, Value, Variable, VariableType
from hubstack.source import Source

Chain = Sequence[str]


def handmade_layer(name: str, *, default: Mapping[str, Value] | None = None, **fields: Any) -> Layer:
    """``default`` declares variables. A base if the name says so."""
    kind = Kind.BASE if name.startswith("base") else Kind.LAYER
    source = Source(path=f"{'base' if kind is Kind.BASE else 'layers'}/{name}/layer.yaml")
    variables = {
        variable: Variable(
            name=variable, type=VariableType.VERSION, default=value, choices={}, help="", position=source.at()
        )
        for variable, value in (default or {}).items()
    }
    return Layer(name=name, kind=kind, summary=name, variables=variables, source=source, **fields)


def handmade_project(*layers: Layer) -> Project:
    return Project(
        settings=Settings(source=Source(path="hubstack.yaml")),
        layers={one.name: one for one in layers},
        stacks={},
        hubs={},
    )


def handmade_graph(project: Project, chains: Sequence[tuple[Chain, Mapping[str, Value]]]) -> Graph:
    """One image a chain, lowest layer first, with the values that differ from the defaults.

    A node's id is the chain up to it with the values that it sees, as in ``base>python>jupyterlab=4.5``.
    """
    nodes: dict[str, Node] = {}
    for chain, given in chains:
        parent, values = "", dict[str, Value]()
        for name in chain:
            for variable in project.layers[name].variables.values():
                value = given.get(variable.name, variable.default)
                assert value is not None
                values[variable.name] = value
            shown = "".join(f"={given[one]}" for one in project.layers[name].variables if one in given)
            node = f"{parent}>{name}{shown}" if parent else f"{name}{shown}"
            nodes[node] = Node(
                id=node,
                layer=name,
                base=chain[0],
                values=dict(sorted(values.items())),
                platform="linux/amd64",
                parents=(parent,) if parent else (),
            )
            parent = node
    return Graph(nodes=nodes, images=(), alone={})


def handmade_inputs(graph: Graph, texts: Mapping[str, str], python: str = "3.13") -> dict[str, PythonInput]:
    """requirements.txt by layer; ``{jupyterlab}`` in it stands for that value, ``python`` for the release in force."""
    return {
        node.id: PythonInput(
            node=node.id,
            layer=node.layer,
            python=python.format(**node.values),
            platform=node.platform,
            lines=tuple(texts[node.layer].format(**node.values).splitlines()),
            values={name: node.values[name] for name in re.findall(r"{(\w+)}", texts[node.layer])},
        )
        for node in graph.nodes.values()
        if node.layer in texts
    }
