"""How many of the pairs in an image are certified, for people who ask whether to believe a merge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hubstack.certificate import Certificate, Pair
from hubstack.certificate.pair import pairs_of
from hubstack.pipeline import Inputs
from hubstack.plan import Known, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of one image, on all its platforms: how many pairs its merges put together, and the certificates that there are."""

    pairs: int
    certificates: tuple[Certificate, ...]

    def __str__(self) -> str:
        words = [
            f"{one.layers} differ from a chain in {one.differing} places"
            for one in self.certificates
            if not one.is_good
        ]
        return "; ".join((f"{sum(one.is_good for one in self.certificates)} of {self.pairs} pairs certified", *words))

    def as_json(self) -> dict[str, Any]:
        return {
            "pairs": self.pairs,
            "certified": sum(one.is_good for one in self.certificates),
            "differing": [one.layers for one in self.certificates if not one.is_good],
        }


def standings(
    inputs: Inputs, plan: Plan, known: Known, read: Callable[[Iterable[Pair]], Mapping[str, Certificate]]
) -> Mapping[str, Standing]:
    """By STACK/VARIANT, for images in which something is merged."""
    nodes: dict[str, list[str]] = {}
    for image in plan.images:  # one of each platform
        nodes.setdefault(image.variant.id, []).append(image.node)
    pairs = {variant: pairs_of(inputs, known, some) for variant, some in nodes.items()}
    found = read({pair.key: pair for some in pairs.values() for _, pair in some if pair is not None}.values())
    return {
        variant: Standing(
            pairs=len(some),
            certificates=tuple(found[one.key] for _, one in some if one is not None and one.key in found),
        )
        for variant, some in pairs.items()
        if some
    }
