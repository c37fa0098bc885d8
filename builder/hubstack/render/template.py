"""Templates: one sandboxed Jinja environment for a whole run.

A template sees the values it is given and the project's macros, and nothing else: no environment, no file, no object
with methods of ours. What has no name is an error. ``fork`` bounds time and memory, ``origin`` knows the lines.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib import resources
from textwrap import shorten
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_referenced_templates, find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hubstack.errors import Problem
from hubstack.model import Value
from hubstack.render.fork import TooLong
from hubstack.render.origin import Lines, Text, separate, verbatim
from hubstack.source import Position
from hubstack.spelling import did_you_mean, enumerate_words, escape, quote

MACROS = "layers/_macros"
OWN = "hubstack/"  # in front of the names of hubstack's own templates, which no template can load
FUNCTIONS = ("copy", "packages", "run")
"""What every template may call besides macros; no variable can have one of these names, nor one of CONTEXT."""
CONTEXT = ("arch", "base", "layer")
STEP = "\x03"
"""Stands in what FUNCTIONS return, in front of each step; no file can hold it."""

_SYNTAX = re.compile(r"\{[{%#]")
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_MAX_TEXT = 4 << 20
_MAX_SENTENCE = 250
_IMPLIED = frozenset({"loop", "caller", "varargs", "kwargs", "self", "super"})
_UNSAFE_FILTERS = frozenset(
    # They draw lots, print objects with their addresses, reach for attributes, or make HTML.
    ["attr", "e", "escape", "forceescape", "pprint", "random", "safe", "striptags", "urlencode", "urlize", "xmlattr"]
)

Functions = Mapping[str, Callable[..., str]]


class TemplateFault(Exception):
    """A template is wrong; each fault has a place."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Refusal(Exception):
    """Raised by what a template calls; becomes a fault at the line of the call."""

    def __init__(self, what: str, remedy: str = "Correct the call.") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def is_template(text: str) -> bool:
    return _SYNTAX.search(text) is not None


def parse_text(content: bytes, path: str) -> str:
    """A template's text, with Unix line ends. Raises TemplateFault where it is none."""
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        position = Position(path=path, line=content[: error.start].count(b"\n") + 1)
        remedy = "Save it as UTF-8, or drop the .j2 where it is no template."
        raise TemplateFault(Problem(position=position, what="this is not UTF-8", remedy=remedy)) from None
    if (found := _FORBIDDEN.search(text)) is not None:
        position = Position(path=path, line=text.count("\n", 0, found.start()) + 1)
        raise TemplateFault(
            Problem(position=position, what=f"a control character, {quote(found[0])}", remedy="Remove it.")
        )
    return text


def variables_read(text: str, declared: Iterable[str]) -> frozenset[str]:
    """The variables that a template may read, in whatever branch; of those ``declared`` all, where it hands them to another."""
    if not is_template(text):
        return frozenset()
    try:
        tree = jinja2.Environment().parse(text)  # noqa: S701 - only parsed
    except jinja2.TemplateSyntaxError:
        return frozenset()  # rendering it says what is wrong
    others = tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport))
    handed = frozenset(declared) if any(getattr(one, "with_context", True) for one in others) else frozenset()
    return handed | find_undeclared_variables(tree)


class Templates:
    """The templates of one run. ``declared`` says which layer declares a variable."""

    def __init__(self, macros: Mapping[str, str], declared: Mapping[str, str]) -> None:
        self._macros, self._declared = macros, declared
        self._functions: Functions = {}
        self._trees: dict[str, _Tree] = {}
        self._compiled: dict[str, jinja2.Template] = {}
        self._own: dict[str, Any] = {}

    def render(self, path: str, text: str, context: Mapping[str, Value], functions: Functions | None = None) -> Text:
        """Raises TemplateFault. A path stands for one text in the whole run."""
        if not is_template(text):
            return verbatim(text, path)
        self._functions = functions or {}
        try:
            rendered = self._template(path, text).render(context)
        except Exception as error:  # noqa: BLE001 - a template can raise whatever Python can
            raise TemplateFault(self._fault(error, path, context)) from None
        if len(rendered) > _MAX_TEXT:
            what = f"this renders to more than {_MAX_TEXT >> 20} MiB"
            raise TemplateFault(Problem(position=Position(path=path), what=what, remedy="Render less."))
        return _checked(separate(rendered, path, posixpath.dirname(path) or path), STEP if functions else "")

    def render_value(self, text: str, position: Position, context: Mapping[str, Value]) -> str:
        """A template that is a value of a YAML file; faults stand at ``position``."""
        try:
            return self.render(f"{position}: {text}", text, context).text
        except TemplateFault as fault:
            moved = [Problem(position=position, what=one.what, remedy=one.remedy) for one in fault.problems]
            raise TemplateFault(*moved) from None

    def check(self, path: str, text: str, context: Mapping[str, Value]) -> list[Problem]:
        """Wrong syntax, and names that no layer of the project declares, in every branch."""
        if not is_template(text):
            return []
        try:
            tree = self._tree(path, text)
        except Exception as error:  # noqa: BLE001 - the parser recurses as deep as the text does
            return [self._fault(error, path, context)]
        known = {*context, *self._declared, *self._environment.globals, *_IMPLIED, *tree.bound}
        return [
            self._undefined(name, Position(path=path, line=line), context)
            for name, line in tree.read
            if name not in known
        ]

    def macros_used(self, path: str, text: str) -> frozenset[str]:
        """The macro files that a template takes from, directly or not; all of them where a name is computed."""
        found: set[str] = set()
        waiting = [(path, text)]
        while waiting:
            for name in self._references(*waiting.pop()):
                if name is None:
                    return frozenset(self._macros)
                if name in self._macros and name not in found:
                    found.add(name)
                    waiting.append((f"{MACROS}/{name}", self._macros[name]))
        return frozenset(found)

    def own(self, name: str) -> Any:
        """The macros of one of hubstack's own templates, as attributes."""
        if name not in self._own:
            text = resources.files("hubstack.render").joinpath("templates", name).read_text(encoding="utf-8")
            self._own[name] = self._template(f"{OWN}{name}", text).module
        return self._own[name]

    @cached_property
    def _environment(self) -> jinja2.Environment:
        environment = _Environment(
            extensions=[Lines],
            undefined=jinja2.StrictUndefined,
            loader=jinja2.FunctionLoader(self._load),
            cache_size=-1,  # the default of 400 thrashes
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            finalize=_printed,
        )
        for name in _UNSAFE_FILTERS:
            del environment.filters[name]
        environment.filters |= {"quote": shlex.quote, "tojson": _to_json}
        environment.globals = {name: environment.globals[name] for name in ("dict", "namespace", "range")}
        environment.globals |= {name: self._function(name) for name in FUNCTIONS}
        return environment

    def _function(self, name: str) -> Callable[..., str]:
        """Macros call these too, so they are global, and whose layer they serve changes with each render."""

        def call(*args: object, **kwargs: object) -> str:
            if name not in self._functions:
                raise Refusal(f"{name}() has nothing to do here", "It writes instructions of a Dockerfile.")
            return self._functions[name](*args, **kwargs)

        return call

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (self._macros[name], f"{MACROS}/{name}", _fresh) if name in self._macros else None

    def _tree(self, path: str, text: str) -> _Tree:
        if path not in self._trees:
            self._trees[path] = _Tree(self._environment.parse(text, path, path))
        return self._trees[path]

    def _template(self, path: str, text: str) -> jinja2.Template:
        if path not in self._compiled:
            environment = self._environment
            code = environment.compile(self._tree(path, text).root, path, path)
            self._compiled[path] = jinja2.Template.from_code(environment, code, environment.make_globals(None))
        return self._compiled[path]

    def _references(self, path: str, text: str) -> Iterator[str | None]:
        if is_template(text) and self._tree(path, text).refers:
            yield from find_referenced_templates(self._tree(path, text).root)

    def _fault(self, error: Exception, path: str, context: Mapping[str, Value]) -> Problem:
        position, called_from = _place(error, path)
        unnamed = (
            re.fullmatch(r"'(\w+)' is undefined", str(error)) if isinstance(error, jinja2.UndefinedError) else None
        )
        if unnamed is not None:
            return self._undefined(unnamed[1], position, context)
        if isinstance(error, jinja2.TemplateNotFound):
            near = did_you_mean(str(error.name), self._macros)
            what, remedy = f"there is no {quote(str(error.name))} in {MACROS}/{near}", "Correct the name."
            return Problem(position=position, what=what, remedy=remedy)
        what, remedy = _explained(error)
        return Problem(position=position, what=f"{what}{called_from}", remedy=remedy)

    def _undefined(self, name: str, position: Position, context: Mapping[str, Value]) -> Problem:
        if position.path.startswith(f"{MACROS}/"):
            what = f"{quote(name)} is undefined in a macro"
            remedy = "Give it to the macro as an argument, or import the file `with context`."
        elif (layer := self._declared.get(name)) is not None:
            what = f"{quote(name)} is declared by the layer {quote(layer)}, which is not below this one"
            remedy = f"Write `requires: [{layer}]` in layer.yaml."
        else:
            what = f"{quote(name)} is undefined{did_you_mean(name, (*context, *self._environment.globals))}"
            remedy = f"Visible here: {enumerate_words(sorted(context), 'and')}."
        return Problem(position=position, what=what, remedy=remedy)


def _checked(text: Text, allowed: str) -> Text:
    """Jinja's strings know escapes, so that what is not in a template's file can still come out of it."""
    if (found := _FORBIDDEN.search(text.text.replace(allowed, ""))) is not None:
        path, line = text.origins[text.text.count("\n", 0, text.text.index(found[0]))]
        what = f"this renders a control character, {quote(found[0])}"
        raise TemplateFault(Problem(position=Position(path=path, line=line), what=what, remedy="Remove it."))
    return text


class _Environment(ImmutableSandboxedEnvironment):
    def is_marked(self, name: str) -> bool:
        """Lines of hubstack's own templates and of macros count as the line that called them."""
        return not name.startswith((OWN, f"{MACROS}/")) and "/" in name


def _fresh() -> bool:
    return True


class _Tree:
    """A parsed template, and what one walk over it finds (jinja2's own ``find_all`` is one walk for each question)."""

    def __init__(self, root: nodes.Template) -> None:
        self.root = root
        self.read: list[tuple[str, int]] = []  # names, with their lines
        self.bound: set[str] = set()  # every name that the template itself gives to something
        self.refers = False  # to other templates
        waiting: list[nodes.Node] = [root]
        while waiting:
            node = waiting.pop()
            self._note(node)
            waiting.extend(node.iter_child_nodes())

    def _note(self, node: nodes.Node) -> None:
        match node:
            case nodes.Name(ctx="load"):
                self.read.append((node.name, node.lineno))
            case nodes.Name() | nodes.Macro():
                self.bound.add(node.name)
            case nodes.Import():
                self.bound.add(node.target)
            case nodes.FromImport():
                self.bound.update(one[1] if isinstance(one, tuple) else one for one in node.names)
            case _:
                pass
        self.refers = self.refers or isinstance(node, (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends))


def _place(error: Exception, path: str) -> tuple[Position, str]:
    """The innermost line of a template, and the line that called it where that is a macro's."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return Position(path=error.filename or path, line=error.lineno), ""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    places = [(name, line) for name, line in frames if name == path or name.startswith(f"{MACROS}/")]
    if not places:
        return Position(path=path), ""
    (outer, outer_line), (inner, inner_line) = places[0], places[-1]
    called_from = f", called from {outer}:{outer_line}" if inner != outer else ""
    return Position(path=inner, line=inner_line), called_from


def _explained(error: Exception) -> tuple[str, str]:
    said = shorten(escape(str(error)), _MAX_SENTENCE, placeholder=" …").rstrip(".")
    remedy = "Correct the template."
    match error:
        case Refusal():
            said, remedy = error.what, error.remedy
        case TooLong():
            said, remedy = "this template takes too long", "Render less."
        case MemoryError():
            said, remedy = "this template takes too much memory", "Render less."
        case RecursionError():
            said, remedy = "this template calls itself without end", "Give it an end."
        case SecurityError():
            said, remedy = f"templates may not do this: {said}", "Leave it out."
        case jinja2.TemplateError():
            said = f"template: {said}"
        case _:
            said = f"template: {type(error).__name__}: {said}"
    return said, remedy


def _printed(value: object) -> object:
    """What ``{{ … }}`` prints: words and numbers. Anything else is a slip."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float() | jinja2.Undefined():
            return value
        case tuple() | list():
            raise Refusal("a list can't be printed", 'Join it: {{ NAME | join(" ") }}.')
        case _ if callable(value):
            raise Refusal("a macro can't be printed", "Call it: {{ NAME() }}.")
        case _:
            kind = "nothing" if value is None else f"a {type(value).__name__}"
            raise Refusal(f"{kind} can't be printed", "Print words and numbers.")


def _to_json(value: object) -> str:
    """Jinja's own filter makes HTML-safe markup, which would escape what it is joined to."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
