"""The three-way merge of image configs (OCI image-spec 1.1, config.md), field by field.

Variables and labels by name; variables that are lists of folders as ordered unions; ports and volumes as unions; what an image
has one of (user, folder, command …) as the one part that changes it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hubstack.merge.conflict import Conflict

_SETS = ("ExposedPorts", "Volumes")
_SINGLE = ("User", "WorkingDir", "Entrypoint", "Cmd", "Shell", "Healthcheck", "StopSignal", "ArgsEscaped")
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
    labels = _texts("label", _labels(base), [(part, _labels(config)) for part, config in parts], conflicts)
    merged |= {"Labels": dict(sorted(labels.items()))} if labels else {}
    env = _texts("variable", _env(base), [(part, _env(config)) for part, config in parts], conflicts)
    merged["Env"] = [f"{name}={value}" for name, value in env.items()]
    return merged, conflicts


def _one(what: str, was: Any, values: Sequence[tuple[str, Any]], conflicts: list[Conflict]) -> Any:
    changed = [(part, value) for part, value in values if value != was]
    wanted = list({repr(value): value for _, value in changed}.values())
    if len(wanted) > 1:
        said = " and ".join(repr(value) for value in wanted)
        parts = tuple(dict.fromkeys(part for part, _ in changed))
        conflicts.append(Conflict(parts=parts, path="", what=f"set {what} to {said}"))
    return wanted[0] if wanted else was


def _texts(
    what: str, base: Mapping[str, str], parts: Sequence[tuple[str, Mapping[str, str]]], conflicts: list[Conflict]
) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name in dict.fromkeys(name for one in (base, *(texts for _, texts in parts)) for name in one):
        was, values = base.get(name), [(part, texts.get(name)) for part, texts in parts]
        if what == "variable" and name.endswith("PATH"):
            value: str | None = _folders(was or "", [value for _, value in values if value is not None])
        else:
            value = _one(f"the {what} {name}", was, values, conflicts)
        if value is not None:
            merged[name] = value
    return merged


def _folders(was: str, values: Sequence[str]) -> str:
    """What parts have put before the base's folders, then these, then what they have put behind; each once."""
    base = was.split(":") if was else []
    before: list[str] = []
    behind: list[str] = []
    for value in values:
        folders = value.split(":")
        first = next((number for number, folder in enumerate(folders) if folder in base), len(folders) if base else 0)
        before += [folder for folder in folders[:first] if folder not in base]
        behind += [folder for folder in folders[first:] if folder not in base]
    return ":".join(dict.fromkeys((*before, *base, *behind)))


def _labels(config: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in (config.get("Labels") or {}).items() if not name.startswith(_OURS)}


def _env(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
