"""The three-way merge of image configs (OCI image-spec 1.1, config.md), field by field.

Variables and labels by name; variables that are lists of folders as ordered unions; ports and volumes as unions; what an image
has one of (user, folder, command …) as the one part that changes it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
            key: {} for one in (base, *(config for _, config in parts)) for key in sorted(one.get(name) or {})
        }
        merged |= {name: joint} if joint else {}
    for name in _SINGLE:
        value = _one(name, base.get(name), [(part, config.get(name)) for part, config in parts], conflicts)
        merged |= {name: value} if value not in (None, "", []) else {}
    conflicts += _mixed(base, parts)
    labels = _texts("label", _labels(base), [(part, _labels(config)) for part, config in parts], conflicts)
    merged |= {"Labels": dict(sorted(labels.items()))} if labels else {}
    env = _texts("variable", _env(base), [(part, _env(config)) for part, config in parts], conflicts)
    merged["Env"] = [f"{name}={value}" for name, value in env.items()]
    return merged, conflicts


def _mixed(base: Mapping[str, Any], parts: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Conflict]:
    """A command is for its entrypoint: not one part's for another's."""
    starts = [name for name, config in parts if config.get("Entrypoint") != base.get("Entrypoint")]
    runs = [name for name, config in parts if config.get("Cmd") != base.get("Cmd")]
    if not starts or not runs or starts == runs:
        return []
    what = f"set Entrypoint ({', '.join(starts)}) and Cmd ({', '.join(runs)}), which belong together"
    return [Conflict(parts=tuple(dict.fromkeys((*starts, *runs))), path="", what=what, cause=Cause.CONFIG)]


def _one(what: str, was: Any, values: Sequence[tuple[str, Any]], conflicts: list[Conflict]) -> Any:
    changed = [(part, value) for part, value in values if value != was]
    wanted = list({repr(value): value for _, value in changed}.values())
    if len(wanted) > 1:
        said = " and ".join(repr(value) for value in wanted)
        parts = tuple(dict.fromkeys(part for part, _ in changed))
        conflicts.append(Conflict(parts=parts, path="", what=f"set {what} to {said}", cause=Cause.CONFIG))
    return wanted[0] if wanted else was


def _texts(
    what: str, base: Mapping[str, str], parts: Sequence[tuple[str, Mapping[str, str]]], conflicts: list[Conflict]
) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name in dict.fromkeys(name for one in (base, *(texts for _, texts in parts)) for name in one):
        was, values = base.get(name), [(part, texts.get(name)) for part, texts in parts]
        if what == "variable" and name in _FOLDERS and _can_join(was, [value for _, value in values]):
            value: str | None = _folders(was or "", [value for _, value in values if value is not None])
        else:
            value = _one(f"the {what} {name}", was, values, conflicts)
        if value is not None:
            merged[name] = value
    return merged


def _can_join(was: str | None, values: Sequence[str | None]) -> bool:
    """Whether each has all that the base has, in its order; else it is as with other variables."""
    base = _split(was)
    lists = [list(dict.fromkeys(_split(value))) for value in values if value is not None]
    return all([folder for folder in one if folder in base] == list(dict.fromkeys(base)) for one in lists)


def _folders(was: str, values: Sequence[str]) -> str:
    """What parts have put before the base's folders, the topmost first, as if each stood on those below; then these, then what
    they have put behind; each once.
    """
    base = _split(was)
    before: list[str] = []
    behind: list[str] = []
    for value in values:
        folders = _split(value)
        first = next((number for number, folder in enumerate(folders) if folder in base), len(folders) if base else 0)
        before = [*(folder for folder in folders[:first] if folder not in base), *before]
        behind += [folder for folder in folders[first:] if folder not in base]
    return ":".join(dict.fromkeys((*before, *base, *behind)))


def _split(value: str | None) -> list[str]:
    """An empty value is no folder; an empty place beside others would be the working directory."""
    return value.split(":") if value else []


def _labels(config: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in (config.get("Labels") or {}).items() if not name.startswith(_OURS)}


def _env(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
