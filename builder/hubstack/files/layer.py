"""``layers/<name>/layer.yaml`` and ``base/<name>/layer.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from hubstack import model
from hubstack.errors import Problem
from hubstack.files.form import FileForm, Form, differ_in_case, filled
from hubstack.files.scalar import (
    VARIABLE,
    ChoiceText,
    Command,
    Draft,
    Fault,
    Flag,
    ImageText,
    Name,
    Prose,
    RawValue,
    Regex,
    Template,
    Unique,
    check_variable,
    choice,
    number,
    scalar,
)
from hubstack.model import Layer, Raw, Refresh, SourceFile, VariableType
from hubstack.source import Position, Source
from hubstack.spelling import did_you_mean, enumerate_words, quote
from hubstack.value import parse_value, value_text
from hubstack.yamlfile import Document

RESERVED = frozenset(["arch", "base", "copy", "exclude", "include", "layer", "packages", "parent", "run"])
"""Names that hubstack gives a meaning in templates, or that a matrix does."""
_JINJA = frozenset([
    "and", "caller", "cycler", "dict", "else", "false", "if", "in", "is", "joiner", "kwargs", "lipsum", "loop",
    "namespace", "none", "not", "or", "range", "self", "super", "true", "varargs",
])  # fmt: skip
"""Jinja's operators and globals."""


def _own_name(value: object) -> str:
    name = check_variable(value)
    if name in RESERVED | _JINJA:
        raise Fault(f"is {quote(name)}, which means something else in a template or a matrix", "Choose another.")
    return name


class DebianVariant(StrEnum):
    MINBASE = "minbase"
    APT = "apt"
    ESSENTIAL = "essential"
    BUILDD = "buildd"
    IMPORTANT = "important"
    STANDARD = "standard"


class VariableForm(Form):
    """A value that a stack may choose. Templates see it under its name, in lower-case letters, digits and `_`."""

    type: Annotated[VariableType, choice(VariableType)] = Field(
        description="`text`, `int`, `bool`, `list` (of texts) or `version`. Values are converted before templates see them."
    )
    default: RawValue | None = Field(
        None, description="Its value where a stack gives none. Without it every stack must."
    )
    choices: dict[ChoiceText, Prose] = Field(
        {}, description="The only values allowed, each with the label that people see. For a list: its items."
    )
    help: Prose = Field("", description="What it changes.")


class TestForm(Form):
    """A command that must succeed in the built image."""

    __test__: ClassVar[bool] = False  # pytest would collect a class of this name

    run: Command = Field(
        description="A shell command, run in the image as the hub's user, in the layer's `tests/` folder."
    )
    stdout: Regex = Field("", description="Searched for in what the command prints (Python's `re`).")
    exit_code: Annotated[int, number(0, 255)] = Field(0, description="What it must end with.")
    network: Flag = Field(default=False, description="Whether the container has a network.")
    timeout_s: Annotated[int, number(1, 3600)] = Field(60, description="Seconds after which the test has failed.")


class BootstrapForm(Form):
    """A root file system made by mmdebstrap."""

    suite: Template = Field(description="The Debian release, as `bookworm`.")
    variant: Annotated[DebianVariant, choice(DebianVariant)] = Field(
        DebianVariant.MINBASE, description="How much of Debian, in mmdebstrap's words."
    )
    include: Unique[Template] = Field((), description="Further Debian packages.")


class _Folder(FileForm):
    """What layers and bases have in common."""

    required: ClassVar[tuple[str, ...]] = ("summary",)

    summary: Prose = Field("", description="One line for people.")
    conflicts: Unique[Name] = Field((), description="Layers that never stand in one stack with this one.")
    provides: Unique[Name] = Field((), description="Names that other layers may require instead of this layer's own.")
    variables: dict[Annotated[str, scalar("variable", _own_name, f"^{VARIABLE.pattern}$")], VariableForm] = Field(
        {}, description="What a stack may choose. Layers above may read them; no other layer may declare them again."
    )
    refresh: Annotated[Refresh, choice(Refresh)] = Field(
        Refresh.NEVER, description="How often `hubstack update` has it built again from newer packages."
    )
    tests: tuple[TestForm, ...] = Field((), description="What every image with this layer must do.")
    versions: dict[Prose, Command] = Field(
        {}, description="Label → command that prints a version. Asked of the built image, shown to people."
    )
    owners: Unique[Prose] = Field((), description="Who answers for it.")
    python: Template = Field(
        "",
        description='The Python release that it brings, as "3.11": what `requirements.txt` files above are resolved for.',
    )
    upstream: Unique[ImageText] = Field((), description="Images, not built here, that its Dockerfile may name.")
    draft: Draft = Field("", description="Why it is checked and rendered, but built only when somebody names it.")

    def faults(self, document: Document) -> Iterator[Problem]:
        source = document.source
        for name, variable in self.variables.items():
            yield from _misfits(name, variable, source)
        yield from differ_in_case(source, ("versions",), self.versions)


class LayerForm(_Folder):
    """A layer: `layers/<name>/layer.yaml`. The folder's name is the layer's name."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "image": "Only a base, under base/, stands on an image.",
        "bootstrap": "Only a base, under base/, is made from Debian packages.",
        "name": "The folder's name is the layer's name.",
        "base": "A stack says which base it stands on.",
    }

    requires: Unique[Name] = Field((), description="Layers, or names they provide, that must stand below this one.")
    after: Unique[Name] = Field(
        (), description="Layers above which it stands where both are present. Adds nothing by itself."
    )
    copy_from: Unique[Name] = Field(
        (),
        description="Layers whose files its Dockerfile may copy with `COPY --from=`. They are built, but not below it.",
    )

    def faults(self, document: Document) -> Iterator[Problem]:
        yield from super().faults(document)
        for index, name in enumerate(self.conflicts):
            if name in self.requires:
                what = f"{quote(name)} is required and in conflict"
                yield Problem(
                    position=document.source.at("conflicts", index), what=what, remedy="Remove one of the two."
                )


class BaseForm(_Folder):
    """A base, the bottom of stacks: `base/<name>/layer.yaml`. It has exactly one of `image` and `bootstrap`."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "requires": "A base stands at the bottom and requires nothing.",
        "after": "A base stands at the bottom, after nothing.",
        "copy_from": "A base is what other layers are built on, so it can copy from none of them.",
        "name": "The folder's name is the base's name.",
    }

    image: ImageText = Field("", description="The upstream image it stands on. Its digest is kept in the lock.")
    bootstrap: BootstrapForm | None = Field(None, description="How mmdebstrap makes it from Debian packages.")

    def faults(self, document: Document) -> Iterator[Problem]:
        yield from super().faults(document)
        source = document.source
        given = [name for name in ("image", "bootstrap") if (name,) in source.keys]  # one that is wrong is given, too
        if len(given) == 2:
            what = "a base has an image or a bootstrap, and this one has both"
            yield Problem(position=source.key("bootstrap"), what=what, remedy="Remove one of them.")
        if not given:
            what = "a base has an image or a bootstrap, and this one has neither"
            yield Problem(position=source.at(), what=what, remedy="Write `image: …` or `bootstrap: {suite: …}`.")


def parse_layer(document: Document, *, name: str, files: Mapping[str, SourceFile]) -> Layer:
    """Raises ProjectError with every fault of the file."""
    form = filled(LayerForm, document)
    own: dict[str, Any] = {"requires": form.requires, "after": form.after, "copy_from": form.copy_from}
    return Layer(
        name=name, kind=model.Kind.LAYER, files=files, source=document.source, **own, **_common(form, document)
    )


def parse_base(document: Document, *, name: str, files: Mapping[str, SourceFile]) -> Layer:
    """Raises ProjectError with every fault of the file."""
    form = filled(BaseForm, document)
    bootstrap = form.bootstrap and model.Bootstrap(**form.bootstrap.model_dump())
    own: dict[str, Any] = {"image": form.image, "bootstrap": bootstrap}
    return Layer(name=name, kind=model.Kind.BASE, files=files, source=document.source, **own, **_common(form, document))


_AS_WRITTEN = ("summary", "conflicts", "provides", "refresh", "versions", "owners", "python", "upstream", "draft")


def _common(form: _Folder, document: Document) -> dict[str, Any]:
    at = document.source.at
    tests = (model.Test(position=at("tests", index), **test.model_dump()) for index, test in enumerate(form.tests))
    variables = {name: _variable(name, variable, document.source) for name, variable in form.variables.items()}
    return {name: getattr(form, name) for name in _AS_WRITTEN} | {"tests": tuple(tests), "variables": variables}


def _variable(name: str, form: VariableForm, source: Source) -> model.Variable:
    return model.Variable(
        name=name,
        type=form.type,
        default=None if form.default is None else parse_value(form.default, form.type),
        choices={value_text(parse_value(value, _item_type(form))): label for value, label in form.choices.items()},
        help=form.help,
        position=source.key("variables", name),
    )


def _item_type(form: VariableForm) -> VariableType:
    """Of a choice: a list's choices are its items'."""
    return VariableType.TEXT if form.type is VariableType.LIST else form.type


def _misfits(name: str, form: VariableForm, source: Source) -> Iterator[Problem]:
    """Choices and a default that are not of the variable's type, and a default that is no choice."""
    place, known = ("variables", name), dict[str, None]()
    for choice_text in form.choices:
        position = source.key(*place, "choices", choice_text)
        try:
            value = value_text(parse_value(choice_text, _item_type(form)))
        except ValueError as error:
            yield Problem(
                position=position,
                what=f"a choice of {name} must be {error}",
                remedy=f"The variable's type is {form.type}.",
            )
            continue
        if value in known:
            yield Problem(position=position, what=f"{quote(choice_text)} is a choice twice", remedy="Keep one.")
        known[value] = None
    yield from differ_in_case(source, (*place, "choices"), form.choices)
    if form.default is not None:
        yield from _misfit_default(form, form.default, known, source.at(*place, "default"))


def _misfit_default(form: VariableForm, raw: Raw, known: Mapping[str, None], position: Position) -> Iterator[Problem]:
    try:
        default = parse_value(raw, form.type)
    except ValueError as error:
        yield Problem(position=position, what=f"default must be {error}", remedy=f"The variable's type is {form.type}.")
        return
    for value in default if isinstance(default, tuple) else (value_text(default),):
        if known and value not in known:
            what = f"the default {quote(value)} is none of the choices{did_you_mean(value, known)}"
            yield Problem(position=position, what=what, remedy=f"They are {enumerate_words(known, 'and')}.")
