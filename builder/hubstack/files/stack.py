"""``stacks/<name>.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, TypeAlias

from pydantic import ConfigDict, Field

from hubstack.errors import Problem
from hubstack.files.form import FileForm, Form, filled
from hubstack.files.scalar import Draft, Fault, Name, Prose, RawValue, Some, Unique, VariableName, check_variable
from hubstack.model import Matrix, Raw, Stack
from hubstack.source import Source
from hubstack.spelling import did_you_mean, quote
from hubstack.yamlfile import Document

RESERVED = frozenset(["build", "fp", "info", "last", "ok"])
"""Names of repositories and beginnings of tags that hubstack needs for what it has built."""


Axis: TypeAlias = Annotated[Unique[RawValue], Some]
Point: TypeAlias = dict[VariableName, RawValue]


class MatrixForm(Form):
    """Axes, each a variable (or `base`) with its values, and GitHub's `include` and `exclude`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Axis] = Field(init=False)

    include: tuple[Point, ...] = Field(
        (), description="Values added to the combinations that they fit, or further ones."
    )
    exclude: tuple[Point, ...] = Field((), description="Combinations left out: all that have these values.")

    @property
    def axes(self) -> Mapping[str, tuple[Raw, ...]]:
        return self.__pydantic_extra__


class StackForm(FileForm):
    """A stack: `stacks/<name>.yaml`. The file's name is the stack's name."""

    required: ClassVar[tuple[str, ...]] = ("title", "layers")
    elsewhere: ClassVar[Mapping[str, str]] = {
        "name": "The file's name is the stack's name.",
        "default": "A hub, under profiles/, says what is the default.",
        "groups": "A hub, under profiles/, says who sees it.",
        "override": "Only a hub, under profiles/, sets fields of a pod.",
        "kubespawner_override": "Only a hub, under profiles/, sets fields of a pod.",
        "image": "A stack is made of layers; a base, under base/, may stand on an image.",
        "variables": "Layers declare variables; a stack gives `values`.",
    }

    title: Prose = Field("", description="What people read in the launcher.")
    description: Prose = Field("", description="One line more for them.")
    base: Name = Field("", description="What it stands on. `base` may be an axis of the matrix instead.")
    layers: Annotated[Unique[Name], Some] = Field(
        (), description="What it is made of. Whatever these require comes by itself."
    )
    values: dict[VariableName, RawValue] = Field({}, description="Values of variables, for all its images.")
    matrix: MatrixForm = Field(MatrixForm(), description="Values to combine: an image for each combination.")
    draft: Draft = Field("", description="Why it is checked and rendered, but built only when somebody names it.")

    def faults(self, document: Document) -> Iterator[Problem]:
        source = document.source
        axes = [str(path[1]) for path in source.keys if len(path) == 2 and path[0] == "matrix"]  # wrong ones, too
        axes = [axis for axis in axes if axis not in MatrixForm.model_fields]
        yield from _base_faults(source, axes)
        for axis in axes:
            yield from _axis_faults(axis, source)
        for index, point in enumerate(self.matrix.exclude):
            for name in point:
                if name not in axes:
                    what = f"{quote(name)} is no axis of the matrix{did_you_mean(name, axes)}"
                    position = source.key("matrix", "exclude", index, name)
                    yield Problem(position=position, what=what, remedy="What is excluded is a combination of the axes.")
        if "base" in self.values:
            what = "base is no variable"
            yield Problem(position=source.key("values", "base"), what=what, remedy="Write `base: …` outside of values.")


def _base_faults(source: Source, axes: list[str]) -> Iterator[Problem]:
    alone, axis = ("base",) in source.keys, "base" in axes
    if alone and axis:
        what = "base stands here and as an axis of the matrix"
        yield Problem(position=source.key("base"), what=what, remedy="Remove one of them.")
    if not (alone or axis):
        remedy = "Write `base: …`, or make base an axis of the matrix."
        yield Problem(position=source.at(), what="base is missing", remedy=remedy)


def _axis_faults(axis: str, source: Source) -> Iterator[Problem]:
    position = source.key("matrix", axis)
    try:
        check_variable(axis)
    except Fault as fault:
        yield Problem(position=position, what=f"a name in matrix {fault.what}", remedy=fault.remedy)
    if ("values", axis) in source.keys:
        what = f"{axis} is an axis of the matrix and stands in {source.key('values', axis)}, too"
        yield Problem(position=position, what=what, remedy="Keep one of them.")


def parse_stack(document: Document, *, name: str) -> Stack:
    """Raises ProjectError with every fault of the file."""
    form, source = filled(StackForm, document), document.source
    matrix = Matrix(axes=dict(form.matrix.axes), include=form.matrix.include, exclude=form.matrix.exclude)
    return Stack(
        name=name,
        title=form.title,
        description=form.description,
        base=form.base,
        layers=form.layers,
        values=form.values,
        matrix=matrix,
        draft=form.draft,
        source=source,
    )
