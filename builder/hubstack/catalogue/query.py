"""``xarray>=2025``, ``deb:libgdal*``, ``r-ggplot2``: which packages a person means, and where they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hubstack.catalogue.entry import Entry, Package
from hubstack.catalogue.origin import canonical
from hubstack.catalogue.version import DEBIAN, NPM, PYTHON, R, Test, specifier
from hubstack.errors import HubstackError, UsageError
from hubstack.spelling import did_you_mean, enumerate_words, quote

MANAGERS: Mapping[str, str] = {  # what people write before the colon → the manager
    "python": PYTHON,
    "py": PYTHON,
    "pip": PYTHON,
    "pypi": PYTHON,
    "deb": DEBIAN,
    "debian": DEBIAN,
    "apt": DEBIAN,
    "r": R,
    "cran": R,
    "npm": NPM,
}
TITLES: Mapping[str, str] = {PYTHON: "Python", R: "R", NPM: "npm", DEBIAN: "Debian"}  # in the order that people look

_QUERY = re.compile(r"(?:(?P<manager>[A-Za-z]+):)?(?P<name>[^\s<>=!~]+)\s*(?P<versions>[<>=!~].*)?", re.DOTALL)
_MOST_VERSIONS = 5


class NotFoundError(HubstackError):
    """No image has it: an answer, and for scripts exit code 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    text: str
    manager: str  # empty: any
    name: str  # may be a glob
    versions: str
    fits: Test

    def means(self, package: Package) -> bool:
        """Whether it is one of the packages that are asked for, in whichever version."""
        if self.manager and package.manager != self.manager:
            return False
        return any(_same(package, name) for name in self._names(package.manager))

    def _names(self, manager: str) -> Iterator[str]:
        yield self.name
        if manager == R and not self.manager and self.name.lower().startswith("r-"):
            yield self.name[2:]  # as conda calls them; Debian's r-cran-… are packages of its own


def _same(package: Package, name: str) -> bool:
    known, name = canonical(package.manager, package.name), canonical(package.manager, name)
    if package.manager != DEBIAN:
        known, name = known.lower(), name.lower()
    return fnmatchcase(known, name)


def parse_query(text: str) -> Query:
    """Raises UsageError."""
    match = _QUERY.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{quote(text)} is no package", hint="For example xarray, 'xarray>=2025', deb:git or r:ggplot2."
        )
    word = (match["manager"] or "").lower()
    if word and word not in MANAGERS:
        hint = f"There are {enumerate_words(MANAGERS, 'and')}."
        raise UsageError(f"there is no package manager {quote(word)}{did_you_mean(word, MANAGERS)}", hint=hint)
    versions = (match["versions"] or "").strip()
    return Query(
        text=text.strip(),
        manager=MANAGERS.get(word, ""),
        name=match["name"],
        versions=versions,
        fits=specifier(versions),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    entry: Entry
    package: Package


def search(query: Query, entries: Sequence[Entry]) -> tuple[Hit, ...]:
    """Every image that has it, in the entries' order. Raises NotFoundError, which says what there is instead."""
    meant = [Hit(entry=entry, package=one) for entry in entries for one in entry.packages if query.means(one)]
    found = tuple(hit for hit in meant if query.fits(hit.package.manager, hit.package.version))
    if found:
        return found
    if meant:
        raise NotFoundError(f"no image has {query.text}", hint=f"There is {_there(meant)}.")
    hint = _beginning(query, entries)
    near = (
        ""
        if hint or set("*?[") & set(query.name)
        else did_you_mean(query.name, {name.lower() for name in _known(query, entries)})
    )
    raise NotFoundError(f"no image has {quote(query.name)}{near}", hint=hint)


def _there(meant: Sequence[Hit]) -> str:
    versions: dict[str, list[str]] = {}
    for hit in meant:
        title = TITLES.get(hit.package.manager, hit.package.manager)
        versions.setdefault(f"{hit.package.name} {hit.package.version} ({title})", []).append(hit.entry.id)
    shown = [f"{version} in {enumerate_words(ids, 'and')}" for version, ids in versions.items()]
    return "; ".join((*shown[:_MOST_VERSIONS], *(["and more"] if len(shown) > _MOST_VERSIONS else [])))


def _beginning(query: Query, entries: Sequence[Entry]) -> str:
    """For Debian's libraries, which have their ABI's number in the name."""
    start = query.name.rstrip("*").lower()
    if any(name.lower().startswith(start) for name in _known(query, entries)):
        return f"'{query.text.rstrip('*')}*' finds all whose names begin like that."
    recorded = any(entry.packages for entry in entries)
    return "" if recorded else "What is in the images was not recorded when they were built."


def _known(query: Query, entries: Sequence[Entry]) -> Iterable[str]:
    return {one.name for entry in entries for one in entry.packages if query.manager in ("", one.manager)}
