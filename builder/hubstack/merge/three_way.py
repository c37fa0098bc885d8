"""The three-way merge of file trees: what several parts make of one base, put together.

Each part was built on the base without knowing of the others. A path that one part changes is as that part has it. One that
several change is the same in all of them, or has a merger of its own (a database of which each part wrote its lines), or
is noise, or is made anew as the merge is settled, or is a conflict: never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

from hubstack.merge.abridged import whole
from hubstack.merge.alternative import Tree, is_group, link_of, links_of, relink, wanted_links
from hubstack.merge.behind import behind
from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.entry import GONE, OPAQUE, Entry, Index, Kind, file_entry, folders, hides
from hubstack.merge.interest import Interest, interests, makes
from hubstack.merge.mergers import EXTENDED_STATES, STATUS, Clash, Merger, Sides, find_merger, is_database
from hubstack.merge.mergers.alternative import chosen_by_name, merge_alternatives, parse_group
from hubstack.merge.mergers.dpkg import merge_extended_states
from hubstack.merge.noise import is_icon_cache, is_noise
from hubstack.merge.stacked import Stacked, among, pile, shared

_FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o755)  # what a package's first file makes where nobody says otherwise

_UNREADABLE = (ValueError, LookupError)  # what parsers of tables raise where one is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something built on the base: a layer, or what was merged of several above one layer."""

    name: str
    index: Index


@dataclass(kw_only=True)
class Merged:
    """``written`` is what the topmost filesystem layer has to say, so that the stacked parts become ``index``. Of the paths
    that are ``shared`` several parts say something; of those ``anew`` it doesn't matter what, once the merge is settled.
    """

    index: Index
    shared: Set[str]
    written: Mapping[str, Entry]
    anew: Set[str]
    conflicts: Sequence[Conflict]


def merge(base: Index, parts: Sequence[Part]) -> Merged:
    """``parts`` in stacking order, lowest first; the result depends on their order only in what ``written`` repeats."""
    return _Merge(base, parts).result()


@dataclass
class _Merge:
    """A merge at work."""

    base: Index
    parts: Sequence[Part]
    entries: Stacked[Entry] = field(init=False)  # as the topmost part has them, with what is put ``over`` that
    over: dict[str, Entry] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)  # paths of which more than one part says something
    contents: dict[str, bytes] = field(default_factory=dict)
    written: dict[str, Entry] = field(default_factory=dict)
    anew: set[str] = field(default_factory=set)
    conflicts: list[Conflict] = field(default_factory=list)

    def __post_init__(self) -> None:
        whole = Stacked[Entry](())
        for index in self._indexes:
            both = shared(whole, index.entries)
            whole = pile(whole, index.entries, both)
            self.shared |= both
            self.contents |= index.contents
        self.over |= whole.over
        self.entries = Stacked(whole.layers, self.over, whole.gone)

    def result(self) -> Merged:
        groups = {path: changed for path in self.shared if is_group(path) and len(changed := self._changed(path)) > 1}
        links = {path: self._links(path, changed) for path, changed in groups.items()}
        owned = {link for path, some in links.items() for link in some if self._is_the_groups(link, groups[path])}
        for path in sorted(path for path in self.shared - owned if self._differs(path)):
            self._settle(path, [part for part in self.parts if path in part.index.entries])
        for path, changed in sorted(groups.items()):
            self._relink(path, changed, links[path])
        self._merge_extended_states()
        self._drop_icon_caches()
        self.conflicts += [*self._buried(), *self._astray()]
        pieces = (*self._indexes, Index(entries=self.written))
        index = Index(entries=self.entries, contents=self.contents, pieces=pieces)
        return Merged(index=index, shared=self.shared, written=self.written, anew=self.anew, conflicts=self.conflicts)

    def _differs(self, path: str) -> bool:
        said = [entry for index in self._indexes if (entry := index.entries.get(path)) is not None]
        return said.count(said[0]) < len(said)

    def _changed(self, path: str) -> list[Part]:
        was = self.base.entries.get(path)
        return [part for part in self.parts if part.index.entries.get(path, was) != was]

    @property
    def _tree(self) -> Tree:
        return Tree(base=self.base.entries, above=self.entries)

    def _links(self, group: str, changed: Sequence[Part]) -> list[str]:
        """The links of a group of alternatives that several parts have changed."""
        contents = [index.contents.get(group, b"") for index in (self.base, *(part.index for part in changed))]
        return sorted({self._tree.place(link) for link in links_of(group, contents)})

    def _is_the_groups(self, path: str, changed: Sequence[Part]) -> bool:
        """Whether it is a link that nobody has changed but parts that have ``changed`` its group."""
        if any(all(part is not one for one in changed) for part in self._changed(path)):
            return False
        said = [index.entries[path] for index in (self.base, *self._indexes) if path in index.entries]
        return all(entry.kind in {Kind.LINK, Kind.WHITEOUT} for entry in said)

    @property
    def _indexes(self) -> list[Index]:
        return [part.index for part in self.parts]

    def _relink(self, group: str, changed: Sequence[Part], owned: Sequence[str]) -> None:
        """Where the links of a merged group lead, now that it is known which files there are."""
        if any(part.index.entries[group].kind is not Kind.FILE for part in changed):
            return  # the group is gone, or a conflict
        sides = self._sides(group, changed)
        try:
            merged, file = parse_group(merge_alternatives(sides)), chosen_by_name(sides)
        except Clash as clash:
            if not any(one.path == group for one in self.conflicts):
                self._clash(group, changed, clash)
            return
        file = file or merged.best(sides.pointed)
        relink(owned, wanted_links(group, merged, file, self._tree), self._tree, self._put)

    def _settle(self, path: str, users: Sequence[Part]) -> None:
        top = users[-1].index.entries[path]
        was = self.base.entries.get(path)
        changed = [part for part in users if part.index.entries[path] != was]
        wanted = {part.index.entries[path] for part in changed}
        if not wanted or wanted == {top}:
            return  # nobody changes it, or all do so alike and the topmost says it last
        if all(one.kind is Kind.DIRECTORY for one in wanted):
            self._put(path, self._folder(path, was, changed))
        elif (merger := find_merger(path)) is not None and all(one.kind is Kind.FILE for one in wanted):
            self._merge_contents(path, merger, changed)
        elif is_noise(path):
            return
        elif len(wanted) == 1:
            self._restore(path, changed)
        elif self._is_made_anew(path, wanted):
            self.anew.add(path)
        else:
            whole = self._is_about_a_folder(was, wanted)
            self._refuse(path, changed, _difference(path, changed), whole=whole)

    def _is_about_a_folder(self, was: Entry | None, wanted: Set[Entry]) -> bool:
        """Whether somebody has a folder of it, and somebody has not."""
        kinds = {one.kind for one in wanted}
        return len(kinds) > 1 and Kind.DIRECTORY in kinds | ({was.kind} if was is not None else set())

    def _is_made_anew(self, path: str, wanted: Set[Entry]) -> bool:
        """Whichever stands is replaced once the merge is settled."""
        plain = all(one.kind in {Kind.FILE, Kind.WHITEOUT} for one in wanted)
        return plain and any(makes(one, path, self.base.links) for one in self._interests)

    @cached_property
    def _interests(self) -> Sequence[Interest]:
        return [*interests(self.base, {part.name: part.index for part in self.parts})]

    def _folder(self, path: str, was: Entry | None, changed: Sequence[Part]) -> Entry:
        wanted = [part.index.entries[path] for part in changed]
        merged = was if was is not None and was.kind is Kind.DIRECTORY else _FOLDER
        for name in ("mode", "uid", "gid", "xattrs"):
            values = {getattr(one, name) for one in wanted} - {getattr(merged, name)}
            if len(values) > 1:
                self._refuse(path, changed, f"is a folder whose {name} they set differently")
            for value in values:
                merged = merged._replace(**{name: value})
        emptied = any(one.content == OPAQUE for one in wanted)
        return merged._replace(content=OPAQUE if emptied else "")

    def _merge_extended_states(self) -> None:
        """Who has asked for a package by name says so by its absence: a part may say something without the file."""
        holders = [part for part in self.parts if STATUS in part.index.entries or EXTENDED_STATES in part.index.entries]
        wanted = {part.index.entries.get(EXTENDED_STATES) for part in holders}
        if len(holders) < 2 or not wanted - {self.base.entries.get(EXTENDED_STATES), None}:
            return None
        if GONE in wanted:
            return None
        try:
            content = merge_extended_states(self._sides(EXTENDED_STATES, holders))
        except Clash as clash:
            return self._clash(EXTENDED_STATES, holders, clash)
        if sorted(content.split(b"\n\n")) != sorted(self.contents[EXTENDED_STATES].split(b"\n\n")):
            self._put(EXTENDED_STATES, file_entry(content), content)
        return None

    def _drop_icon_caches(self) -> None:
        """GTK believes one whose date is not older than its folder's, and in an image all are of one date."""
        caches = sorted({path for part in self.parts for path in part.index.icon_caches})
        for path in caches:
            theme = path.rpartition("/")[0]
            if not is_icon_cache(path) or self.entries.get(path, GONE).kind is not Kind.FILE:
                continue
            if sum(any(part.index.inside(theme)) for part in self.parts) > 1:
                self._put(path, GONE)

    def _merge_contents(self, path: str, merger: Merger, changed: Sequence[Part]) -> None:
        entries = [part.index.entries[path] for part in changed]
        try:
            content = merger(self._sides(path, changed))
        except Clash as clash:
            self._clash(path, changed, clash)
            return
        except _UNREADABLE as fault:
            self._refuse(path, changed, f"can't be read as what it should be ({fault!r})", Cause.DATABASE)
            return
        owners = {(one.mode, one.uid, one.gid, one.xattrs) for one in entries}
        was = self.base.entries.get(path)
        if len(owners) > 1 and was is not None:
            owners -= {(was.mode, was.uid, was.gid, was.xattrs)}
        if len(owners) > 1:
            self._refuse(path, changed, "has different modes or owners")
            return
        mode, uid, gid, xattrs = owners.pop()
        self._put(path, file_entry(content, mode=mode, uid=uid, gid=gid, xattrs=xattrs), content)

    def _sides(self, path: str, changed: Sequence[Part]) -> Sides:
        return Sides(
            base=whole(path, self.base, {}) or b"",
            versions=[self._version(path, part) for part in changed],
            beside=[{**self.base.contents, **part.index.contents} for part in changed],
            below=self.base.contents,
            pointed=self._pointed(path, changed) if is_group(path) else (),
        )

    def _version(self, path: str, part: Part) -> bytes:
        if path not in part.index.entries:
            return self.base.contents.get(path, b"")
        content = whole(path, part.index, self.base.entries)
        if content is None:
            raise Clash("can't be read from what its index keeps")
        return content

    def _pointed(self, group: str, changed: Sequence[Part]) -> Sequence[str]:
        link, was = link_of(group), self.base.entries
        found = (was.get(link), *(part.index.entries.get(link, was.get(link)) for part in changed))
        return ["" if entry is None else entry.content for entry in found]

    def _restore(self, path: str, changed: Sequence[Part]) -> None:
        """One version is wanted, but a part above only repeats what the base has. Whoever writes it needs its content."""
        self._put(path, changed[0].index.entries[path], changed[0].index.contents.get(path))

    def _put(self, path: str, entry: Entry, content: bytes | None = None) -> None:
        self.over[path] = self.written[path] = entry
        self.contents.pop(path, None)
        if content is not None:
            self.contents[path] = content

    def _clash(self, path: str, changed: Sequence[Part], clash: Clash) -> None:
        parts = [changed[number] for number in clash.versions] if clash.versions else changed
        self._refuse(path, parts, clash.sentence([part.name for part in parts]), clash.cause)

    def _refuse(
        self, path: str, parts: Sequence[Part], what: str, cause: Cause = Cause.PATH, *, whole: bool = False
    ) -> None:
        cause = Cause.DATABASE if cause is Cause.PATH and is_database(path) else cause
        owners = (
            dict.fromkeys(filter(None, (behind(path, part.index) for part in parts))) if cause is Cause.PATH else {}
        )
        what += f" ({', '.join(owners)})" if owners else ""
        names = tuple(sorted(part.name for part in parts))
        self.conflicts.append(Conflict(parts=names, path=path, what=what, cause=cause, whole=whole))

    def _buried(self) -> Iterator[Conflict]:
        """What one part puts into a folder that another has removed, or made into something else."""
        everywhere = set[str]().union(*(part.index.folders for part in self.parts))
        for part in self.parts:
            odd = among(part.index.entries, everywhere - part.index.kept)
            hidden = {path for path in odd if hides(part.index.entries[path]) and not is_noise(path)}
            for other in self.parts if hidden else ():
                for path in sorted(hidden & other.index.folders if other is not part else ()):
                    if any(other.index.inside(path)):
                        what = f"is a folder with files in {other.name}, and removed or replaced by {part.name}"
                        parts = tuple(sorted((other.name, part.name)))
                        yield Conflict(parts=parts, path=path, what=what, cause=Cause.PLACE)

    def _astray(self) -> Iterator[Conflict]:
        """An entry below what is a link in the base would put a folder in the link's place: /bin gone, say."""
        for part in self.parts:
            behind = {path for path in self.base.links.keys() & part.index.folders if not self._replaced(path, part)}
            for path in sorted(part.index.entries) if behind else ():
                if not behind.isdisjoint(folders(path)):
                    yield Conflict(parts=(part.name,), path=path, what="stands behind a link")

    def _replaced(self, path: str, part: Part) -> bool:
        """Whether a part has made a folder of it."""
        entry = part.index.entries.get(path)
        return entry is not None and entry.kind is Kind.DIRECTORY


def _difference(path: str, changed: Sequence[Part]) -> str:
    wanted = [part.index.entries[path] for part in changed]
    kinds = {entry.kind for entry in wanted}
    if Kind.WHITEOUT in kinds:
        gone = [part.name for part, entry in zip(changed, wanted, strict=True) if entry.kind is Kind.WHITEOUT]
        others = [part.name for part in changed if part.name not in gone]
        return f"is removed by {' and by '.join(sorted(gone))} and changed by {' and by '.join(sorted(others))}"
    if len(kinds) > 1:
        return f"is a {' and a '.join(sorted(kinds))}"
    if len({entry.content for entry in wanted}) > 1:
        return "points to different places" if kinds == {Kind.LINK} else "has different contents"
    return "has different modes, owners or attributes"
