"""What a hub says of single choices: that they are gone, that they come from elsewhere, that nobody may have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, TypeAlias

from pydantic import Field

from hubstack.errors import Problem
from hubstack.files.form import Form
from hubstack.files.scalar import Fault, KeyName, Kind, Prose, parse_image, scalar, text, unfit
from hubstack.reference import Digest, ImageRef
from hubstack.source import Key, Position, Source
from hubstack.spelling import did_you_mean, quote
from hubstack.yamlfile import Data

_DATE = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")


def _date(value: object) -> str:
    line = text(value)
    if not _DATE.fullmatch(line):
        raise unfit(line, "a date, as 2026-12-31")
    return line


def _pinned(value: object) -> ImageRef:
    image = parse_image(text(value))
    if image.digest is None:
        raise Fault(f"is {quote(text(value))}, without a digest", "Write name:tag@sha256:….")
    return image


def _digest(value: object) -> Digest:
    line = text(value)
    try:
        return Digest(line)
    except ValueError as error:
        raise unfit(line, "a digest, as sha256:… with 64 digits") from error


class RetiredForm(Form):
    """A choice that is offered no more. Saved servers that name it get its successor, which launchers show behind all
    others until the entry goes.

    Without `key` it is a whole profile, and `successor` the slug of the profile that takes its place: under the old slug
    it offers what the successor offers. Keys that the successor hasn't need entries of their own.
    """

    profile: KeyName = Field(description="The profile's slug.")
    key: KeyName = Field("", description="The choice's key, as the ConfigMap had it. Without it, the whole profile.")
    successor: KeyName = Field(description="The key of the choice that takes its place; of a profile, the slug.")
    until: Annotated[str, scalar("date", _date, f"^{_DATE.pattern}$")] = Field(
        "", description="When it may go. For people."
    )


class ExternalForm(Form):
    """An image that is offered without being built here."""

    profile: KeyName = Field(description="The slug of the profile that offers it, behind its stacks.")
    key: KeyName = Field(description="Stays the same once people have used it.")
    title: Prose = Field(description="What people read in the launcher.")
    description: Prose = Field("", description="One line more for them.")
    image: Annotated[ImageRef, Kind(_pinned, {"type": "string", "title": "image with digest"})] = Field(
        description="As `name:tag@sha256:…`."
    )


class WithdrawnForm(Form):
    """An image that is never offered again: not as the newest, not as a previous one, not under `external`.

    What `_defaults.yaml` and a hub withdraw is withdrawn together. Images that people name themselves are not held back.
    """

    digest: Annotated[
        Digest, Kind(_digest, {"type": "string", "title": "digest", "pattern": "^sha256:[0-9a-f]{64}$"})
    ] = Field(description="As the ConfigMap had it, behind the `@`.")
    reason: Prose = Field(description="Why. It is shown to whoever would offer it.")


# --- between the entries -----------------------------------------------------------------------------------------------

Entry: TypeAlias = Mapping[str, Data]


def entries(data: Data, name: str) -> Iterator[tuple[int, Entry]]:
    """The mappings of the list under ``name``. These checks read the data itself, since forms may be half filled."""
    items = data.get(name) if isinstance(data, dict) else None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield index, item


def repeated(
    found: Iterable[tuple[int, Entry]], fields: tuple[Key, ...], source: Source, *path: Key
) -> Iterator[Problem]:
    seen: dict[tuple[Data, ...], Position] = {}
    for index, entry in found:
        names = tuple(entry.get(str(field)) for field in fields)
        position = source.at(*path, index, fields[-1])
        if not all(isinstance(name, str) for name in names):
            continue
        if (first := seen.setdefault(names, position)) != position:
            what = f"the {fields[-1]} {quote(str(names[-1]))} stands here and in {first}"
            yield Problem(position=position, what=what, remedy="Rename one of them.")


def external_faults(data: Data, slugs: list[str], source: Source) -> Iterator[Problem]:
    yield from repeated(entries(data, "external"), ("profile", "key"), source, "external")
    for index, entry in entries(data, "external"):
        yield from _known(entry, "profile", slugs, source, ("external", index))


def retired_faults(data: Data, slugs: list[str], source: Source) -> Iterator[Problem]:
    """``slugs`` are those of the profiles that are there."""
    whole = [(index, entry) for index, entry in entries(data, "retired") if entry.get("key") is None]
    gone = [str(entry.get("profile")) for _, entry in whole]
    yield from repeated(whole, ("profile",), source, "retired")
    yield from repeated(entries(data, "retired"), ("profile", "key"), source, "retired")
    for index, entry in entries(data, "retired"):
        path = ("retired", index)
        if entry.get("key") is None:
            yield from _whole_profile(entry, slugs, source, path)
            continue
        yield from _known(entry, "profile", [*slugs, *gone], source, path)
        if entry.get("successor") == entry["key"]:
            what = "a retired choice can't be its own successor"
            remedy = "Name the choice that takes its place."
            yield Problem(position=source.at(*path, "successor"), what=what, remedy=remedy)


def _whole_profile(entry: Entry, slugs: list[str], source: Source, path: tuple[Key, ...]) -> Iterator[Problem]:
    if (slug := entry.get("profile")) in slugs:
        yield Problem(
            position=source.at(*path, "profile"),
            what=f"the retired profile {quote(str(slug))} is still there",
            remedy="Remove this entry, or write the key of the choice that is gone.",
        )
    else:
        yield from _known(entry, "successor", slugs, source, path)


def _known(entry: Entry, field: str, slugs: list[str], source: Source, path: tuple[Key, ...]) -> Iterator[Problem]:
    slug = entry.get(field)
    if isinstance(slug, str) and slug not in slugs:
        what = f"no profile has the slug {quote(slug)}{did_you_mean(slug, slugs)}"
        yield Problem(position=source.at(*path, field), what=what, remedy="It must be one of this hub's.")
