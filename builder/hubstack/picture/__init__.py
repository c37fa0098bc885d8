"""The graph for people and for other tools: as a tree of text, Mermaid, SVG or JSON.

Drawn is what a selection names and all that it stands on. Text, Mermaid and SVG show layers, with nodes that differ only
in values as one; with ``nodes`` every node by itself. JSON always holds nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hubstack.graph import needed
from hubstack.graph.select import Selection
from hubstack.model import Graph, Layer, Node, Project
from hubstack.picture.diagram import ArrowKind, Box, BoxKind, Diagram, layer_diagram, node_diagram, shown_values
from hubstack.spelling import enumerate_words


def graph_svg(project: Project, graph: Graph, selection: Selection, *, nodes: bool = False) -> str:
    from hubstack.picture.svg import render_svg

    return render_svg(_diagram(project, graph, selection, nodes=nodes))


def graph_mermaid(project: Project, graph: Graph, selection: Selection, *, nodes: bool = False) -> str:
    """A flowchart, as Markdown of GitHub and GitLab shows it between three backticks and ``mermaid``."""
    diagram = _diagram(project, graph, selection, nodes=nodes)
    names = {box.key: f"n{number}" for number, box in enumerate(diagram.boxes)}
    lines = ["flowchart LR"]
    lines += [f"  {names[box.key]}{_mermaid_box(box)}" for box in diagram.boxes]
    for arrow in diagram.arrows:
        line = "-->" if arrow.kind is ArrowKind.NEEDS else "-. copy .->"
        lines.append(f"  {names[arrow.start]} {line} {names[arrow.end]}")
    for name, style in _CLASSES.items():
        if keys := [names[box.key] for box in diagram.boxes if name in (box.kind, "draft" if box.draft else "")]:
            lines += [f"  classDef {name} {style}", f"  class {','.join(keys)} {name}"]
    return "\n".join(lines) + "\n"


def graph_text(project: Project, graph: Graph, selection: Selection, *, nodes: bool = False) -> str:
    """A tree, the lowest of an image first: ``×2`` stands for two nodes, ``⇒`` before what is published of them."""
    rows = _rows(graph, selection, nodes=nodes)
    children: dict[str, list[str]] = {key: [] for key in rows}
    for key, row in rows.items():
        if row.parent:
            children[row.parent].append(key)
    lines: list[str] = []
    waiting = [(key, "", "") for key, row in reversed(rows.items()) if not row.parent]
    while waiting:
        key, first, rest = waiting.pop()
        lines.append(f"{first}{_row_text(rows[key], project, selection, nodes=nodes)}\n")
        for child in reversed(children[key]):
            twig, stem = ("└─ ", "   ") if child == children[key][-1] else ("├─ ", "│  ")
            waiting.append((child, rest + twig, rest + stem))
    return "".join(lines)


def graph_json(_project: Project, graph: Graph, selection: Selection) -> str:
    """The nodes, in build order, as networkx's ``node_link_graph`` reads them, and the selected images."""
    import json

    nodes = [graph.nodes[node] for node in needed(graph, selection.nodes)]
    edges = [
        {"source": source, "target": node.id, "kind": kind}
        for node in nodes
        for kind, sources in (("parent", node.parents), ("copy", node.copies.values()))
        for source in dict.fromkeys(sources)
    ]
    document = {
        "format": 1,
        "directed": True,
        "multigraph": False,
        "graph": {},
        "nodes": [_json_node(node) for node in nodes],
        "edges": edges,
        "images": [
            {
                "stack": image.variant.stack,
                "variant": image.variant.name,
                "platform": image.platform,
                "node": image.node,
            }
            for image in selection.images
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _diagram(project: Project, graph: Graph, selection: Selection, *, nodes: bool) -> Diagram:
    return (node_diagram if nodes else layer_diagram)(project, graph, selection)


def _json_node(node: Node) -> dict[str, object]:
    return {
        "id": node.id,
        "layer": node.label,
        "base": node.base,
        "values": node.values,
        "platform": node.platform,
        "stacks": node.stacks,
    }


# --- Mermaid -----------------------------------------------------------------------------------------------------------

_SHAPES = {
    BoxKind.BASE: ("[[", "]]"),
    BoxKind.LAYER: ("[", "]"),
    BoxKind.MERGE: ("{{", "}}"),
    BoxKind.STACK: ("([", "])"),
}
_CLASSES = {
    "base": "fill:#334155,stroke:#334155,color:#f8fafc",
    "layer": "fill:#eef2f7,stroke:#64748b,color:#0f172a",
    "merge": "fill:#ecfdf5,stroke:#047857,color:#064e3b",
    "stack": "fill:#fff4e5,stroke:#c2570c,color:#7c2d12",
    "draft": "stroke-dasharray:5 3",
}


def _mermaid_box(box: Box) -> str:
    heading = f"{box.title} ×{box.count}" if box.count > 1 else box.title
    label = "<br>".join(map(_mermaid_text, (heading, *box.notes)))
    left, right = _SHAPES[box.kind]
    return f'{left}"{label}"{right}'


def _mermaid_text(text: str) -> str:
    """With Mermaid's entities for whatever could end the label or begin markup in it."""
    return "".join(one if one.isalnum() or one in " -_.,:/|×…–" else f"#{ord(one)};" for one in text)


# --- text --------------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Row:
    parent: str
    nodes: list[Node]


def _rows(graph: Graph, selection: Selection, *, nodes: bool) -> dict[str, _Row]:
    """By the layers from the base up, or by node id; parents before children."""
    rows: dict[str, _Row] = {}
    keys: dict[str, str] = {}
    for node in map(graph.nodes.__getitem__, needed(graph, selection.nodes)):
        parents = [keys[parent] for parent in node.parents]
        keys[node.id] = key = node.id if nodes else "/".join((*parents, node.label))
        rows.setdefault(key, _Row(parent=parents[0] if parents else "", nodes=[])).nodes.append(node)
    return rows


def _row_text(row: _Row, project: Project, selection: Selection, *, nodes: bool) -> str:
    first = row.nodes[0]
    ids = {node.id for node in row.nodes}
    selected = {image.variant.id: image.variant.stack for image in selection.images}
    stacks = {selected[variant] for node in row.nodes for variant in node.stacks if variant in selected}
    words = [first.id if nodes else first.label]
    words += [f"×{len(row.nodes)}"] if len(row.nodes) > 1 else []
    words += _layer_words(project.layers[first.layer], row) if not first.is_merge else []
    words += [f"[{len(stacks)} stacks]"] if len(stacks) > 1 else []
    images: dict[str, dict[str, None]] = {}
    for image in selection.images:
        if image.node in ids:
            images.setdefault(image.variant.stack, {})[image.variant.name] = None
    words += [f"⇒ {', '.join(_image(stack, names) for stack, names in images.items())}"] if images else []
    return " ".join(words)


def _layer_words(layer: Layer, row: _Row) -> list[str]:
    words = [
        f"{name}={'|'.join(shown_values(variable, {node.values[name] for node in row.nodes}))}"
        for name, variable in layer.variables.items()
    ]
    words += [f"(copies from {enumerate_words(layer.copy_from, 'and')})"] if layer.copy_from else []
    words += ["(repository)"] if layer.repository else []
    return [*words, *(["(draft)"] if layer.draft else [])]


def _image(stack: str, variants: Iterable[str]) -> str:
    names = list(variants)
    return f"{stack}/{names[0]}" if len(names) == 1 else f"{stack}/{{{','.join(names)}}}"
