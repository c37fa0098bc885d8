"""The three-way merge of image configs (OCI image-spec 1.1, config.md), field by field.

Variables and labels by name; variables that are lists of folders, where several parts have changed them, as ordered unions;
ports and volumes one by one; what an image has one of (user, folder, command …) as the one part that changes it says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from hubstack.merge.conflict import Cause, Conflict

_SETS = ("ExposedPorts", "Volumes")
_SINGLE = ("User", "WorkingDir", "Entrypoint", "Cmd", "Shell", "Healthcheck", "StopSignal", "ArgsEscaped", "OnBuild")
_FOLDERS = frozenset(
    [
        "PATH",
        "MANPATH",
        "INFOPATH",
        "LD_LIBRARY_PATH",
        "LIBRARY_PATH",
        "CPATH",
        "C_INCLUDE_PATH",
        "CPLUS_INCLUDE_PATH",
        "PKG_CONFIG_PATH",
        "ACLOCAL_PATH",
        "CMAKE_PREFIX_PATH",
        "CLASSPATH",
        "GI_TYPELIB_PATH",
        "GOPATH",
        "JULIA_DEPOT_PATH",
        "JULIA_LOAD_PATH",
        "JUPYTER_CONFIG_PATH",
        "JUPYTER_PATH",
        "NODE_PATH",
        "OCTAVE_PATH",
        "PERL5LIB",
        "PYTHONPATH",
        "R_LIBS",
        "R_LIBS_SITE",
        "XDG_CONFIG_DIRS",
        "XDG_DATA_DIRS",
    ]
)  # others that end in PATH name one place: PLAYWRIGHT_BROWSERS_PATH, say
_OURS = "io.github.hubstack."  # labels that say of a node what it is


def merge_configs(
    base: Mapping[str, Any], parts: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[dict[str, Any], list[Conflict]]:
    """``base`` and ``parts`` are the objects under ``config`` in the config blobs, parts with their names, lowest first."""
    conflicts: list[Conflict] = []
    merged: dict[str, Any] = {}
    for name in _SETS:
        joint: dict[str, Any] = {
            key: {} for key in _keys(base.get(name) or {}, [config.get(name) or {} for _, config in parts])
        }
        merged |= {name: joint} if joint else {}
    for name in _SINGLE:
        said = _commands(base, parts) if name == "Cmd" else [(part, config.get(name)) for part, config in parts]
        value = _one(name, base.get(name), said, conflicts)
        merged |= {name: value} if value not in (None, "", []) else {}
    conflicts += _mixed(base, parts)
    labels = _texts("label", _labels(base), [(part, _labels(config)) for part, config in parts], conflicts)
    merged |= {"Labels": dict(sorted(labels.items()))} if labels else {}
    env = _texts("variable", _env(base), [(part, _env(config)) for part, config in parts], conflicts)
    merged["Env"] = [f"{name}={value}" for name, value in env.items()]
    return merged, conflicts


def _keys(base: Collection[str], parts: Sequence[Collection[str]]) -> Sequence[str]:
    """What any has put in, without what any has taken out."""
    found = dict.fromkeys(key for one in (base, *parts) for key in sorted(one))
    return [key for key in found if key not in base or all(key in one for one in parts)]


def _commands(base: Mapping[str, Any], parts: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Any]]:
    """Of each part. That ENTRYPOINT in a Dockerfile takes the command away is no word against what another part gives it."""
    said = [(name, config.get("Cmd")) for name, config in parts]
    given = any(command not in (None, base.get("Cmd")) for _, command in said)
    starts = {name for name, config in parts if config.get("Entrypoint") != base.get("Entrypoint")}
    return [(name, command) for name, command in said if not given or command is not None or name not in starts]


def _mixed(base: Mapping[str, Any], parts: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Conflict]:
    """A command is for its entrypoint: not for one that only others set."""
    starts = [name for name, config in parts if config.get("Entrypoint") != base.get("Entrypoint")]
    runs = [name for name, config in parts if config.get("Cmd") != base.get("Cmd") and name not in starts]
    if not starts or not runs:
        return []
    what = f"set Entrypoint ({', '.join(starts)}) and Cmd ({', '.join(runs)}), which belong together"
    return [Conflict(parts=tuple(dict.fromkeys((*starts, *runs))), path="", what=what, cause=Cause.CONFIG)]


def _one(what: str, was: Any, values: Sequence[tuple[str, Any]], conflicts: list[Conflict]) -> Any:
    changed = [(part, value) for part, value in values if value != was]
    wanted = list({repr(value): value for _, value in changed}.values())
    if len(wanted) > 1:
        said = " and ".join("nothing" if value is None else repr(value) for value in wanted)
        parts = tuple(dict.fromkeys(part for part, _ in changed))
        conflicts.append(Conflict(parts=parts, path="", what=f"set {what} to {said}", cause=Cause.CONFIG))
    return wanted[0] if wanted else was


def _texts(
    what: str, base: Mapping[str, str], parts: Sequence[tuple[str, Mapping[str, str]]], conflicts: list[Conflict]
) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name in dict.fromkeys(name for one in (base, *(texts for _, texts in parts)) for name in one):
        was, values = base.get(name), [(part, texts.get(name)) for part, texts in parts]
        one = _folders if what == "variable" and name in _FOLDERS else _one
        value = one(f"the {what} {name}", was, values, conflicts)
        if value is not None:
            merged[name] = value
    return merged


def _folders(
    what: str, was: str | None, values: Sequence[tuple[str, str | None]], conflicts: list[Conflict]
) -> str | None:
    """As others, with its doubled and empty entries, but where several parts have changed it, each in its way."""
    changed = [(part, value) for part, value in values if value != was]
    if len({value for _, value in changed}) > 1:
        joint = _joined(was, [value for _, value in changed])
        if joint is not None:
            return joint
        changed = [
            one for one in changed if any(_joined(was, [one[1], other]) is None for _, other in changed)
        ] or changed
    result: str | None = _one(what, was, changed, conflicts)
    return result


def _joined(was: str | None, values: Sequence[str | None]) -> str | None:
    """Each folder once, in an order that no value contradicts; None where there is none, or one lacks a folder of the base's.

    What that leaves open: what parts have put before a folder of the base's stands as if each part stood on those below it,
    the topmost first; what they have put behind all of them, the lowest first.
    """
    base = [*dict.fromkeys(_split(was))]
    lists = [[*dict.fromkeys(_split(value))] for value in values]
    if any([folder for folder in one if folder in base] != base for one in lists):
        return None
    below: dict[str, set[str]] = {folder: set() for one in lists for folder in one}
    for first, second in (pair for one in lists for pair in pairwise(one)):
        below[second].add(first)
    waiting, order = _ranked(base, lists), list[str]()
    while waiting:
        free = next((folder for folder in waiting if below[folder].issubset(order)), None)
        if free is None:
            return None
        waiting.remove(free)
        order.append(free)
    return ":".join(order) or ":" * len(order)  # the empty place alone


def _ranked(base: Sequence[str], lists: Sequence[Sequence[str]]) -> list[str]:
    """All folders, as they would stand if no part had put one between the base's."""
    ranks = dict.fromkeys(base, (1, 0, 0))
    for number, one in enumerate(lists):
        last = one.index(base[-1]) if base else 0
        for place, folder in enumerate(one):
            if folder in base:
                continue
            if place < last:
                ranks[folder] = (0, -number, place)
            else:
                ranks.setdefault(folder, (2, number, place))
    return sorted(ranks, key=ranks.__getitem__)


def _split(value: str | None) -> list[str]:
    """An empty value is no folder; an empty place beside others would be the working directory."""
    return value.split(":") if value else []


def _labels(config: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in (config.get("Labels") or {}).items() if not name.startswith(_OURS)}


def _env(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
