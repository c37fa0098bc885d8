"""``stacks/<name>.yaml``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import ConfigDict, Field

from hubstack.errors import Problem
from hubstack.files.form import FileForm, Form, filled
from hubstack.files.option import OptionForm, option_faults
from hubstack.files.scalar import (
    Draft,
    Fault,
    Name,
    Prose,
    RawValue,
    Some,
    Unique,
    VariableName,
    check_name,
    check_variable,
    choice,
    scalar,
    text,
    unfit,
)
from hubstack.model import Kind, Layer, Matrix, Method, Preference, Raw, Repository, Stack, Test
from hubstack.source import Source
from hubstack.spelling import did_you_mean, quote
from hubstack.yamlfile import Document

RESERVED = frozenset(["build", "fp", "info", "last", "ok"])
"""Names of repositories and beginnings of tags that hubstack needs for what it has built."""


Axis: TypeAlias = Annotated[Unique[RawValue], Some]
Point: TypeAlias = dict[VariableName, RawValue]

_URL = re.compile(r"(?P<scheme>https|ssh|git|file)://(?:(?P<user>[^/\s@]*)@)?[A-Za-z0-9\[/][^\s@]*")
_USER = re.compile(r"\w[\w.-]*")
_REF = re.compile(r"[A-Za-z0-9_][^\s~^:?*\[\\]*")  # as git check-ref-format(1) has it, more or less
_BELOW = re.compile(r"(?P<stack>[^/\s]+)(?:/(?P<variant>[A-Za-z0-9_][A-Za-z0-9._-]*))?")


def _url(value: object) -> str:
    """An address that everybody can ask, and that says nothing but where the repository is."""
    address = text(value)
    match = _URL.fullmatch(address)
    if match is None:
        shown = re.sub(r"(?<=://)[^/\s@]+@", "", address)
        raise unfit(shown, "a repository's address", "Write https://…, ssh://…, git://… or file://….")
    if match["user"] is not None and (match["scheme"] != "ssh" or _USER.fullmatch(match["user"]) is None):
        what = "holds a user's name or password, which the lock, the log and the image would show"
        raise Fault(what, "Leave it out: git asks its credential helpers, which every machine sets up for itself.")
    return address


def _ref(value: object) -> str:
    name = text(value)
    if _REF.fullmatch(name) is None:
        raise unfit(name, "a branch, a tag or a whole commit")
    return name


def _below(value: object) -> str:
    name = text(value)
    match = _BELOW.fullmatch(name)
    if match is None:
        raise unfit(name, "STACK or STACK/VARIANT")
    check_name(match["stack"])
    return name


def _path(value: object) -> str:
    name = text(value)
    if not name.startswith("/") or name != posixpath.normpath(name) or name == "/":
        raise unfit(name, "a file's whole path in the image, as /etc/motd")
    return name


class RepositoryForm(Form):
    """Somebody's notebooks, prebuilt on another stack by what repo2docker reads in them."""

    url: Annotated[str, scalar("address", _url, r"^(https|ssh|git|file)://")] = Field(
        description="Where git finds it: https, ssh, git or file. Never with a password."
    )
    ref: Annotated[str, scalar("branch, tag or commit", _ref)] = Field(
        "",
        description="What is built of it. `hubstack update` writes the commit into the lock. Default: its default branch.",
    )
    stack: Annotated[str, scalar("STACK or STACK/VARIANT", _below)] = Field(
        description="What it is built on: one image for each variant of a stack, or one on STACK/VARIANT."
    )


class PreferenceForm(Form):
    """Whose version of a file stands, where layers that are merged have different ones."""

    layer: Name = Field(description="One of those that are in conflict.")
    reason: Prose = Field(description="Why the others can do without theirs.")


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

    required: ClassVar[tuple[str, ...]] = ("title",)
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
    options: tuple[OptionForm, ...] = Field(
        (), description="Layers that people choose from: an image for each valid combination. See docs/hubs.md."
    )
    repository: RepositoryForm | None = Field(
        None, description="A repository of notebooks, instead of layers: see docs/repositories.md."
    )
    assembly: Annotated[Method | None, choice(Method)] = Field(
        None, description="How its layers are put together, if not as the project says: `chain` or `merge`."
    )
    resolve: dict[Annotated[str, scalar("path", _path, "^/")], PreferenceForm] = Field(
        {}, description="Of a merge: paths on which layers disagree, and whose version stands."
    )
    draft: Draft = Field("", description="Why it is checked and rendered, but built only when somebody names it.")

    @classmethod
    def schema_of_file(cls) -> dict[str, Any]:
        return super().schema_of_file() | {"anyOf": [{"required": ["layers"]}, {"required": ["repository"]}]}

    def faults(self, document: Document) -> Iterator[Problem]:
        source = document.source
        data = document.data if isinstance(document.data, dict) else {}
        given = {name for name, value in data.items() if value is not None}
        if "repository" in given:
            yield from _repository_faults(source, given)
            return
        if "layers" not in given:
            remedy = "Write `layers: …`; or `repository: …`, for a repository of notebooks on another stack."
            yield Problem(position=source.key("layers"), what="layers is missing", remedy=remedy)
        axes = [str(path[1]) for path in source.keys if len(path) == 2 and path[0] == "matrix"]  # wrong ones, too
        axes = [axis for axis in axes if axis not in MatrixForm.model_fields]
        yield from _base_faults(source, axes)
        yield from option_faults(data, source)
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


def _repository_faults(source: Source, given: Collection[str]) -> Iterator[Problem]:
    for name in ("base", "layers", "values", "matrix", "options", "assembly", "resolve"):
        if name in given:
            what = f"a stack with a repository has no {name} of its own"
            remedy = "Remove it: the stack that the repository is built on has it. Or remove `repository`."
            yield Problem(position=source.key(name), what=what, remedy=remedy)


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
        options=tuple(option.option() for option in form.options),
        repository=_repository(form.repository),
        assembly=form.assembly,
        resolve=tuple(
            Preference(path=path.lstrip("/"), layer=one.layer, reason=one.reason)
            for path, one in sorted(form.resolve.items())
        ),
        draft=form.draft,
        source=source,
    )


def _repository(form: RepositoryForm | None) -> Repository | None:
    return None if form is None else Repository(url=form.url, ref=form.ref, stack=form.stack)


def repository_layers(stacks: Iterable[Stack]) -> dict[str, Layer]:
    """What stands on top of the other stack's layers, for each stack with a repository; by the stack's name.

    Its one test is that a mounted home hides nothing of the repository, and that people can write there.
    """
    return {
        stack.name: Layer(
            name=stack.name,
            kind=Kind.REPOSITORY,
            summary=f"{stack.repository.url}{stack.repository.ref and ', '}{stack.repository.ref}",
            tests=(Test(run='cd "$REPO_DIR" && test -w .', position=stack.source.key("repository")),),
            repository=stack.repository,
            source=stack.source,
        )
        for stack in stacks
        if stack.repository is not None
    }
