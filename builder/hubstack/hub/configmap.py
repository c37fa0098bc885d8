"""The ConfigMap of a hub: Helm values as text that every YAML reader takes for the same, and back again."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from hubstack.errors import Problem, ProjectError, Severity
from hubstack.hub.menu import COMBINATION, IMAGE
from hubstack.offer import Hub
from hubstack.reference import ImageRef
from hubstack.source import Position
from hubstack.spelling import quote

EMITTED = "profiles/emitted"
"""The project's memory of what each hub was last given: ``<hub>.yaml``, committed."""

WARN_BYTES = 200 * 1024
LIMIT_BYTES = 700 * 1024
"""Kubernetes takes 1 MiB; Helm stores the values twice more, and its copy with the whole chart has the same limit."""

_VALUES = "values.yaml"  # the key that Flux's valuesFrom reads where it is told none
_RETIRED = " (retired, now "
# JSON lets these stand raw in a string; YAML 1.1 calls some of them unprintable and some a line's end.
_NOT_RAW = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A choice as a hub was last given it."""

    title: str
    image: str = ""  # empty: the choice is of an option that sets none
    retired: bool = False
    previous: bool = False  # what the choice named that its key begins with, before that one's last change

    @property
    def own_title(self) -> str:
        """The title that it had before it was retired."""
        return self.title.partition(_RETIRED)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """What users of a hub may have chosen, and a saved server may still name: profile → option → key.

    Combinations of options stand among the options, as COMBINATION.
    """

    profiles: Mapping[str, Mapping[str, Mapping[str, Past]]] = field(default_factory=dict)

    def choices(self, profile: str, option: str) -> Mapping[str, Past]:
        return self.profiles.get(profile, {}).get(option, {})


def retired_title(title: str, successor: str) -> str:
    return f"{title}{_RETIRED}{successor})"


# --- writing -----------------------------------------------------------------------------------------------------------


def render_configmap(hub: Hub, values: Mapping[str, object]) -> str:
    """The whole file. It holds no time and no commit: equal values give equal bytes, and those restart no hub."""
    text = render_yaml(values)
    metadata = {
        "name": hub.configmap,
        "namespace": hub.namespace,
        "labels": {
            "app.kubernetes.io/managed-by": "hubstack",
            "app.kubernetes.io/part-of": "jupyterhub",
            "reconcile.fluxcd.io/watch": "Enabled",  # Flux then upgrades within seconds, not at its next interval
        },
        "annotations": {
            "hubstack/sha256": hashlib.sha256(text.encode()).hexdigest(),
            "kustomize.toolkit.fluxcd.io/substitute": "disabled",  # Flux would replace ${…} in our strings
        },
    }
    head = render_yaml({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    block = "".join(f"    {line}\n" for line in text.splitlines())
    return f'# Written by hubstack from {hub.source.path}: change that file, not this one.\n{head}"data":\n  "{_VALUES}": |\n{block}'


def render_yaml(value: Mapping[str, object]) -> str:
    """Block YAML in which every string and key stands in double quotes: YAML 1.1 readers take ``y`` and ``1e3`` for others."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: object) -> Iterator[str]:
    match value:
        case Mapping() if value:
            for key, one in value.items():
                yield from _entry(f"{_string(str(key))}:", one)
        case list() | tuple() if value:
            for one in value:
                first, *rest = _lines(one)
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
        case _:
            yield _scalar(value)


def _entry(head: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        yield head
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: object) -> str:
    match value:
        case str():
            return _string(value)
        case bool() | None | int():
            return json.dumps(value)
        case float():
            return _number(value)
        case Mapping():
            return "{}"
        case list() | tuple():
            return "[]"
        case _:
            raise TypeError(f"no YAML for {value!r}")


def _string(text: str) -> str:
    return _NOT_RAW.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def _number(value: float) -> str:
    """Without an exponent, and with a point: PyYAML takes ``1e-07`` for a text."""
    text = format(Decimal(repr(value)), "f")
    return text if "." in text else f"{text}.0"


def write_if_changed(path: Path, text: str) -> bool:
    """Whether ``path`` was written. A reader sees the old or the new file, whole, also after a crash."""
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def size_problems(hub: Hub, text: str) -> tuple[Problem, ...]:
    size = len(text.encode())
    if size <= WARN_BYTES:
        return ()
    return (
        Problem(
            position=hub.source.at("configmap"),
            what=f"this hub's ConfigMap has {size // 1024} KiB; Kubernetes and Helm store it in objects of 1 MiB",
            remedy="Offer fewer variants, or shorten what they say of themselves.",
            severity=Severity.ERROR if size > LIMIT_BYTES else Severity.WARNING,
        ),
    )


# --- reading -----------------------------------------------------------------------------------------------------------


def load_emitted(root: Path, hub: Hub) -> Emitted | None:
    """What ``hub`` was last given, or None where it was given nothing yet. Raises ProjectError."""
    path = root / EMITTED / f"{hub.name}.yaml"
    return parse_configmap(path.read_text(encoding="utf-8"), f"{EMITTED}/{hub.name}.yaml") if path.is_file() else None


_FROM_GIT = "Take it from git again; or remove it, and nobody checks that saved servers still start."


def parse_configmap(text: str, path: str, remedy: str = _FROM_GIT) -> Emitted:
    """The choices of a ConfigMap that hubstack wrote; ``path`` and ``remedy`` are for messages. Raises ProjectError.

    What a cluster adds to it, it may have: ``kubectl get configmap NAME -o yaml`` is read as well.
    """
    import yaml

    try:
        values = chart_values(text)
        marks = values.get("custom", {}).get("imageStacks", {})
        return Emitted(profiles={one["slug"]: _options(one, marks) for one in values["singleuser"]["profileList"]})
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        problem = Problem(
            position=Position(path=path),
            what="this is not a ConfigMap that hubstack wrote",
            remedy=remedy,
        )
        raise ProjectError([problem]) from error


def chart_values(text: str) -> dict[str, Any]:
    """What the JupyterHub chart gets of a ConfigMap that ``parse_configmap`` can read."""
    import yaml

    values: dict[str, Any] = yaml.safe_load(yaml.safe_load(text)["data"][_VALUES])
    while "singleuser" not in values:  # an umbrella chart's keys stand above, one in the other
        (values,) = values.values()
    return values


def _options(profile: Any, marks: Any) -> dict[str, dict[str, Past]]:
    retired, previous = (marks.get(mark, {}).get(profile["slug"], {}) for mark in ("retired", "previous"))
    groups = marks.get("combinations", {}).get(profile["slug"], {})
    combinations = {
        key: Past(title=one["title"], image=str(ImageRef.parse(one["image"])))
        for name, group in groups.items()
        if name not in retired.get(IMAGE, ())  # a retired profile's are its successor's
        for key, one in group["images"].items()
    }
    options = {
        name: {
            key: _past(choice, retired=key in retired.get(name, ()), previous=key in previous.get(name, ()))
            for key, choice in option["choices"].items()
        }
        for name, option in profile["profile_options"].items()
    }
    return options | ({COMBINATION: combinations} if combinations else {})


def _past(choice: Any, *, retired: bool, previous: bool) -> Past:
    image = choice.get("kubespawner_override", {}).get("image", "")
    if image:
        ImageRef.parse(image)
    return Past(title=choice["display_name"], image=image, retired=retired, previous=previous)


# --- comparing ---------------------------------------------------------------------------------------------------------


def changes(old: Emitted | None, new: Emitted) -> tuple[str, ...]:
    """One line for each choice that came (``+``), went (``-``), or has another image or title (``~``), for people."""
    before, after = _flat(old or Emitted()), _flat(new)
    lines = []
    for name in dict.fromkeys((*after, *before)):
        was, now = before.get(name), after.get(name)
        if was is None and now is not None:
            lines.append(f"+ {name}  {now.image or now.title}")
        elif now is None:
            lines.append(f"- {name}")
        elif was is not None and was != now:
            lines.append(f"~ {name}  {_difference(was, now)}")
    return tuple(lines)


def _difference(was: Past, now: Past) -> str:
    if was.image != now.image:
        return f"{was.image} -> {now.image}"
    return f"{quote(was.title)} -> {quote(now.title)}"


def _flat(emitted: Emitted) -> dict[str, Past]:
    return {
        f"{slug}/{key}" if option == "image" else f"{slug}/{option}/{key}": past
        for slug, options in emitted.profiles.items()
        for option, choices in options.items()
        for key, past in choices.items()
    }
