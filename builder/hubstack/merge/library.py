"""Packages of languages: of one name there is one version in a folder, and each has what it requires."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.entry import Index, folders, hides


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """``folder`` is where packages stand beside each other; ``requires`` is in the language's own form. ``extended`` are the names
    of those of which it wants more than they bring by themselves. Of one name in folders that are one to others, that of the
    lowest ``rank`` is taken.
    """

    folder: str
    name: str
    version: str
    requires: tuple[str, ...] = ()
    extended: tuple[str, ...] = ()
    rank: int = 0


Reader = Callable[[str, bytes], Package | None]
"""(path, content) → the package that the file describes; None for any other file."""


def packages(index: Index, read: Reader) -> dict[tuple[str, str], Package]:
    """(folder, name) → the package, of what an index itself says."""
    return _by_name(described(index, read).values())


def _by_name(found: Iterable[Package]) -> dict[tuple[str, str], Package]:
    best: dict[tuple[str, str], Package] = {}
    for one in found:
        there = best.setdefault((one.folder, one.name), one)
        if one.rank <= there.rank:
            best[one.folder, one.name] = one
    return best


def described(index: Index, read: Reader) -> dict[str, Package]:
    """The path that describes a package → the package."""
    found = ((path, read(path, content)) for path, content in index.contents.items())
    return {path: package for path, package in found if package is not None and path in index.entries}


def standing(base: Index, above: Index, read: Reader) -> dict[tuple[str, str], Package]:
    """The same, with what is left of the base's."""
    left = [
        package
        for path, package in described(base, read).items()
        if path not in above.entries and not any(_hidden(folder, above) for folder in folders(path))
    ]
    return _by_name([*left, *described(above, read).values()])


def _hidden(folder: str, above: Index) -> bool:
    entry = above.entries.get(folder)
    return entry is not None and hides(entry)


def two_versions(parts: Mapping[str, Index], base: Index, read: Reader) -> Iterator[Conflict]:
    """What two parts have put into one folder under one name: two versions, or one that is written in two ways."""
    seen: dict[tuple[str, str], tuple[str, str, str]] = {}  # (folder, name) → (version, part, where that is said)
    for part, index in parts.items():
        found = described(index, read).items()
        own = {
            (package.folder, package.name): (package, path)
            for path, package in sorted(found, key=lambda one: one[0])
            if index.entries[path] != base.entries.get(path)
        }
        for key, (package, path) in sorted(own.items(), key=lambda one: one[0]):
            version, other, where = seen.setdefault(key, (package.version, part, path))
            what = f"has {package.name} {version} of {other} and {package.version} of {part}"
            if version == package.version and where != path:
                what += f" (in {_folder(where)} and {_folder(path)})"
            if (version, where) != (package.version, path):
                yield Conflict(parts=(other, part), path=package.folder, what=what, cause=Cause.VERSION)


def _folder(path: str) -> str:
    return path.split("/")[-2]


Unmet = Callable[[str, Mapping[str, Package]], Iterator[tuple[str, str]]]
"""(folder, name → package) → (name, requirement that nothing there meets)."""


def breaches(base: Index, parts: Mapping[str, Index], merged: Index, read: Reader, unmet: Unmet) -> Iterator[Conflict]:
    """Requirements that hold in each part and not in all together, in folders into which several have put something.

    Of more than two parts also what one of them breaks by itself: it may not excuse what two others do to each other.
    """
    had = packages(base, read)
    have = {part: standing(base, index, read) for part, index in parts.items()}
    changed = {part: {key for key in had.keys() | own if had.get(key) != own.get(key)} for part, own in have.items()}
    together, known = standing(base, merged, read), [*have.values()] if len(parts) == 2 else [had]
    for folder in sorted({key[0] for keys in changed.values() for key in keys}):
        if sum(any(key[0] == folder for key in keys) for keys in changed.values()) < 2:
            continue
        inside = _inside(together, folder)
        if all(_as_in(_inside(own, folder), inside) for own in have.values()):
            continue
        missing = [*unmet(folder, inside)]
        before = {one for own in known for one in unmet(folder, _inside(own, folder))} if missing else set()
        for name, requirement in missing:
            if (name, requirement) not in before:
                package = inside[name]
                who = tuple(sorted(part for part, keys in changed.items() if any(key[0] == folder for key in keys)))
                what = f"has {name} {package.version}, which requires {requirement}, and that does not hold in all together"
                yield Conflict(parts=who, path=folder, what=what, cause=Cause.RELATION)


def _as_in(own: Mapping[str, Package], together: Mapping[str, Package]) -> bool:
    """Whether everything has what a part has, as that has it, and nobody is asked for more there whom the part lacks: then all
    that is required by it is met or unmet as it was.
    """
    added = together.keys() - own.keys()
    return all(together.get(name) == one and added.isdisjoint(one.extended) for name, one in own.items())


def _inside(found: Mapping[tuple[str, str], Package], folder: str) -> dict[str, Package]:
    return {name: package for (where, name), package in found.items() if where == folder}
