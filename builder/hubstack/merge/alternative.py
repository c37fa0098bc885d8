"""The links of alternatives, made anew where several parts have changed one group (update-alternatives(1)).

A slave's link is there only where the chosen file brings a file for it, and the merged tree has that file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hubstack.merge.entry import GONE, Entry, Kind
from hubstack.merge.mergers.alternative import GROUPS, LINKS, Group, parse_group
from hubstack.merge.mergers.side import Clash

_DEPTH = 40  # links in a row, of which Linux follows no more (path_resolution(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What the merge has so far above the base; paths are canonical, without a leading slash."""

    base: Mapping[str, Entry]
    above: Mapping[str, Entry]

    def entry(self, path: str) -> Entry | None:
        entry = self.above.get(path, self.base.get(path))
        return None if entry is None or entry.kind is Kind.WHITEOUT else entry

    def place(self, path: str) -> str:
        """The path behind the links of its folders; its last name is left as it is."""
        todo, found, left = [one for one in path.split("/") if one], "", _DEPTH
        while todo:
            name = todo.pop(0)
            if name == "..":
                found = found.rpartition("/")[0]
                continue
            here = f"{found}/{name}" if found else name
            entry = self.entry(here) if todo else None
            if entry is not None and entry.kind is Kind.LINK and left:
                left -= 1
                found = "" if entry.content.startswith("/") else found
                todo = [*(one for one in entry.content.split("/") if one not in {"", "."}), *todo]
            else:
                found = here
        return found

    def exists(self, path: str) -> bool:
        """As stat(2) sees it: behind a link there has to be something."""
        for _ in range(_DEPTH):
            path = self.place(path)
            entry = self.entry(path)
            if entry is None or entry.kind is not Kind.LINK:
                return entry is not None
            folder = "" if entry.content.startswith("/") else path.rpartition("/")[0]
            path = f"{folder}/{entry.content}"
        return False


def is_group(path: str) -> bool:
    return path.startswith(GROUPS)


def link_of(group: str) -> str:
    """The path of the link by which the group at this path has chosen."""
    return LINKS + group.rpartition("/")[2]


def links_of(group: str, versions: Sequence[bytes]) -> Iterator[str]:
    """Every link that a group at this path has in one of its versions, as the group names it."""
    for content in versions:
        try:
            found = parse_group(content)
        except Clash:
            continue
        yield from (link_of(group), found.link)
        for name, link in found.slaves.items():
            yield from (f"{LINKS}{name}", link)


def wanted_links(path: str, group: Group, file: str, tree: Tree) -> dict[str, str]:
    """Link → target, of a merged group of which ``file`` is chosen."""
    links = {link_of(path): file, group.link: f"/{link_of(path)}"}
    for name, brought in group.choices[file].files.items():
        if tree.exists(brought):
            links |= {f"{LINKS}{name}": brought, group.slaves[name]: f"/{LINKS}{name}"}
    return links


def relink(owned: Sequence[str], wanted: Mapping[str, str], tree: Tree, put: Callable[[str, Entry], None]) -> None:
    """Have ``put`` write what differs. What stands in a link's place and is none is left, as update-alternatives leaves it."""
    targets = {tree.place(link): target for link, target in wanted.items()}
    for path in sorted({tree.place(link) for link in owned} | targets.keys()):
        was = tree.entry(path)
        if was is not None and was.kind is not Kind.LINK:
            continue
        if path in targets and (was is None or was.content != targets[path]):
            put(path, Entry(kind=Kind.LINK, content=targets[path]))
        elif path not in targets and was is not None:
            put(path, GONE)
