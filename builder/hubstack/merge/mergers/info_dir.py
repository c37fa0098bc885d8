"""The menu of info's manuals (Texinfo's manual, "Installing a Dir File": what install-info reads and writes).

A head up to its line ``* Menu:``; then sections, each a title and its entries. An entry begins with ``* `` and goes on in lines
that begin with a space.
"""

from __future__ import annotations

from itertools import groupby

from hubstack.merge.mergers.side import Sides, raw, text, three_way

_Entry = tuple[str, str]  # section, lines; "" is the section itself


def merge_info_dir(sides: Sides) -> bytes:
    """Entries as a set, sorted as install-info does it; of different heads the first by its text."""
    heads, tables = zip(*(_parse(one) for one in (sides.base, *sides.versions)), strict=True)
    entries = three_way(tables[0], tables[1:], lambda entry, was, changed: entry)
    head = min((one for one in heads if one != heads[0]), default=heads[0])
    blocks = [
        f"{section}\n{''.join(lines for _, lines in inside)}"
        for section, inside in groupby(sorted(entries, key=_place), key=lambda entry: entry[0])
    ]
    return raw("\n".join((head, *blocks)))


def _parse(content: bytes) -> tuple[str, dict[_Entry, _Entry]]:
    """The head with its ``* Menu:``, and the entries."""
    head: list[str] = []
    entries: list[_Entry] = []
    section, inside = "", False
    for line in text(content).splitlines():
        if not inside:
            head.append(line)
            inside = line.startswith("* Menu:")
        elif line.startswith("* "):
            entries.append((section, f"{line}\n"))
        elif line.startswith((" ", "\t")) and entries:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]}{line}\n")
        elif line:
            section = line
            entries.append((section, ""))  # it may have none
    return "".join(f"{line}\n" for line in head), {entry: entry for entry in entries}


def _place(entry: _Entry) -> tuple[str, ...]:
    section, lines = entry
    return (section.lower(), section, lines.lower(), lines)
