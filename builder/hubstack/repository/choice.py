"""On which stack a repository is built: what it names, else what its files need, else the default."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from hubstack.repository.specification import Fault, Specification


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An image that repositories may be built on: ``STACK/VARIANT``, or any name where there is no project.

    ``python`` is its release ("3.13"), ``provides`` the names of its layers and of what they provide; both may be unknown.
    """

    name: str
    image: str
    python: str = ""
    provides: Collection[str] = ()

    @property
    def stack(self) -> str:
        return self.name.partition("/")[0]

    def fits(self, wanted: Specification) -> bool:
        """Whether the repository's Python and R are here; what isn't known of a stack is no reason against it."""
        python = not self.python or not wanted.python or same_release(self.python, wanted.python)
        return python and (not self.provides or not wanted.needs_r or "r" in self.provides)


def same_release(have: str, asked: str) -> bool:
    """``3`` and ``3.13`` are both 3.13.5."""
    wanted, there = asked.split("."), have.split(".")
    return all(one == other for one, other in zip(wanted, there, strict=False))


def choose(wanted: Specification, offers: Sequence[Offer], image: str = "") -> Offer:
    """The stack for a repository; ``offers`` from the smallest to the largest.

    ``image`` is the default where it fits, whether or not it is offered; without one, it is the smallest that fits.
    Raises Fault where the repository names a stack that is not offered, or nothing fits.
    """
    own = [one for one in offers if one.image == image] or [Offer(name=image, image=image)]
    offers = [*own, *(one for one in offers if one not in own)] if image else offers
    if wanted.stack and (len(offers) > 1 or not image):
        return _named(wanted, offers)
    fitting = [one for one in offers if one.fits(wanted)]
    if not fitting:
        raise Fault(f"no stack has {_needs(wanted)}. There are: {_listed(offers)}.")
    if any(line.spec.name not in {"python", "pip"} for line in wanted.conda):
        fitting = [one for one in fitting if "conda" in one.provides] or fitting
    return fitting[0]


def find(name: str, offers: Sequence[Offer]) -> tuple[Offer, ...]:
    """The offers that ``STACK`` or ``STACK/VARIANT`` means."""
    return tuple(one for one in offers if name in {one.name, one.stack})


def _named(wanted: Specification, offers: Sequence[Offer]) -> Offer:
    named = find(wanted.stack, offers)
    where = wanted.path("stack")
    if not named:
        near = get_close_matches(wanted.stack, [one.name for one in offers] + [one.stack for one in offers], n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        raise Fault(f"{where}:1: there is no stack {wanted.stack!r}{guess}. There are: {_listed(offers)}.")
    for one in named:
        if one.fits(wanted):
            return one
    raise Fault(f"{where}:1: {wanted.stack!r} has not {_needs(wanted)}. There are: {_listed(offers)}.")


def _needs(wanted: Specification) -> str:
    needs = [f"Python {wanted.python}"] if wanted.python else []
    return " and ".join([*needs, *(["R"] if wanted.needs_r else [])])


def _listed(offers: Sequence[Offer]) -> str:
    return ", ".join(f"{one.name} (Python {one.python})" if one.python else one.name for one in offers) or "none"
