"""Debian's package relations on the union of what several parts have installed (Debian Policy, chapters 5.6.12 and 7)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import zip_longest

from hubstack.merge.mergers.stanza import Stanza, parse_stanzas

_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::(?P<arch>[a-z0-9-]+))?(?:\s*\((?P<operator><<|<=|=|>=|>>)\s*(?P<version>[^)\s]+)\s*\))?"
)
_DIGITS = re.compile(r"(\D*)(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """``package`` needs or excludes ``relation``, as its field says. ``others`` are those that it excludes, or of what it needs
    those that are there, in no fit version.
    """

    package: str
    field: str
    relation: str
    others: tuple[str, ...] = ()

    @property
    def excludes(self) -> bool:
        return self.field in _EXCLUDING

    def __str__(self) -> str:
        return f"{self.package}'s {self.field}: {self.relation}"


_EXCLUDING = ("Conflicts", "Breaks")


@lru_cache(256)  # of many merges, most have parts in common
def breaches(status: bytes) -> tuple[Breach, ...]:
    """What dpkg would complain of, were the packages of a status file installed together; sorted by package."""
    return tuple(_Installed.of(parse_stanzas(status)).breaches())


@lru_cache(64)
def versions(status: bytes) -> Mapping[str, str]:
    """Of what is installed: package → version."""
    return {
        name: stanza.get("Version", "").strip()
        for name, stanza in _Installed.of(parse_stanzas(status)).packages.items()
    }


def known_as(status: bytes, relation: str) -> tuple[str, ...]:
    """The packages that are, in whatever version, what a relation or one of its alternatives says."""
    return _Installed.of(parse_stanzas(status)).known_as(relation)


@dataclass(kw_only=True)
class _Installed:
    """``provided``: name → each package that is that, and in which version; "" is any."""

    packages: Mapping[str, Stanza]
    provided: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, stanzas: Iterable[Stanza]) -> _Installed:
        there = {
            stanza["Package"].strip(): stanza
            for stanza in stanzas
            if stanza.get("Status", "").split()[-1:] == ["installed"]
        }
        found = cls(packages=there)
        for name, stanza in there.items():
            found.provided[name].append((name, stanza.get("Version", "").strip()))
            for relation in _split(stanza.get("Provides", ""), ","):
                if (parsed := _parse(relation)) is not None:
                    provided, _, version = parsed
                    found.provided[provided].append((name, version))
        return found

    def breaches(self) -> Iterator[Breach]:
        for name, stanza in sorted(self.packages.items()):
            for kind in ("Pre-Depends", "Depends"):
                for relation in _split(stanza.get(kind, ""), ","):
                    if not any(self._met(one) for one in _split(relation, "|")):
                        yield Breach(package=name, field=kind, relation=relation, others=self.known_as(relation))
            for kind in _EXCLUDING:
                for relation in _split(stanza.get(kind, ""), ","):
                    if others := self._meeting(relation, but=name):
                        yield Breach(package=name, field=kind, relation=relation, others=tuple(dict.fromkeys(others)))

    def known_as(self, relation: str) -> tuple[str, ...]:
        names = (parsed[0] for one in _split(relation, "|") if (parsed := _parse(one)) is not None)
        return tuple(dict.fromkeys(package for name in names for package, _ in self.provided.get(name, ())))

    def _met(self, relation: str) -> bool:
        return _parse(relation) is None or bool(self._meeting(relation))  # what can't be read is no reason to refuse

    def _meeting(self, relation: str, *, but: str = "") -> list[str]:
        """The packages other than ``but`` that are what ``relation`` says."""
        parsed = _parse(relation)
        if parsed is None:
            return []
        name, operator, wanted = parsed
        return [
            package
            for package, version in self.provided.get(name, ())
            if package != but and (not wanted or (version and _holds(version, operator, wanted)))
        ]


@cache
def _split(value: str, separator: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(separator) if item.strip())


@cache
def _parse(relation: str) -> tuple[str, str, str] | None:
    """The package's name, operator and version, both of which may be empty."""
    match = _RELATION.match(relation)
    return (match["name"], match["operator"] or "", match["version"] or "") if match else None


@cache
def _holds(version: str, operator: str, wanted: str) -> bool:
    order = compare_versions(version, wanted)
    return {"<<": order < 0, "<=": order <= 0, "=": order == 0, ">=": order >= 0, ">>": order > 0}[operator]


def compare_versions(a: str, b: str) -> int:
    """Negative, zero or positive, as deb-version(7) orders them."""
    return next((order for one, other in zip(_parts(a), _parts(b), strict=True) if (order := _compare(one, other))), 0)


def _parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return epoch, upstream, revision


def _compare(a: str, b: str) -> int:
    """Text and numbers in turn; in text `~` comes before the end, the end before letters, letters before the rest."""
    for (text, number), (text2, number2) in zip_longest(_DIGITS.findall(a), _DIGITS.findall(b), fillvalue=("", "")):
        if text != text2:
            one, other = ([_weight(char) for char in side] + [0] for side in (text, text2))
            return -1 if one < other else 1
        if (difference := int(number or 0) - int(number2 or 0)) != 0:
            return difference
    return 0


def _weight(char: str) -> int:
    return -1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256
