"""A merged image beside two chains of the same layers.

The chains differ from each other too, so what a merged image is, it must be like one of them. Which packages a chain has
depends on its order: apt takes the first of several alternatives unless another is there already. A merged image has what
its parts have, so it is compared in full with the chains that have the same packages; where no chain has, only with what
both chains have alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.proof.noise import Noise, find_noise
from tests.proof.survey import Survey

PACKAGES = ("packages", "python", "pip", "r")
ALWAYS = (*PACKAGES, "checks", "missing libraries", "stale bytecode", "users", "groups", "config")
"""What has to agree whichever packages the chains have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """``chains`` is what the chains have; None where something isn't there."""

    section: str
    key: str
    merged: str | None
    chains: tuple[str | None, ...]

    def __str__(self) -> str:
        return f"{self.section} {self.key}: {_short(self.merged)} in the merged image, {_chains(self.chains)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``baseline`` counts what differs between the chains; ``whole`` is False where neither has the merged packages."""

    differences: tuple[Difference, ...]
    noise: Mapping[Noise, int]
    baseline: int
    facts: int
    whole: bool


def compare(merged: Survey, chains: Sequence[Survey]) -> Comparison:
    alike = [chain for chain in chains if chain["packages"] == merged["packages"]]
    found = [*_lost(merged, chains)]
    whole = bool(alike or found)  # what has lost packages is no union of anything
    found += _differences(merged, alike or chains, () if alike else PACKAGES)
    if not whole:
        found = [one for one in found if one.section in ALWAYS]
    noise = Counter(known for one in found if (known := find_noise(one.section, one.key)) is not None)
    return Comparison(
        differences=tuple(one for one in found if find_noise(one.section, one.key) is None),
        noise=noise,
        baseline=sum(1 for _ in _differences(chains[0], chains[1:], ())),
        facts=sum(len(keys) for keys in merged.values()),
        whole=whole,
    )


def _differences(merged: Survey, chains: Sequence[Survey], unless: Sequence[str]) -> Iterator[Difference]:
    for section in (one for one in merged if one not in unless):
        there = [chain[section] for chain in chains]
        for key in sorted({*merged[section], *(key for one in there for key in one)}):
            values = tuple(one.get(key) for one in there)
            if merged[section].get(key) not in values:
                yield Difference(section=section, key=key, merged=merged[section].get(key), chains=values)
    yield from _mixed(merged["tree"], [chain["tree"] for chain in chains])


def _mixed(merged: Mapping[str, str], chains: Sequence[Mapping[str, str]]) -> Iterator[Difference]:
    """What is said of one Python distribution agrees with itself: all of it has to be as in one and the same chain."""
    paths: dict[str, set[str]] = {}
    for path in {path for one in (merged, *chains) for path in one if ".dist-info/" in path}:
        if find_noise("tree", path) is None:
            paths.setdefault(path.partition(".dist-info/")[0] + ".dist-info", set()).add(path)
    for folder, inside in sorted(paths.items()):
        unlike = [{path for path in inside if merged.get(path) != chain.get(path)} for chain in chains]
        if all(unlike) and not set.intersection(*unlike):  # what no chain has is a difference of its own
            words = tuple(f"unlike in {', '.join(sorted(one.rpartition('/')[2] for one in some))}" for some in unlike)
            yield Difference(section="tree", key=f"{folder}/", merged="of several chains", chains=words)


def _lost(merged: Survey, chains: Sequence[Survey]) -> Iterator[Difference]:
    """Packages that any chain has."""
    for section in PACKAGES:
        for key in sorted({key for chain in chains for key in chain[section]}):
            values = tuple(chain[section].get(key) for chain in chains)
            mine = merged[section].get(key)
            if mine is None or (mine not in values and None in values):
                yield Difference(section=section, key=key, merged=mine, chains=values)


def _chains(values: Sequence[str | None]) -> str:
    distinct = list(dict.fromkeys(values))
    return f"{' or '.join(map(_short, distinct))} in the chain{'s' if len(values) > 1 else ''}"


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return repr(value if len(value) < 400 else f"{value[:400]}…")
