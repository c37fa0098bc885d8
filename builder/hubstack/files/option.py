"""A stack's `options`: layers that people choose from, each valid choice an image of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias

from pydantic import Field

from hubstack.errors import Problem
from hubstack.files.form import Form
from hubstack.files.offer import entries, repeated
from hubstack.files.scalar import KeyName, Name, Prose, Some, Unique, number
from hubstack.model import NOTHING, Option
from hubstack.source import Key, Source
from hubstack.spelling import did_you_mean, enumerate_words, quote
from hubstack.yamlfile import Data

TAKEN = frozenset({"autostart", "combination", "image", "profile", "resources"})
"""Names that KubeSpawner's form, fancy-profiles' links or hubstack itself gives to something else."""


_Layers: TypeAlias = Annotated[Unique[Name], Some]


class OptionForm(Form):
    """Layers that people choose from when they start a server. All valid combinations of a stack's options become images."""

    name: KeyName = Field(
        description="Its name in links and in saved choices. Stays the same once people have used it."
    )
    title: Prose = Field("", description="What people read in the launcher. Otherwise its name.")
    one_of: _Layers = Field(
        (), description=f"Layers of which people choose one; `{NOTHING}` stands for none. The first is the default."
    )
    any_of: _Layers = Field((), description="Instead: layers of which people choose any, or none at all.")
    at_most: Annotated[int, number(1, 64)] | None = Field(
        None, description="How many of `any_of` at once. Otherwise all of them."
    )
    titles: dict[Name, Prose] = Field(
        {}, description=f"What people read for a layer, or for `{NOTHING}`. Otherwise the layer's name."
    )

    def option(self) -> Option:
        return Option(
            name=self.name,
            title=self.title or self.name.replace("-", " ").capitalize(),
            one_of=self.one_of,
            any_of=self.any_of,
            at_most=min(self.at_most or len(self.any_of), len(self.any_of)),
            titles=self.titles,
        )


def option_faults(data: dict[str, Data], source: Source) -> Iterator[Problem]:
    yield from repeated(entries(data, "options"), ("name",), source, "options")
    listed = data.get("layers")
    first = {name: source.at("layers", index) for index, name in enumerate(listed if isinstance(listed, list) else ())}
    for index, entry in entries(data, "options"):
        path: tuple[Key, ...] = ("options", index)
        name = entry.get("name")
        if isinstance(name, str) and name in TAKEN:
            what = f"an option can't be called {quote(name)}, which launchers use for something else"
            remedy = f"Choose another name; taken are {enumerate_words(sorted(TAKEN), 'and')}."
            yield Problem(position=source.at(*path, "name"), what=what, remedy=remedy)
        given = [kind for kind in ("one_of", "any_of") if entry.get(kind) is not None]
        yield from _kind_faults(given, source, path)
        layers = [(kind, one) for kind in given for one in _names(entry.get(kind))]
        yield from _nothing_faults(given, [name for _, name in layers], source, path)
        if entry.get("at_most") is not None and given == ["one_of"]:
            what, remedy = "at_most belongs to any_of", "Remove it: of one_of people choose one."
            yield Problem(position=source.key(*path, "at_most"), what=what, remedy=remedy)
        yield from _title_faults(entry.get("titles"), [name for _, name in layers], source, path)
        for kind, layer in layers:
            position = source.at(*path, kind, _names(entry.get(kind)).index(layer))
            if layer != NOTHING and first.setdefault(layer, position) != position:
                what = f"{layer} stands here and in {first[layer]}"
                yield Problem(
                    position=position, what=what, remedy="A stack has it once: in its layers, or in one option."
                )


def _names(value: Data) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _kind_faults(given: list[str], source: Source, path: tuple[Key, ...]) -> Iterator[Problem]:
    if len(given) == 1:
        return
    what = "an option has one_of or any_of, not both" if given else "an option needs one_of or any_of"
    remedy = "Write `one_of: [none, …]` for one layer or none, `any_of: […]` for several."
    yield Problem(position=source.at(*path), what=what, remedy=remedy)


def _nothing_faults(given: list[str], layers: list[str], source: Source, path: tuple[Key, ...]) -> Iterator[Problem]:
    if given == ["any_of"] and NOTHING in layers:
        what = f"{NOTHING} stands for no layer, and nobody has to choose any of any_of"
        yield Problem(position=source.at(*path, "any_of", layers.index(NOTHING)), what=what, remedy="Remove it.")
    if given == ["one_of"] and len(layers) == 1:
        what = f"{layers[0]} is no choice, for there is no other"
        other = f"Write `one_of: [{NOTHING}, {layers[0]}]`, or list the layer under `layers`."
        remedy = "Name a layer beside it, or remove the option." if layers[0] == NOTHING else other
        yield Problem(position=source.at(*path, "one_of", 0), what=what, remedy=remedy)


def _title_faults(titles: Data, layers: list[str], source: Source, path: tuple[Key, ...]) -> Iterator[Problem]:
    for name in titles if isinstance(titles, dict) else ():
        if name not in layers and (name != NOTHING or not layers):
            what = f"{quote(name)} is none of this option's layers{did_you_mean(name, layers)}"
            yield Problem(position=source.key(*path, "titles", name), what=what, remedy="Correct it, or remove it.")
