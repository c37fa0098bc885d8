"""Databases whose order says nothing, as sorted pieces: two files are the same when they have the same pieces.

On purpose without the mergers: what judges a merge must not forget what a merger forgets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from hubstack.merge.mergers.ld_so_cache import parse_cache
from hubstack.merge.mergers.side import Clash


def same(path: str, one: bytes, other: bytes) -> bool:
    """Whether two different contents of a file say the same. Of what is no such database an index may keep a part only."""
    pieces = _find(path)
    try:
        return pieces is not None and pieces(one) == pieces(other)
    except (Clash, ValueError, LookupError):  # it can't be read
        return False


def holds(path: str, whole: bytes, parts: Sequence[bytes]) -> bool:
    """Whether ``whole`` has every piece that all ``parts`` have; False of what is no such database."""
    pieces = _find(path)
    try:
        return pieces is not None and _all(map(pieces, parts)) <= _all([pieces(whole)])
    except (Clash, ValueError, LookupError):
        return False


def _all(several: Iterable[Sequence[object]]) -> frozenset[str]:
    return frozenset.intersection(*(frozenset(map(repr, one)) for one in several))


def _find(path: str) -> Callable[[bytes], Sequence[object]] | None:
    return next((pieces for pattern, pieces in _PIECES if pattern.fullmatch(path)), None)


def _lines(content: bytes) -> Sequence[object]:
    return sorted(content.splitlines())


def _different_lines(content: bytes) -> Sequence[object]:
    """Of lists that are sets: on bookworm update-shells writes zsh twice."""
    return sorted(set(content.splitlines()))


def _stanzas(content: bytes) -> Sequence[object]:
    return sorted(sorted(one.splitlines()) for one in content.split(b"\n\n") if one.strip())


def _triples(content: bytes) -> Sequence[object]:
    lines = content.splitlines()
    return sorted(lines[at : at + 3] for at in range(0, len(lines), 3))


def _groups(content: bytes) -> Sequence[object]:
    """Members in any order (group(5), gshadow(5))."""
    lines = (line.split(b":") for line in content.splitlines())
    return sorted([*fields[:-1], *sorted(fields[-1].split(b","))] for fields in lines)


def _libraries(content: bytes) -> Sequence[object]:
    """In order: the first that fits is loaded. The texts behind them may lie in the file in any way."""
    return parse_cache(content)[0]


_FORMS: dict[str, Callable[[bytes], Sequence[object]]] = {
    r"var/lib/(dpkg/status|apt/extended_states)": _stanzas,
    r"var/cache/debconf/(config|templates|passwords)\.dat": _stanzas,
    r"var/lib/dpkg/diversions": _triples,
    r"var/lib/dpkg/(statoverride|triggers/.*)": _lines,
    r"var/lib/ucf/(hashfile|registry)": _lines,
    r"var/lib/systemd/deb-systemd-.*\.dsh-also": _lines,
    r"var/lib/shells\.state|etc/shells": _different_lines,
    r"etc/(passwd|shadow|subuid|subgid)": _lines,
    r"etc/(group|gshadow)": _groups,
    r"etc/ld\.so\.cache": _libraries,
    r"usr/share/info/dir|.*\.dist-info/RECORD": _lines,
}
_PIECES = [(re.compile(pattern), pieces) for pattern, pieces in _FORMS.items()]
