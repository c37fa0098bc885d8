"""A diagram as SVG: readable on white and on black, without scripts, fonts or any other file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from hubstack.picture.diagram import Arrow, ArrowKind, Box, BoxKind, Diagram
from hubstack.picture.placement import Gaps, Place, Placement, Rectangle, Size, place
from hubstack.spelling import enumerate_words

_TITLE, _NOTE = 13, 11  # font sizes, px
_MARGIN = 12
_PADDING = 11
_HEAD = 5  # of an arrow, before the box
_GAPS = Gaps(column=46, box=14, line=12)
_WIDEST_NOTE = 28  # characters
_SHARES = dict.fromkeys("fijlrtI.,:;|!'()[] ", 0.38) | dict.fromkeys("mwMW@%×…", 0.95)  # of the font's size
_ROLE = 'role="img" aria-labelledby="hubstack-title hubstack-desc"'

_STYLE = """\
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif; font-size: 13px; fill: #0f172a; text-anchor: middle }
.legend { text-anchor: start }
.title { font-weight: 600 } .count { fill: #64748b } .note, .legend { font-size: 11px; fill: #475569 }
rect { fill: #eef2f7; stroke: #64748b; stroke-width: 1.2 }
.base rect { fill: #334155; stroke: #334155 } .base text { fill: #f8fafc } .base .note, .base .count { fill: #cbd5e1 }
.merge rect { fill: #ecfdf5; stroke: #047857 } .merge .title { fill: #064e3b }
.stack rect { fill: #fff4e5; stroke: #c2570c } .stack .title { fill: #7c2d12 } .stack .note, .stack .count { fill: #9a3412 }
.draft rect { stroke-dasharray: 5 3 }
path { fill: none; stroke: #94a3b8; stroke-width: 1.4 }
.to-stack { stroke: #e08a4c } .copies { stroke: #7c6fd6; stroke-dasharray: 3 3 }
marker path { fill: #94a3b8; stroke: none } #hubstack-to-stack path { fill: #e08a4c } #hubstack-copies path { fill: #7c6fd6 }
@media (prefers-color-scheme: dark) {
  text { fill: #e2e8f0 } .count { fill: #94a3b8 } .note, .legend { fill: #a9b6c8 }
  rect { fill: #1e293b; stroke: #7f8ea3 }
  .base rect { fill: #cbd5e1; stroke: #cbd5e1 } .base text { fill: #0f172a } .base .note, .base .count { fill: #334155 }
  .merge rect { fill: #06281d; stroke: #34d399 } .merge .title { fill: #a7f3d0 }
  .stack rect { fill: #3b1d0b; stroke: #e9853f } .stack .title { fill: #ffd9b8 } .stack .note, .stack .count { fill: #f0b183 }
  path { stroke: #64748b } marker path { fill: #64748b }
}"""


def render_svg(diagram: Diagram) -> str:
    sizes = {box.key: _size(box) for box in diagram.boxes}
    edges = [(arrow.start, arrow.end) for arrow in diagram.arrows]
    last = [box.key for box in diagram.boxes if box.kind is BoxKind.STACK]
    placed = place(sizes, edges, last, _GAPS)
    legend = _legend(diagram)
    width = max(placed.size[0], *(_width(line, _NOTE) for line in legend), 0) + 2 * _MARGIN
    height = placed.size[1] + 2 * _MARGIN + len(legend) * 16
    size = f'width="{_number(width)}" height="{_number(height)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_number(width)} {_number(height)}" {size} {_ROLE}>',
        '<title id="hubstack-title">Layers and stacks</title>',
        f'<desc id="hubstack-desc">{escape(_description(diagram))}</desc>',
        f"<style>\n{_STYLE}\n</style>",
        f"<defs>{''.join(_marker(name) for name in ('needs', 'to-stack', 'copies'))}</defs>",
        f'<g transform="translate({_MARGIN} {_MARGIN})">',
        *(_arrow(arrow, diagram, placed) for arrow in diagram.arrows),
        *(_box(box, placed.boxes[box.key]) for box in diagram.boxes),
        *_legend_lines(legend, placed.size[1]),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _size(box: Box) -> Size:
    width = max(_width(_heading(box), _TITLE, bold=True), *(_width(_shortened(note), _NOTE) for note in box.notes), 0)
    return width + 2 * _PADDING, 28.0 + 15 * len(box.notes)


def _heading(box: Box) -> str:
    return f"{box.title} ×{box.count}" if box.count > 1 else box.title


def _shortened(note: str) -> str:
    return note if len(note) <= _WIDEST_NOTE else f"{note[: _WIDEST_NOTE - 1].rstrip()}…"


def _width(text: str, size: float, *, bold: bool = False) -> float:
    """Rather too wide than too narrow: who knows the reader's font. As in DejaVu Sans, the widest of the likely ones."""
    shares = sum(_SHARES.get(one, 0.72 if one.isupper() else 0.62) for one in text)
    return size * shares * (1.12 if bold else 1)


def _box(box: Box, place: Rectangle) -> str:
    x = place.left + place.width / 2
    kind = f"{box.kind} draft" if box.draft else str(box.kind)
    count = f' <tspan class="count">×{box.count}</tspan>' if box.count > 1 else ""
    baseline = place.top + 18.5
    notes = "".join(
        f'<text class="note" x="{_number(x)}" y="{_number(baseline + 15 * number)}">{escape(_shortened(note))}</text>'
        for number, note in enumerate(box.notes, start=1)
    )
    return (
        f'<g class="{kind}"><title>{escape(_tooltip(box))}</title>'
        f'<rect x="{_number(place.left)}" y="{_number(place.top)}" width="{_number(place.width)}" '
        f'height="{_number(place.height)}" rx="{_number(min(place.height / 2, 20) if box.kind is BoxKind.STACK else 5)}"/>'
        f'<text x="{_number(x)}" y="{_number(baseline)}"><tspan class="title">{escape(box.title)}</tspan>{count}</text>'
        f"{notes}</g>"
    )


def _tooltip(box: Box) -> str:
    draft = ", a draft" if box.draft else ""
    return f"{box.kind} {_heading(box)}{draft}{': ' if box.notes else ''}{', '.join(box.notes)}"


def _arrow(arrow: Arrow, diagram: Diagram, placed: Placement) -> str:
    kind = "to-stack" if diagram.by_key[arrow.end].kind is BoxKind.STACK else str(arrow.kind)
    *points, (x, y) = placed.lines[arrow.start, arrow.end]
    return f'<path class="{kind}" d="{_curve([*points, (x - _HEAD, y)])}" marker-end="url(#hubstack-{kind})"/>'


def _curve(points: Sequence[Place]) -> str:
    """Level where it leaves a column and where it reaches one."""
    pieces = [f"M{_number(points[0][0])} {_number(points[0][1])}"]
    for (x, y), (right, next_y) in pairwise(points):
        middle = _number((x + right) / 2)
        level = f"H{_number(right)}"
        curve = f"C{middle} {_number(y)} {middle} {_number(next_y)} {_number(right)} {_number(next_y)}"
        pieces.append(level if abs(next_y - y) < 0.05 else curve)
    return "".join(pieces)


def _marker(kind: str) -> str:
    return (
        f'<marker id="hubstack-{kind}" viewBox="0 0 8 8" refX="3" refY="4" markerWidth="7" markerHeight="7" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>'
    )


def _legend(diagram: Diagram) -> list[str]:
    words = []
    if any(box.count > 1 and box.kind is not BoxKind.STACK for box in diagram.boxes):
        words.append("×2: built twice, with other values or on other layers")
    if any(box.draft for box in diagram.boxes):
        words.append("dashed box: a draft")
    if any(arrow.kind is ArrowKind.COPIES for arrow in diagram.arrows):
        words.append("dashed line: only files are copied")
    return ["  ·  ".join(words)] if words else []


def _legend_lines(legend: Sequence[str], top: float) -> Iterator[str]:
    for number, line in enumerate(legend, start=1):
        yield f'<text class="legend" x="0" y="{_number(top + 6 + number * 16)}">{escape(line)}</text>'


def _description(diagram: Diagram) -> str:
    names = {kind: [box.title for box in diagram.boxes if box.kind is kind] for kind in BoxKind}
    words = [
        f"{len(found)} {kind}{'s' if len(found) > 1 else ''}: {enumerate_words(found, 'and')}."
        for kind, found in names.items()
        if found
    ]
    return " ".join(words)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
