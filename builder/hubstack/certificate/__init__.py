"""Certificates: that two layers, merged, are what builds of one on the other would have made.

A merge is checked once for each pair of its parts, and what came out is kept in the registry, under what the two images are.
So n layers need n(n-1)/2 checks, and all 2^n combinations profit. Nothing decides by a certificate what to build or to trust:
it says what was seen. What three layers do to each other that no two of them do shows in none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubstack.fingerprint import MERGE
from hubstack.model import Preference
from hubstack.oci import canonical_json
from hubstack.reference import Digest

MEDIA_TYPE = "application/vnd.hubstack.certificate.v1+json"
FORMAT = 2  # raised when the same pair would be judged otherwise
MOST_KEPT = 50  # differences; the rest are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two nodes that some merge puts together. ``digests`` are their images', in the order of ``nodes``; sorted by them."""

    nodes: tuple[str, str]
    digests: tuple[Digest, Digest]
    label: str  # for people: the two layers
    resolve: tuple[Preference, ...] = ()  # what the merge is told of paths that both have

    @property
    def key(self) -> str:
        """64 hex digits: what is compared. Tests are in no image, and so not in it: a verdict says how many have passed."""
        told = [[one.path, one.layer] for one in self.resolve]
        return hashlib.sha256(canonical_json([MERGE, list(self.digests), told])).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """``only`` are packages that the merged image has and no chain, as apt takes the first of several alternatives unless
    another is there already: then just what both chains have alike is compared.
    """

    layers: str
    digests: tuple[Digest, Digest]
    settled: tuple[str, ...] = ()  # what packages had to be told of each other; none: merged in the registry alone
    paths: int  # of the merged image
    tests: int  # commands of the layers' that have passed in it
    only: tuple[str, ...] = ()
    differing: int = 0  # paths, and fields of the config
    differences: tuple[str, ...] = ()  # the first of them

    @property
    def is_good(self) -> bool:
        return not self.differing


def certificate_json(one: Certificate) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "layers": one.layers,
        "digests": list(one.digests),
        "tier": "settle" if one.settled else "merge",
        "settled": list(one.settled),
        "paths": one.paths,
        "tests": one.tests,
        "only": list(one.only),
        "differing": one.differing,
        "differences": list(one.differences),
    }


def parse_certificate(data: Any) -> Certificate | None:
    """The certificate that JSON ``data`` holds; None where it holds none, or another release's."""
    try:
        return _certificate(data) if data["format"] == FORMAT else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # then it is looked at again


def _certificate(data: Mapping[str, Any]) -> Certificate:
    one, other = map(Digest, data["digests"])
    return Certificate(
        layers=str(data["layers"]),
        digests=(one, other),
        settled=tuple(map(str, data["settled"])),
        paths=int(data["paths"]),
        tests=int(data["tests"]),
        only=tuple(map(str, data["only"])),
        differing=int(data["differing"]),
        differences=tuple(map(str, data["differences"])),
    )
