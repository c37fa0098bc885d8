"""What can't be merged, whose it is, and who is to do what about it."""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from hubstack.errors import HubstackError


class Cause(StrEnum):
    """What a conflict comes from. It decides what can be done about it."""

    PATH = "path"  # parts want different things of it, and any one of them would do
    PLACE = "place"  # the same, but a word about it would not be enough
    DATABASE = "database"  # they say different things in a file that is true only in whole
    VERSION = "version"  # one package, two versions
    RELATION = "relation"  # what a package requires or excludes
    RIVAL = "rival"  # packages that exclude each other
    ID = "id"
    RANGE = "range"  # of subordinate ids
    INTEREST = "interest"  # one part's packages would have acted on another's files
    CONFIG = "config"
    ORDER = "order"  # one says that it stands after the other
    EXCLUSION = "exclusion"  # one says that it conflicts with the other
    OTHER = "other"


_LINE = "build one on the other (`after:` with the other's name in one's layer.yaml)"
_APART = "say in one's layer.yaml that it `conflicts:` with the other"
_SHARED = "a layer that both require"
_OPTIONS = "keep them apart where they are options (`conflicts:` there)"
REMEDIES = {
    Cause.PATH: f"Move it into {_SHARED}, {_LINE}, {_OPTIONS}, or say in the stack, for each path, whose version stands: "
    "`resolve: {{path}: {layer: LAYER, reason: WHY}}`.",
    Cause.PLACE: f"Move it into {_SHARED}, {_LINE}, or {_OPTIONS}.",
    Cause.DATABASE: f"Move what says it into {_SHARED}, or {_LINE}.",
    Cause.VERSION: f"Install it in {_SHARED}, or bring both to one version (`hubstack update` locks one), or {_APART}.",
    Cause.RELATION: f"Install what is required in {_SHARED}, or bring it to a version that fits all, or {_APART}.",
    Cause.RIVAL: "Leave one of the packages out, or bring them to versions that bear each other (`hubstack update` locks the "
    f"newest), or {_APART}.",
    Cause.ID: "Give each name one id of its own: `hubstack update --only ids` does so where packages make the accounts, and a "
    f"Dockerfile names the id itself. Or make the account in {_SHARED}.",
    Cause.RANGE: "Make an account without such ids (`useradd --system`), or give it others (`useradd --key SUB_UID_MIN=FIRST --key "
    f"SUB_GID_MIN=FIRST`), or make both in {_SHARED}.",
    Cause.INTEREST: f"Install the package that acts in {_SHARED}, or {_LINE}.",
    Cause.CONFIG: f"Set it in {_SHARED}, or in one of them only.",
    Cause.ORDER: "Make a stack of both, in which it is built on the other: `hubstack compose` builds no layer on another.",
    Cause.EXCLUSION: "Leave one of them out.",
    Cause.OTHER: f"Change what the layers say, or {_LINE}, or {_APART}.",
}
_PLAIN = re.compile(r"[\w/.+@~-]+")  # what YAML needs no quotes for
_SHOWN = 3  # paths of one kind; of more, the folder and their number


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """``path`` has no leading slash; ``what`` ends a sentence about it, or is one where there is no path. ``whole``: it is a
    folder, and about what stands in it as well. ``packages`` are Debian's that it is about.
    """

    parts: tuple[str, ...]
    path: str
    what: str
    cause: Cause = Cause.OTHER
    whole: bool = False
    packages: tuple[str, ...] = ()

    def __str__(self) -> str:
        return shown(f"{' and '.join(self.parts)}: {f'/{self.path} ' if self.path else ''}{self.what}")

    @property
    def remedy(self) -> str:
        """What would help, each way a whole one."""
        path = f"/{self.path}"
        # what isn't UTF-8 no YAML has
        cause = Cause.PLACE if self.cause is Cause.PATH and shown(path) != path else self.cause
        return REMEDIES[cause].replace(
            "{path}", path if _PLAIN.fullmatch(path) else json.dumps(path, ensure_ascii=False)
        )


def shown(text: str) -> str:
    """What people can read of a path that isn't UTF-8: its other bytes in hexadecimal."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def first_line(fault: HubstackError) -> str:
    """The first of what a fault says, of several conflicts the first."""
    if isinstance(fault, MergeConflict):
        return str(fault.conflicts[0])
    return fault.message.splitlines()[0]


class MergeConflict(HubstackError):
    """Layers that can't be put together as they are. ``conflicts`` are all of them, the message has those that tell."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        names = sorted({name for conflict in conflicts for name in conflict.parts})
        shown = "\n".join(f"  {line}" for line in _lines(conflicts))
        super().__init__(f"{', '.join(names)} can't be merged:\n{shown}")
        self.conflicts = tuple(conflicts)


def _lines(conflicts: Iterable[Conflict]) -> Iterator[str]:
    """Each as `who: what. How to mend.`; what is mended alike has its remedy on the last line only."""

    def kind(one: Conflict) -> tuple[tuple[str, ...], Cause]:
        return one.parts, one.cause

    for _, alike in groupby(sorted(set(conflicts), key=lambda one: (*kind(one), one.what, one.path)), key=kind):
        first, *more = alike
        *most, last = _fewer([first, *more])
        yield from (f"{one}." for one in most)
        yield f"{last}. {first.remedy}"


def _fewer(alike: Sequence[Conflict]) -> Iterator[Conflict]:
    """Of many paths of which the same is to be said, the folder in which they are."""
    for what, group in groupby(alike, key=lambda one: one.what):
        same = [*group]
        if len(same) <= _SHOWN:
            yield from same
            continue
        folder = os.path.commonpath([f"/{one.path}" for one in same]).lstrip("/")
        first = same[0].path
        has = "has" if folder else "have"  # the layers do, which are named before
        yield replace(same[0], path=folder, what=f"{has} {len(same)} paths of which each {what}, /{first} the first")
