"""What another ConfigMap would change for people: choices that come and go, new images, and what is new in these.

An image's packages are those of its record in the registry (:mod:`hubstack.record`); an image without one, such as
somebody else's, changes all the same, and nobody can say in what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import groupby
from typing import TypeAlias

from hubstack.errors import RegistryError
from hubstack.hub.configmap import Emitted, Past
from hubstack.hub.menu import COMBINATION
from hubstack.hub.pull import fingerprints_of
from hubstack.hub.setting import SettingChange
from hubstack.names import Names
from hubstack.record import MEDIA_TYPE, Record, parse_record
from hubstack.reference import ImageRef
from hubstack.registry import Registry
from hubstack.spelling import escape

SHOWN = 12
"""Packages of each manager, and settings, that people are shown; JSON has all."""

_MANAGERS = ("", "python", "r", "npm", "debian")  # "": the layers' own versions. What people import comes first.


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    IMAGE = "new image"
    RETIRED = "retired"
    TITLE = "new title"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    manager: str  # empty: a version that a layer asks for
    name: str
    before: str = ""  # empty: it was not there
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    kind: Kind
    profile: str
    option: str
    key: str
    title: str
    before: Past | None = None
    after: Past | None = None
    packages: tuple[PackageChange, ...] | None = None  # None: nobody knows

    @property
    def id(self) -> str:
        return "/".join((self.profile, *([] if self.option == "image" else [self.option]), self.key))


Look: TypeAlias = Callable[[ImageRef], Record | None]


def compare(before: Emitted | None, after: Emitted) -> tuple[Change, ...]:
    """In the order of the launcher, what is removed last."""
    old, new = _flat(before or Emitted()), _flat(after)
    return tuple(
        change
        for place in dict.fromkeys((*new, *old))
        if (change := _change(place, old.get(place), new.get(place))) is not None
    )


def with_packages(changes: Sequence[Change], look: Look) -> tuple[Change, ...]:
    return tuple(replace(one, packages=_packages(one, look)) if one.kind is Kind.IMAGE else one for one in changes)


def package_changes(before: Record, after: Record) -> tuple[PackageChange, ...]:
    found = []
    for manager in dict.fromkeys((*_MANAGERS, *before.packages, *after.packages)):
        old = before.packages.get(manager, {}) if manager else before.versions
        new = after.packages.get(manager, {}) if manager else after.versions
        names = (name for name in sorted({*old, *new}) if old.get(name) != new.get(name))
        some = [
            PackageChange(manager=manager, name=name, before=old.get(name, ""), after=new.get(name, ""))
            for name in names
        ]
        found += sorted(some, key=lambda one: (not one.after, not one.before))  # what is shown first are new versions
    return tuple(found)


def records_of(registry: Registry, names: Names) -> Look:
    """The records of images in the project's registry, each asked for once."""

    @cache
    def look(ref: ImageRef) -> Record | None:
        if ref.host != names.prefix.host:
            return None
        try:
            found = fingerprints_of(registry, ref)  # of several platforms, the first one's tells enough
            content = registry.read_record(names.record(found[0]), artifact_type=MEDIA_TYPE) if found else None
        except RegistryError:
            return None  # what it tells is for reading: the change itself is known without it
        return parse_record(content) if content is not None else None

    return look


def _change(place: tuple[str, str, str], was: Past | None, now: Past | None) -> Change | None:
    profile, option, key = place
    if now is None:
        kind, title = Kind.REMOVED, was.title if was else ""
    elif was is None:
        kind, title = Kind.ADDED, now.title
    elif now.retired and not was.retired:
        kind, title = Kind.RETIRED, now.title
    elif _digest(was) != _digest(now):
        kind, title = Kind.IMAGE, now.title
    elif was.title != now.title:
        kind, title = Kind.TITLE, now.title
    else:
        return None
    return Change(kind=kind, profile=profile, option=option, key=key, title=title, before=was, after=now)


def _digest(past: Past) -> object:
    return ImageRef.parse(past.image).digest if past.image else None


def _packages(change: Change, look: Look) -> tuple[PackageChange, ...] | None:
    refs = [ImageRef.parse(past.image) for past in (change.before, change.after) if past is not None and past.image]
    records = [look(ref) for ref in refs]
    match records:
        case [Record() as before, Record() as after]:
            return package_changes(before, after)
        case _:
            return None


def _flat(emitted: Emitted) -> dict[tuple[str, str, str], Past]:
    return {
        (profile, option, key): past
        for profile, options in emitted.profiles.items()
        for option, choices in options.items()
        for key, past in choices.items()
    }


# --- for people and for machines ---------------------------------------------------------------------------------------


def render_diff(hub: str, changes: Sequence[Change], settings: Sequence[SettingChange], against: str) -> str:
    """Lines for people. The packages of an image that several choices name stand below the first of them."""
    count = f"{len(changes)} choice{'' if len(changes) == 1 else 's'} changed" if changes else "no choice changed"
    lines, shown = [f"{hub}: {count} against {against}"], dict[tuple[str, str], str]()
    for one in changes:
        lines.append(f"  {_MARKS[one.kind]} {one.id}  {_about(one)}")
        if one.kind is Kind.IMAGE and one.before and one.after:
            lines += [f"      {line}" for line in _image_lines(one, one.before, one.after, shown)]
    lines += [f"  ~ {one}" for one in settings[:SHOWN]]
    lines += [f"  and {len(settings) - SHOWN} other settings"] if len(settings) > SHOWN else []
    return "".join(f"{escape(line)}\n" for line in lines)


_MARKS: Mapping[Kind, str] = {
    Kind.ADDED: "+",
    Kind.REMOVED: "-",
    Kind.IMAGE: "~",
    Kind.RETIRED: "!",
    Kind.TITLE: "~",
}


def _about(change: Change) -> str:
    was, now = change.before, change.after
    match change.kind:
        case Kind.ADDED:
            return f"{change.title}{f' ({_short(now)})' if now and now.image else ''}"
        case Kind.REMOVED if change.option == COMBINATION:
            return f"{change.title}, removed: who had chosen it is asked to choose again"
        case Kind.REMOVED if was is not None and not was.retired:
            return f"{change.title}, removed: servers that were saved with it will not start"
        case Kind.REMOVED:
            return f"{change.title}, removed"
        case Kind.TITLE:
            return f"{was.title if was else ''} → {change.title}"
        case _:
            return change.title


def _image_lines(change: Change, was: Past, now: Past, shown: dict[tuple[str, str], str]) -> Iterator[str]:
    yield f"{_short(was)} → {_short(now)}"
    first = shown.setdefault((was.image, now.image), change.id)
    if first != change.id:
        yield f"as {first}"
    elif change.packages is None:
        yield "what is new in it is not known: the registry has no record of both"
    elif not change.packages:
        yield "the same packages"
    else:
        for manager, group in groupby(change.packages, key=lambda one: one.manager):
            yield from _package_lines(manager, [*group])


def _package_lines(manager: str, changes: Sequence[PackageChange]) -> Iterator[str]:
    lines = [_package_line(one) for one in changes[:SHOWN]]
    if len(changes) > SHOWN:
        lines.append(f"and {len(changes) - SHOWN} more")
    width = max(map(len, _MANAGERS)) + 2 if manager else 0
    for index, line in enumerate(lines):
        yield f"{manager if index == 0 else '':<{width}}{line}"


def _package_line(one: PackageChange) -> str:
    if one.before and one.after:
        return f"{one.name} {one.before} → {one.after}"
    return f"+ {one.name} {one.after}" if one.after else f"- {one.name} {one.before}"


def _short(past: Past | None) -> str:
    """``stack:variant-0123456789ab``, or of others' images the name and the digest's first digits."""
    if past is None or not past.image:
        return ""
    ref = ImageRef.parse(past.image)
    return f"{ref.repository.rpartition('/')[2]}:{ref.tag}" if ref.tag else f"{ref.repository}@{str(ref.digest)[:19]}"


def diff_json(
    hub: str, changes: Sequence[Change], settings: Sequence[SettingChange], against: str
) -> dict[str, object]:
    return {
        "hub": hub,
        "against": against,
        "changes": [_change_json(one) for one in changes],
        "settings": [asdict(one) for one in settings],
    }


def _change_json(change: Change) -> dict[str, object]:
    packages = change.packages
    return {
        "change": change.kind,
        "profile": change.profile,
        "option": change.option,
        "key": change.key,
        "title": change.title,
        "before": change.before.image if change.before else None,
        "after": change.after.image if change.after else None,
        "packages": None if packages is None else [_package_json(one) for one in packages],
    }


def _package_json(one: PackageChange) -> dict[str, object]:
    return {"manager": one.manager, "name": one.name, "before": one.before or None, "after": one.after or None}
