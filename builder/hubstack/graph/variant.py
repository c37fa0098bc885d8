"""The variants of a stack: the points of its matrix, and the values that each gives to the variables of its layers.

The matrix works as in GitHub Actions. ``exclude`` takes out every point of the axes' product that has all of an entry's
values. Then each entry of ``include`` is added to all points of the product whose axes it does not contradict, or becomes
a point of its own where there is none such. What entries add to a point of the product is not in the variant's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeAlias

from hubstack.errors import Problem
from hubstack.model import Layer, Project, Raw, Settings, Stack, Value, Variable, VariableType, Variant
from hubstack.reference import Layout
from hubstack.source import Key, Position
from hubstack.spelling import did_you_mean, enumerate_words, quote
from hubstack.value import parse_value, value_text

BASE = "base"
"""An axis like any other, but what it names is a folder under ``base/`` and no variable's value."""

DEFAULT = "default"
"""The name of the only variant of a stack without a matrix."""

MAX_VARIANTS = 256  # GitHub's bound for a matrix
_MAX_TAG = 128  # distribution-spec, "Pulling manifests"; its grammar for tags is that of _PIECE
_PIECE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")

Types: TypeAlias = Mapping[str, VariableType]
"""The variables that have one type in the whole project, so that ``yes`` and ``true`` are known to be the same value."""

Owners: TypeAlias = Mapping[str, Sequence[Layer]]
"""For each variable all layers of the project that declare it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value as its author wrote it, and where."""

    raw: Raw
    position: Position
    key: Position  # the variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a matrix, before its values have types: the axes in the author's order, then what was included."""

    name: str
    base: str  # empty: neither the stack nor its matrix gives one
    given: Mapping[str, Given]
    position: Position
    point: str = ""  # its name without what was chosen, in a stack with options
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # option → layers


_Combination: TypeAlias = dict[str, Given]


def find_owners(project: Project) -> Owners:
    found: dict[str, list[Layer]] = {}
    for name in sorted(project.layers):
        for variable in project.layers[name].variables:
            found.setdefault(variable, []).append(project.layers[name])
    return found


def find_types(owners: Owners) -> Types:
    kinds = {name: {layer.variables[name].type for layer in layers} for name, layers in owners.items()}
    return {name: found.pop() for name, found in kinds.items() if len(found) == 1}


def expand(stack: Stack, types: Types) -> tuple[tuple[Point, ...], tuple[Problem, ...]]:
    """The points of the stack's matrix in the order of its axes; one called DEFAULT where it has none."""
    matrix, source = stack.matrix, stack.source
    if not matrix.axes and not matrix.include:
        only = Point(name=DEFAULT, base=stack.base, given={}, position=source.at())
        return (only,), tuple(_idle_excludes(stack, [], types))
    problems = list(_axis_problems(stack, types))
    if (size := math.prod(map(len, matrix.axes.values()))) > MAX_VARIANTS:
        what, remedy = f"the matrix gives {size} variants", f"A stack has {MAX_VARIANTS} at most."
        return (), (*problems, Problem(position=source.key("matrix"), what=what, remedy=remedy))
    combinations = _product(stack)
    problems += _idle_excludes(stack, combinations, types)
    kept = [one for one in combinations if not any(_fits(entry, one, types) for entry in matrix.exclude)]
    points = tuple(_included(stack, kept, types))
    for point in points:
        if not point.base and BASE not in point.given:
            what, remedy = f"the variant {quote(point.name)} has no base", "Give it one here."
            problems.append(Problem(position=point.position, what=what, remedy=remedy))
    if not points and not problems:
        what, remedy = "the matrix excludes everything", "Leave a combination, or delete the stack."
        problems.append(Problem(position=source.key("matrix", "exclude"), what=what, remedy=remedy))
    return points, tuple(problems)


def settle(
    stack: Stack,
    point: Point,
    declared: Mapping[str, Variable],
    owners: Owners,
    elsewhere: Collection[str] = (),
) -> tuple[Variant, tuple[Problem, ...]]:
    """The variant at ``point``: its values in the types that its layers declare, defaults where nothing is given.

    A value that can't be had is left out, and reported; not so one of the stack's for a variable that only others of its
    variants have, and that is named in ``elsewhere``.
    """
    own = [name for name in stack.values if name in declared or name not in elsewhere]
    wanted = {name: _given(stack, stack.values[name], "values", name) for name in own} | dict(point.given)
    wanted.pop(BASE, None)
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    for name, given in wanted.items():
        if (variable := declared.get(name)) is None:
            problems.append(_unknown(stack, point, name, given, declared, owners))
        elif isinstance(value := _value(variable, given), Problem):
            problems.append(value)
        else:
            values[name] = value
    for variable in declared.values():
        if variable.name in wanted:
            continue
        if variable.default is None:
            problems.append(_missing(stack, point, variable))
        else:
            values[variable.name] = variable.default
    axes = {BASE: point.base, **values}
    return Variant(
        stack=stack.name,
        name=point.name,
        base=point.base,
        axes={name: axes[name] for name in point.given if name in axes},
        values=dict(sorted(values.items())),
        point=point.point or point.name,
        chosen=point.chosen,
    ), tuple(problems)


def name_problems(found: Mapping[str, Sequence[Point]], settings: Settings) -> Iterator[Problem]:
    """Variants whose names collide or don't fit into a tag. ``found`` holds the points by the name of their stack."""
    suffixes = settings.channels or ("0" * 12,)  # what published tags end with: a channel, or digits of a fingerprint
    longest = max(12, *map(len, suffixes))
    taken: dict[tuple[str, str], str] = {}
    for stack, points in found.items():
        nested = settings.layout is Layout.NESTED
        repository, prefix = (stack, "") if nested else ("", f"{stack}-")
        room = _MAX_TAG - len(prefix) - 1 - longest
        for number, point in enumerate(points):
            if len(point.name) > room:
                yield _too_long(point, room)
            if any(point.name == other.name for other in points[:number]):
                yield _equal(point)
                continue
            for suffix in suffixes:
                tag = f"{prefix}{point.name}-{suffix}"
                first = taken.setdefault((repository, tag), f"{stack}/{point.name}")
                if first != f"{stack}/{point.name}":
                    what = f"{stack}/{point.name} and {first} would both be pushed as {quote(tag)}"
                    yield Problem(position=point.position, what=what, remedy="Rename one of them.")


# --- the matrix --------------------------------------------------------------------------------------------------------


def _product(stack: Stack) -> list[_Combination]:
    axes = {
        name: [_given(stack, raw, "matrix", name, number) for number, raw in enumerate(values)]
        for name, values in stack.matrix.axes.items()
    }
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []


def _included(stack: Stack, kept: list[_Combination], types: Types) -> Iterator[Point]:
    """The points, in order: what is left of the product, then what ``include`` adds. GitHub's rules."""
    axes = stack.matrix.axes
    names = [_name(stack, one, types) for one in kept]
    added: list[tuple[int, _Combination]] = []
    for number, entry in enumerate(stack.matrix.include):
        extra = {name: _given(stack, raw, "matrix", "include", number, name) for name, raw in entry.items()}
        fitting = [one for one in kept if _fits({name: entry[name] for name in entry if name in axes}, one, types)]
        for one in fitting:
            one.update(extra)
        if not fitting:
            added.append((number, {name: extra[name] for name in (*axes, *entry) if name in extra}))
    for name, one in zip(names, kept, strict=True):
        yield Point(name=name, base=_base(stack, one), given=one, position=stack.source.key("matrix"))
    for number, one in added:
        position = stack.source.at("matrix", "include", number)
        yield Point(name=_name(stack, one, types), base=_base(stack, one), given=one, position=position)


def _fits(entry: Mapping[str, Raw], combination: _Combination, types: Types) -> bool:
    return all(_typed(name, raw, types) == _typed(name, combination[name].raw, types) for name, raw in entry.items())


def _idle_excludes(stack: Stack, combinations: list[_Combination], types: Types) -> Iterator[Problem]:
    """Entries of ``exclude`` that do nothing. GitHub says nothing of them; here they are what a typo leaves behind."""
    for number, entry in enumerate(stack.matrix.exclude):
        if not any(_fits(entry, one, types) for one in combinations):
            place = stack.source.at("matrix", "exclude", number)
            yield Problem(position=place, what="this excludes nothing", remedy="Correct it, or remove it.")


def _axis_problems(stack: Stack, types: Types) -> Iterator[Problem]:
    """Values that can't stand in a variant's name, and bases given twice."""
    source, matrix = stack.source, stack.matrix
    for name, values in matrix.axes.items():
        for number, raw in enumerate(values):
            yield from _piece_problems(name, raw, types, source.at("matrix", name, number))
    for number, entry in enumerate(matrix.include):
        for name in _naming(stack, entry):
            yield from _piece_problems(name, entry[name], types, source.at("matrix", "include", number, name))
        if stack.base and BASE in entry:
            what = f"the base stands here and in {source.key(BASE)}"
            yield Problem(position=source.key("matrix", "include", number, BASE), what=what, remedy="Keep one of them.")


def _piece_problems(name: str, raw: Raw, types: Types, position: Position) -> Iterator[Problem]:
    if name == BASE and isinstance(raw, tuple):
        yield Problem(position=position, what="the base must be a name, not a list", remedy="Write one.")
    elif _fails(raw, types.get(name)):
        return  # ``settle`` says so
    elif not _PIECE.fullmatch(text := _text(name, raw, types)):
        what = f"{quote(text)} can't stand in the name of a variant, which becomes part of a tag"
        remedy = "Tags have letters, digits and . _ -, and `include` adds values that are not in the name."
        yield Problem(position=position, what=what, remedy=remedy)


def _name(stack: Stack, combination: _Combination, types: Types) -> str:
    return "-".join(_text(name, combination[name].raw, types) for name in _naming(stack, combination))


def _naming(stack: Stack, names: Iterable[str]) -> tuple[str, ...]:
    """Those of a point's variables whose values are its name: its axes, or all where it has none."""
    return tuple(name for name in names if name in stack.matrix.axes) or tuple(names)


def _text(name: str, raw: Raw, types: Types) -> str:
    return value_text(_typed(name, raw, types))


def _typed(name: str, raw: Raw, types: Types) -> Value:
    """As written where the type isn't known or doesn't fit: ``settle`` reports that wherever it matters."""
    kind = types.get(name)
    return raw if kind is None or _fails(raw, kind) else parse_value(raw, kind)


def _fails(raw: Raw, kind: VariableType | None) -> bool:
    try:
        return kind is not None and parse_value(raw, kind) is None
    except ValueError:
        return True


def _base(stack: Stack, combination: _Combination) -> str:
    given = combination.get(BASE)
    return stack.base if given is None or isinstance(given.raw, tuple) else given.raw


def _given(stack: Stack, raw: Raw, *path: Key) -> Given:
    key = path if isinstance(path[-1], str) else path[:-1]
    return Given(raw=raw, position=stack.source.at(*path), key=stack.source.key(*key))


# --- what is wrong with a value or a name ------------------------------------------------------------------------------


def _value(variable: Variable, given: Given) -> Value | Problem:
    try:
        value = parse_value(given.raw, variable.type)
    except ValueError as error:
        remedy = f"{variable.position} declares it."
        return Problem(position=given.position, what=f"{variable.name} must be {error}", remedy=remedy)
    for text in value if isinstance(value, tuple) else (value_text(value),):
        if variable.choices and text not in variable.choices:
            what = f"{variable.name} can't be {quote(text)}"
            remedy = f"It is {enumerate_words(map(quote, variable.choices))}, says {variable.position}."
            return Problem(position=given.position, what=what, remedy=remedy)
    return value


def _unknown(
    stack: Stack,
    point: Point,
    name: str,
    given: Given,
    declared: Mapping[str, Variable],
    owners: Owners,
) -> Problem:
    if name in owners:
        here = f"{stack.name} on {point.base}" if not stack.base else stack.name
        remedy = f"{enumerate_words(layer.name for layer in owners[name])} declares it, which is no part of {here}."
        return Problem(position=given.key, what=f"no layer of the stack has a variable {quote(name)}", remedy=remedy)
    what = f"unknown variable {quote(name)}{did_you_mean(name, declared)}"
    remedy = f"This stack's layers declare {enumerate_words(sorted(declared), 'and') or 'none'}."
    return Problem(position=given.key, what=what, remedy=remedy)


def _missing(stack: Stack, point: Point, variable: Variable) -> Problem:
    given_elsewhere = any(variable.name in entry for entry in stack.matrix.include)
    name = f"{stack.name}/{point.name}" if given_elsewhere else stack.name
    what = f"{name} gives no value to {variable.name}, which has no default"
    remedy = f"Write it under `values:` or in the matrix; {variable.position} declares it."
    return Problem(position=stack.source.key("values"), what=what, remedy=remedy)


def _too_long(point: Point, room: int) -> Problem:
    what = f"the variant's name {quote(point.name)} has {len(point.name)} characters, and {room} fit into a tag"
    remedy = "Give values by `include`: what it adds is not in the name."
    if point.chosen:
        remedy = "Shorten the layers' names, or let people choose fewer at once (`at_most`)."
    return Problem(position=point.position, what=what, remedy=remedy)


def _equal(point: Point) -> Problem:
    what = f"two variants are called {quote(point.name)}"
    remedy = (
        "Rename a layer or a value of the matrix." if point.chosen else "Remove one, or tell them apart by an axis."
    )
    return Problem(position=point.position, what=what, remedy=remedy)
