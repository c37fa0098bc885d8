"""Moves a built node onto a newer build of what it stands on: what git's cherry-pick does for a commit.

The old parent is the ancestor of the merge, the new one and the node are its sides. What both must agree on is checked from the
indexes alone; no filesystem layer is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from hubstack.merge.alternative import Tree
from hubstack.merge.assembly import Assembled, Workshop, find_lost, plain, readable
from hubstack.merge.built import Built
from hubstack.merge.config import merge_configs
from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import GONE, Entry, Index, Kind, overlay
from hubstack.merge.interest import interests
from hubstack.merge.mergers.ld_so_cache import parse_cache
from hubstack.merge.mergers.side import text
from hubstack.merge.noise import is_noise
from hubstack.merge.stacked import among, different, stacked
from hubstack.merge.three_way import Part, merge
from hubstack.reference import Fingerprint

LD_SO_CACHE = "etc/ld.so.cache"
RELEASES = ("usr/lib/os-release", "etc/os-release")
MOST_MOVES = 7  # each may add a filesystem layer, which a build does without
_NAMED = ("ID", "VERSION_ID", "VERSION_CODENAME")
_WHEELS = re.compile(r"/(site|dist)-packages/")
_LIBRARY = re.compile(r"lib.*\.so(\.\d+)*")
_PYTHONS = ("usr/bin/python3", "usr/local/bin/python3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebased:
    """``built`` is the node on the new parent, without the digest of its image; ``assembled`` the whole image."""

    assembled: Assembled
    built: Mapping[Fingerprint, Built]


def rebase(
    old: Mapping[Fingerprint, Built], node: Fingerprint, new: Mapping[Fingerprint, Built], parent: Fingerprint
) -> Rebased:
    """``old`` holds the node and all that it stands on, ``new`` all that it is to stand on, ``parent`` being the topmost.

    ``assembled.nodes`` ends with ``node``; what the merge writes is above its own filesystem layers.
    """
    moved = old[node]
    workshop = Workshop(built={**old, **new})
    (below,) = moved.parents
    was, now = workshop.tree(below), workshop.tree(parent)
    fresh = {old_one for old_one in new if old_one not in old}
    name = "+".join(sorted({new[one].name for one in fresh} - {""})) or new[parent].name
    parts = [Part(name=f"the new {name}", index=_difference(was, now)), Part(name=moved.name, index=moved.index)]
    merged = merge(was, parts)
    config, odd = merge_configs(old[below].config, [(parts[0].name, new[parent].config), (moved.name, moved.config)])
    tree = overlay(was, merged.index)
    said = _written(moved.index, now, tree, merged.written)
    written = {path: entry for path, entry in said if path not in merged.anew}
    gone = {path for path, entry in parts[0].index.entries.items() if entry.kind is Kind.WHITEOUT}
    broken = [*_machine(old[below], new[parent]), *_contract(was, now, moved.index, gone)]
    conflicts = [
        *(Conflict(parts=(parts[0].name, moved.name), path="", what=what) for what in broken),
        *merged.conflicts,
        *odd,
        *readable(was, parts, merged.index),
    ]
    if moved.moves >= MOST_MOVES:
        what = f"was moved {moved.moves} times, and a build does without the filesystem layers that this has added"
        conflicts.append(Conflict(parts=(moved.name,), path="", what=what))
    assembled = Assembled(
        nodes=(*workshop.order(new), node),
        index=tree,
        written=written,
        config=config,
        lost=find_lost(tree, written, {**new, node: moved}),
        conflicts=tuple(conflicts),
        interests=tuple(dict.fromkeys(interests(was, {part.name: part.index for part in parts}))),
    )
    return Rebased(assembled=assembled, built={**new, node: moved})


def moved_index(rebased: Rebased, node: Fingerprint) -> Index:
    """What the node says on its new parent: its own paths, and those that the merge has written, as they are now."""
    assembled = rebased.assembled
    own = rebased.built[node].index
    tree = assembled.index
    now = {path: tree.entries.get(path, GONE) for path in _touched(own, tree, assembled.written)}
    over = {path: entry if path in own.opaque else plain(entry) for path, entry in now.items()}
    entries = stacked(own.entries).but(over)  # in which the next move sees at once what is as it was
    contents = {path: content for path, content in tree.contents.items() if path in entries}
    return Index(entries=entries, contents=contents, pieces=(own, Index(entries=over)))


def _touched(own: Index, tree: Index, written: Mapping[str, Entry]) -> Set[str]:
    """The paths that may be otherwise in ``tree`` than in ``own``, of which it has been made, and those that are new."""
    return among(own.entries, stacked(tree.entries).changed) | written.keys()


def _difference(was: Index, now: Index) -> Index:
    paths = sorted(different(was.entries, now.entries))
    entries = {path: now.entries.get(path, GONE) for path in paths}
    return Index(entries=entries, contents={path: one for path, one in now.contents.items() if path in entries})


def _written(own: Index, now: Index, tree: Index, merged: Mapping[str, Entry]) -> Iterator[tuple[str, Entry]]:
    for path in sorted(_touched(own, tree, merged)):
        stacked = own.entries.get(path) or now.entries.get(path, GONE)
        wanted = tree.entries.get(path, GONE)
        if stacked == wanted or plain(stacked) == plain(wanted):
            continue
        if not is_noise(path) or wanted == GONE:
            yield path, plain(wanted)


# --- the contract ------------------------------------------------------------------------------------------------------


def _contract(was: Index, now: Index, own: Index, gone: Set[str]) -> Iterator[str]:
    """What a node may rely on in what it stands on, beyond the relations of its packages. ``gone`` are paths of ``was``."""
    yield from _release(was, now)
    yield from _libraries(was, now, gone)
    yield from _ends(was, now, own, gone)
    yield from _numbers(was, now)
    yield from _pythons(was, now)


def _release(was: Index, now: Index) -> Iterator[str]:
    before, after = (_version(index) for index in (was, now))
    if before != after:
        yield f"the release is {after or 'unknown'}, and was {before or 'unknown'}"


def _version(index: Index) -> str:
    """os-release(5): what is being made has a name, and no number yet."""
    for path in RELEASES:
        lines = (line.partition("=") for line in text(index.contents.get(path, b"")).splitlines())
        said = {name: value.strip("\"'") for name, _, value in lines}
        if said:
            return " ".join(filter(None, (said.get(name) for name in _NAMED)))
    return ""


def _machine(old: Built, new: Built) -> Iterator[str]:
    if old.machine != new.machine:
        yield f"it is for {new.machine}, and was for {old.machine}"


def _libraries(was: Index, now: Index, gone: Set[str]) -> Iterator[str]:
    """By the names by which programs ask for them: those of ldconfig, and wherever else they lie."""
    before, after = (
        {library.name for library in parse_cache(index.contents[LD_SO_CACHE])[0]}
        if LD_SO_CACHE in index.contents
        else set()
        for index in (was, now)
    )
    if lost := sorted((before | _sonames(was, gone)) - after):
        yield f"there is no {', '.join(lost[:3])} any more"


def _sonames(tree: Index, paths: Iterable[str]) -> Set[str]:
    """Of libraries; a file to which a link leads has another name in each version, and what a wheel brings is its own."""
    found = [path for path in paths if _LIBRARY.fullmatch(path.rpartition("/")[2]) and not _WHEELS.search(path)]
    ends = {target.rpartition("/")[2] for target in tree.links.values()} if found else set()
    names = ((path.rpartition("/")[2], tree.entries[path].kind) for path in found)
    return {name for name, kind in names if kind is Kind.LINK or name not in ends}


def _ends(was: Index, now: Index, own: Index, gone: Set[str]) -> Iterator[str]:
    """Links of the node to what is not there any more: an environment's to its Python, say."""
    names = {path.rpartition("/")[2] for path in gone}
    links = [path for path, target in own.links.items() if target.rstrip("/").rpartition("/")[2] in names]
    before, after = (Tree(base=index.entries, above=own.entries) for index in (was, now))
    for path in sorted(links):
        if before.exists(path) and not after.exists(path):
            yield f"/{path} leads to {own.links[path]}, which is gone"


def _numbers(was: Index, now: Index) -> Iterator[str]:
    for table, word in (("etc/passwd", "user"), ("etc/group", "group")):
        before, after = (_ids(index.contents.get(table, b"")) for index in (was, now))
        for name in sorted(before.keys() & after.keys()):
            if before[name] != after[name]:
                yield f"the {word} {name} has the id {after[name]}, and had {before[name]}"


def _ids(content: bytes) -> dict[str, str]:
    lines = (line.split(":") for line in text(content).splitlines())
    return {line[0]: line[2] for line in lines if len(line) > 2}


def _pythons(was: Index, now: Index) -> Iterator[str]:
    """Environments name their Python by its path, and their packages lie in a folder with its release."""
    for path in sorted(path for path in _PYTHONS if path in was.entries):
        before, after = was.entries[path], now.entries.get(path, GONE)
        if before.kind is Kind.LINK and before.content != after.content:
            yield f"/{path} is {after.content or 'gone'}, and was {before.content}"
