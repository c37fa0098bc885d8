"""What `hubstack simulate` has found as one SVG: makespans, and beside them how far they are from the best possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from hubstack.ci.matrix import minutes
from hubstack.ci.simulate import Simulated

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
_NAMES = {"github": "GitHub, waves of jobs", "pool": "BuildKit pool", "argo": "Argo, a pod a node"}
_WIDTH, _HEIGHT = 380.0, 270.0  # of a panel
_LEFT, _TOP, _GAP = 62.0, 62.0, 84.0
_TICKS_S = (
    (60, "1 min"),
    (600, "10 min"),
    (3600, "1 h"),
    (10 * 3600, "10 h"),
    (100 * 3600, "100 h"),
    (1000 * 3600, "1000 h"),
)

_ROLE = 'role="img" aria-labelledby="scale-title scale-desc"'

_STYLE = """\
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif; font-size: 12px; fill: #334155 }
.title { font-size: 14px; font-weight: 600; fill: #0f172a } .end { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #e2e8f0; stroke-width: 1 } .axis { stroke: #64748b; stroke-width: 1 }
.line { fill: none; stroke-width: 2 } .dot { stroke: #fff; stroke-width: 1 }
.github { stroke: #2563eb } .pool { stroke: #059669 } .argo { stroke: #d97706 }
.bound { fill: none; stroke: #64748b; stroke-width: 1.5; stroke-dasharray: 2 4 }
.dot.github { fill: #2563eb; stroke: #fff } .dot.pool { fill: #059669; stroke: #fff } .dot.argo { fill: #d97706; stroke: #fff }
.cross { stroke-width: 2.5; fill: none; stroke-dasharray: none }
@media (prefers-color-scheme: dark) {
  text { fill: #cbd5e1 } .title { fill: #f1f5f9 } .grid { stroke: #334155 } .axis, .bound { stroke: #94a3b8 }
  .github { stroke: #60a5fa } .pool { stroke: #34d399 } .argo { stroke: #fbbf24 }
  .dot.github { fill: #60a5fa; stroke: #0f172a } .dot.pool { fill: #34d399; stroke: #0f172a } .dot.argo { fill: #fbbf24; stroke: #0f172a }
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """Where values go, in the coordinates of the panel: its lower left corner is (0, _HEIGHT)."""

    x: Callable[[float], float]
    y: Callable[[float], float]
    value: Callable[[Simulated], float]


def render_chart(rows: Sequence[Simulated]) -> str:
    """``rows`` in ascending order of nodes, all with the same number of runners."""
    x = _scale([row.nodes for row in rows], _WIDTH)
    times = [seconds for row in rows for seconds in (row.makespan_s, row.bound_s)]
    y = _scale(times, _HEIGHT)
    most = max(2.0, math.ceil(max(map(_ratio, rows)) * 2) / 2)
    makespan = _Panel(x=x, y=lambda one: _HEIGHT - y(one), value=lambda row: row.makespan_s)
    ratio = _Panel(x=x, y=lambda one: _HEIGHT * (most - one) / (most - 1), value=_ratio)
    width, height = 2 * _WIDTH + _LEFT + _GAP + 24, _TOP + _HEIGHT + 88
    size = f'width="{width:g}" height="{height:g}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" {size} {_ROLE}>',
            '<title id="scale-title">Makespan beside its lower bound</title>',
            f'<desc id="scale-desc">{escape(_description(rows))}</desc>',
            f"<style>\n{_STYLE}\n</style>",
            f'<g transform="translate({_LEFT:g} {_TOP:g})">',
            f'<text class="title" x="0" y="-34">Everything is built, on {rows[0].runners} machines: how long it takes</text>',
            *_grid_x(rows, makespan),
            *(_grid_y(label, makespan.y(at)) for at, label in _TICKS_S if min(times) <= at <= max(times)),
            *_lines(rows, makespan),
            _polyline("bound", [(x(row.nodes), makespan.y(row.bound_s)) for row in rows if row.engine == "pool"]),
            "</g>",
            f'<g transform="translate({_LEFT + _WIDTH + _GAP:g} {_TOP:g})">',
            '<text class="title" x="0" y="-34">… and that, beside the least possible time</text>',
            *_grid_x(rows, ratio),
            *(_grid_y(f"{1 + step / 2:.1f} ×", ratio.y(1 + step / 2)) for step in range(int(2 * most) - 1)),
            *_lines(rows, ratio),
            "</g>",
            *_legend(rows, _TOP + _HEIGHT + 62),
            "</svg>\n",
        )
    )


def _ratio(row: Simulated) -> float:
    return row.makespan_s / row.bound_s


def _scale(values: Sequence[float], length: float) -> Callable[[float], float]:
    """A logarithmic one that has all ``values`` on it."""
    low, high = math.log10(min(values)), math.log10(max(values))
    span = high - low or 1.0
    return lambda value: length * (math.log10(value) - low) / span


def _grid_x(rows: Sequence[Simulated], panel: _Panel) -> Iterable[str]:
    sizes = sorted({row.nodes for row in rows})
    powers = [size for size in sizes if math.log10(size).is_integer()]
    for size in powers or sizes:
        at = panel.x(size)
        yield f'<line class="grid" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{_HEIGHT:g}"/>'
        yield f'<text class="middle" x="{at:.1f}" y="{_HEIGHT + 18:g}">{size:,}</text>'
    yield f'<line class="axis" x1="0" y1="{_HEIGHT:g}" x2="{_WIDTH:g}" y2="{_HEIGHT:g}"/>'
    yield f'<text class="end" x="{_WIDTH:g}" y="{_HEIGHT + 36:g}">nodes</text>'


def _grid_y(label: str, at: float) -> str:
    return (
        f'<line class="grid" x1="0" y1="{at:.1f}" x2="{_WIDTH:g}" y2="{at:.1f}"/>'
        f'<text class="end" x="-8" y="{at + 4:.1f}">{label}</text>'
    )


def _lines(rows: Sequence[Simulated], panel: _Panel) -> Iterable[str]:
    for engine, name in _NAMES.items():
        own = [row for row in rows if row.engine == engine]
        points = [(panel.x(row.nodes), panel.y(panel.value(row))) for row in own]
        yield _polyline(f"line {engine}", points)
        for row, (x, y) in zip(own, points, strict=True):
            said = f"{name}, {row.nodes:,} nodes: {minutes(row.makespan_s)}, {_ratio(row):.2f} × the least"
            yield f"<g><title>{escape(' — '.join(filter(None, (said, row.ends))))}</title>{_mark(row, x, y)}</g>"


def _mark(row: Simulated, x: float, y: float) -> str:
    if not row.ends:
        return f'<circle class="dot {row.engine}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'<path class="cross {row.engine}" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"/>'


def _polyline(name: str, points: Sequence[tuple[float, float]]) -> str:
    return f'<polyline class="{name}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _legend(rows: Sequence[Simulated], y: float) -> Iterable[str]:
    at = _LEFT
    for engine, name in _NAMES.items():
        yield f'<line class="line {engine}" x1="{at:g}" y1="{y - 4:g}" x2="{at + 22:g}" y2="{y - 4:g}"/>'
        yield f'<text x="{at + 28:g}" y="{y:g}">{name}</text>'
        at += 60 + 6.4 * len(name)
    yield f'<line class="bound" x1="{at:g}" y1="{y - 4:g}" x2="{at + 22:g}" y2="{y - 4:g}"/>'
    yield f'<text x="{at + 28:g}" y="{y:g}">least possible (pool)</text>'
    if any(row.ends for row in rows):
        at += 170
        yield f'<path class="cross bound" d="M{at:g} {y - 9:g}l10 10m0 -10l-10 10"/>'
        yield f'<text x="{at + 18:g}" y="{y:g}">beyond its limits</text>'


def _description(rows: Sequence[Simulated]) -> str:
    return " ".join(
        f"{_NAMES[row.engine]}, {row.nodes} nodes: {minutes(row.makespan_s)}, at least {minutes(row.bound_s)}."
        for row in rows
    )
