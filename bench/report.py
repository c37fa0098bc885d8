"""From samples to medians, ratios and targets; as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.measure import Sample

OURS = "hubstack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``value`` is to be at most ``limit``, or at least where ``least`` says so; None: it could not be measured."""

    what: str
    value: float | None
    limit: float
    unit: str
    least: bool = False

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.least else self.value <= self.limit

    def line(self) -> str:
        says = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        value = "-" if self.value is None else f"{self.value:.2f}"
        bound = "at least" if self.least else "at most"
        return f"{says:<12}  {self.what}: {value}, {bound} {self.limit:g} {self.unit}".rstrip()


@dataclass
class Results:
    """Samples by scenario (``cold 30``) and tool, each list in the order of the rounds."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    digests: dict[str, dict[str, list[int]]] = field(default_factory=dict)  # how many changed
    notes: list[str] = field(default_factory=list)

    def add(self, scenario: str, tool: str, sample: Sample) -> None:
        self.samples.setdefault(scenario, {}).setdefault(tool, []).append(sample)

    def wall(self, scenario: str, tool: str) -> float | None:
        """The median, in seconds."""
        found = self.samples.get(scenario, {}).get(tool)
        return median(one.wall_s for one in found) if found else None

    def peak(self, scenario: str, tool: str) -> float | None:
        """The largest process of any round, in bytes."""
        found = self.samples.get(scenario, {}).get(tool)
        return max(one.rss_bytes for one in found) if found else None

    def ratio(self, scenario: str, above: str, below: str) -> float | None:
        """The median of the rounds' ratios: what slows a machine down for a while slows both down."""
        tools = self.samples.get(scenario, {})
        return paired_ratio([one.wall_s for one in tools.get(above, [])], [one.wall_s for one in tools.get(below, [])])


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> float | None:
    pairs = list(zip(above, below, strict=False))
    return median(one / other for one, other in pairs) if pairs else None


def least(*values: float | None) -> float | None:
    """The smallest; None where one is missing."""
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(values) else None


def times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def quotient(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def difference(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else above - below


def table(results: Results) -> Iterator[str]:
    yield f"{'':<28}{'tool':<14}{'n':>3}{'median':>9}{'min':>8}{'max':>8}{'cpu':>8}{'MB':>6}{'× ours':>8}{'digests':>9}"
    for scenario, tools in results.samples.items():
        for tool, samples in tools.items():
            walls = [one.wall_s for one in samples]
            ratio = results.ratio(scenario, tool, OURS)
            changed = results.digests.get(scenario, {}).get(tool)
            yield (
                f"{scenario:<28}{tool:<14}{len(samples):>3}{median(walls):>9.2f}{min(walls):>8.2f}{max(walls):>8.2f}"
                f"{median(one.cpu_s for one in samples):>8.2f}{max(one.rss_bytes for one in samples) / 1e6:>6.0f}"
                f"{'' if ratio is None else format(ratio, '.2f'):>8}{'' if changed is None else str(max(changed)):>9}"
            )


def as_json(results: Results, targets: Sequence[Target], machine: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": 1,
        "machine": dict(machine),
        "notes": results.notes,
        "targets": [{**asdict(target), "met": target.met} for target in targets],
        "scenarios": {
            scenario: {
                tool: {
                    "median_s": median(one.wall_s for one in samples),
                    "digests_changed": results.digests.get(scenario, {}).get(tool),
                    "samples": [asdict(one) for one in samples],
                }
                for tool, samples in tools.items()
            }
            for scenario, tools in results.samples.items()
        },
    }
