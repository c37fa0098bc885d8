"""Templates: one sandboxed Jinja environment for a whole run, that knows from which line each line came.

A template sees the values it is given and the project's macros, and nothing else: no environment, no file, no object
with methods of ours. What has no name is an error. ``fork`` bounds time and memory.

Where a line came from is carried through Jinja by marks, ``\\x01PATH:LINE\\x02``, that the lexer puts in front of each
line of a template's text and ``Text`` takes out again. Text inside macros, calls and ``set`` blocks gets none, so that
templates can compare and cut what they captured; such lines count as the line that printed them.
"""

from __future__ import annotations

import json
import re
import shlex
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from hubstack.errors import Problem
from hubstack.fork import TooLong
from hubstack.model import Position, Value
from hubstack.spelling import did_you_mean, enumerate_words, quote

MACROS = "layers/_macros"
OWN = "hubstack/"  # hubstack's own templates, as the loader calls them
SYNTAX = re.compile(r"\{[{%#]")
_MARK = re.compile("\x01([^\x01\x02\n]*?):([0-9]+)\x02")
_LEFT_OVER = re.compile("[\x01\x02]")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MAX_TEXT = 4 << 20
_FILTERS = (
    "abs", "batch", "capitalize", "default", "dictsort", "first", "float", "format", "groupby", "indent", "int", "items",
    "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round",
    "select", "selectattr", "slice", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount",
    "wordwrap",
)  # fmt: skip - Jinja's, but for those that draw lots, print objects or make HTML


class TemplateFault(Exception):
    """A template is wrong; the fault has a place."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Refusal(Exception):
    """Raised by what a template calls; becomes a fault at the line of the call."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


@dataclass(frozen=True, slots=True)
class Text:
    """Rendered text, and for each of its lines the file and line behind it."""

    text: str
    origins: tuple[tuple[str, int], ...]

    def lines(self) -> Iterator[tuple[str, Position]]:
        for line, (path, number) in zip(self.text.split("\n"), self.origins, strict=False):
            yield line, Position(path=path, line=number)


def mark(path: str, line: int) -> str:
    """What makes the line that it stands in, and those behind it, count as ``path``'s line."""
    return f"\x01{path}:{line}\x02"


def plain_text(content: bytes, path: str) -> str:
    """A template's text; line ends become ``\\n``. Raises TemplateFault where it is none."""
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TemplateFault(_problem(path, line, "this is not UTF-8", "Save it as UTF-8, or drop the .j2.")) from None
    if (found := _FORBIDDEN.search(text)) is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise TemplateFault(_problem(path, line, f"a control character, {quote(found[0])}", "Remove it."))
    return text


class Templates:
    """The environment of one run. ``declared`` says which layer declares a variable."""

    def __init__(self, macros: Mapping[str, str], declared: Mapping[str, str]) -> None:
        self._macros, self._declared = macros, declared
        self._functions: Mapping[str, Callable[..., str]] = {}
        self._compiled: dict[str, jinja2.Template] = {}
        self._parsed: dict[str, nodes.Template] = {}

    def render(
        self, path: str, text: str, context: Mapping[str, Value], functions: Mapping[str, Callable[..., str]]
    ) -> Text:
        """Raises TemplateFault with everything that is wrong with it."""
        if SYNTAX.search(text) is None:
            return Text(text, tuple((path, line) for line in range(1, text.count("\n") + 2)))
        self._functions = functions
        try:
            template = self._template(path, text)
            rendered = template.render(context)
        except Exception as error:  # noqa: BLE001 - a template can raise whatever Python can
            raise TemplateFault(self._fault(error, path, context)) from None
        if len(rendered) > _MAX_TEXT:
            raise TemplateFault(_problem(path, 1, f"this renders to more than {_MAX_TEXT >> 20} MiB"))
        return _separate(rendered, path)

    def render_value(self, text: str, position: Position, context: Mapping[str, Value]) -> str:
        """A template that is a value of a YAML file; faults stand at ``position``."""
        try:
            return self.render(f"{position}", text, context, {}).text
        except TemplateFault as fault:
            raise TemplateFault(
                *(Problem(position=position, what=one.what, remedy=one.remedy) for one in fault.problems)
            ) from None

    def own(self, name: str) -> Any:
        """The macros of one of hubstack's own templates."""
        return self._environment.get_template(f"{OWN}{name}").module

    def macros_used(self, path: str, text: str) -> frozenset[str]:
        """The macro files that a template takes something from, directly or not; all of them where a name is computed."""
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

    def mentions(self, path: str, text: str, name: str) -> bool:
        return SYNTAX.search(text) is not None and any(
            one.name == name for one in self._tree(path, text).find_all(nodes.Name)
        )

    def check(self, path: str, text: str, context: Mapping[str, Value]) -> list[Problem]:
        """Names that no layer of the project declares, in every branch; syntax errors."""
        if SYNTAX.search(text) is None:
            return []
        try:
            tree = self._tree(path, text)
        except Exception as error:  # noqa: BLE001
            return [self._fault(error, path, context)]
        names = list(tree.find_all(nodes.Name))
        known = {*context, *self._declared, *self._environment.globals, "loop", "caller", "varargs", "kwargs", "self"}
        known |= {one.name for one in names if one.ctx != "load"}
        known |= {one.target for one in tree.find_all(nodes.Import)}
        known |= {
            name[1] if isinstance(name, tuple) else name for one in tree.find_all(nodes.FromImport) for name in one.names
        }
        known |= {one.name for one in tree.find_all(nodes.Macro)}
        return [
            self._undefined(one.name, Position(path=path, line=one.lineno), context)
            for one in names
            if one.name not in known
        ]

    @cached_property
    def _environment(self) -> _Environment:
        environment = _Environment(
            extensions=[_Origins],
            undefined=jinja2.StrictUndefined,
            loader=jinja2.FunctionLoader(self._load),
            cache_size=-1,  # the default of 400 thrashes: a run is as long as its templates live
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            finalize=_printed,
        )
        environment.filters = {name: environment.filters[name] for name in _FILTERS}
        environment.filters |= {"quote": shlex.quote, "tojson": _to_json}
        functions = {name: self._function(name) for name in FUNCTIONS}
        environment.globals = {name: environment.globals[name] for name in ("dict", "namespace", "range")} | functions
        return environment

    def _function(self, name: str) -> Callable[..., str]:
        """Macros call these too, so they are global; whose layer they serve changes with each render."""

        def call(*args: object, **kwargs: object) -> str:
            if name not in self._functions:
                raise Refusal(f"{name}() has nothing to do here", "It writes instructions of a Dockerfile.")
            return self._functions[name](*args, **kwargs)

        return call

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        if name.startswith(OWN):
            text = resources.files("hubstack").joinpath("templates", name.removeprefix(OWN)).read_text()
            return text, name, lambda: True
        if name in self._macros:
            return self._macros[name], f"{MACROS}/{name}", lambda: True
        return None

    def _tree(self, path: str, text: str) -> nodes.Template:
        if path not in self._parsed:
            self._parsed[path] = self._environment.parse(text, path, path)
        return self._parsed[path]

    def _template(self, path: str, text: str) -> jinja2.Template:
        if path not in self._compiled:
            environment = self._environment
            code = environment.compile(self._tree(path, text), path, path)
            self._compiled[path] = environment.template_class.from_code(environment, code, environment.make_globals(None))
        return self._compiled[path]

    def _references(self, path: str, text: str) -> Iterator[str | None]:
        if SYNTAX.search(text) is not None:
            yield from jinja2.meta.find_referenced_templates(self._tree(path, text))

    # --- from exceptions to faults ---

    def _fault(self, error: Exception, path: str, context: Mapping[str, Value]) -> Problem:
        position, called_from = self._place(error, path)
        if isinstance(error, jinja2.UndefinedError):
            if (match := re.fullmatch(r"'(\w+)' is undefined", str(error))) is not None:
                return self._undefined(match[1], position, context)
        what, remedy = self._explained(error)
        return Problem(position=position, what=f"{what}{called_from}", remedy=remedy)

    def _place(self, error: Exception, path: str) -> tuple[Position, str]:
        """The innermost line of a template, and who called it where that is a macro."""
        if isinstance(error, jinja2.TemplateSyntaxError):
            return Position(path=error.filename or path, line=error.lineno), ""
        places = [
            (frame.filename, line)
            for frame, line in traceback.walk_tb(error.__traceback__)
            if (frame.filename == path or frame.filename.startswith(f"{MACROS}/"))
        ] if False else _template_lines(error, path)
        if not places:
            return Position(path=path), ""
        (inner, line), (outer, outer_line) = places[-1], places[0]
        called = f", called from {outer}:{outer_line}" if inner != outer else ""
        return Position(path=inner, line=line), called

    def _undefined(self, name: str, position: Position, context: Mapping[str, Value]) -> Problem:
        if position.path.startswith(f"{MACROS}/"):
            remedy = "Give it to the macro as an argument, or import the macro `with context`."
            return Problem(position=position, what=f"a macro doesn't see {quote(name)}", remedy=remedy)
        if (layer := self._declared.get(name)) is not None:
            what = f"{quote(name)} is declared by the layer {quote(layer)}, which is not below this one"
            return Problem(position=position, what=what, remedy=f"Write `requires: [{layer}]` in layer.yaml.")
        near = did_you_mean(name, (*context, *self._environment.globals))
        visible = enumerate_words(sorted(context), "and")
        return Problem(position=position, what=f"{quote(name)} is undefined{near}", remedy=f"Visible here: {visible}.")

    def _explained(self, error: Exception) -> tuple[str, str]:
        match error:
            case Refusal():
                return error.what, error.remedy
            case TooLong():
                return "this template takes too long", "Render less, or with shorter loops."
            case MemoryError():
                return "this template takes too much memory", "Render less."
            case RecursionError():
                return "this template calls itself without end", ""
            case SecurityError():
                return f"templates may not do this: {_sentence(error)}", ""
            case jinja2.TemplateNotFound():
                near = did_you_mean(str(error.name), self._macros)
                return f"there is no {quote(str(error.name))} in {MACROS}/{near}", ""
            case jinja2.TemplateError():
                return f"template: {_sentence(error)}", ""
            case _:
                return f"template: {type(error).__name__}: {_sentence(error)}", ""


FUNCTIONS = ("copy", "packages", "run")
"""What templates may call besides macros; no variable can have one of these names, nor one of CONTEXT."""

CONTEXT = ("arch", "base", "layer")


class _Environment(ImmutableSandboxedEnvironment):
    """Iterating a whole range at once is all that a template could do with a longer one."""

    def handle_exception(self, source: str | None = None) -> NoReturn:
        super().handle_exception(source)


class _Origins(Extension):
    """Puts a mark in front of each line of a template's own text; hubstack's and the macros' get none."""

    def filter_stream(self, stream: TokenStream) -> TokenStream | Iterator[Token]:
        name = stream.name or ""
        return stream if name.startswith((OWN, f"{MACROS}/")) or "/" not in name else self._marked(stream, name)

    def _marked(self, stream: TokenStream, path: str) -> Iterator[Token]:
        depth = 0  # of blocks whose text is captured
        for token in stream:
            if token.type == "data":
                yield token if depth else Token(token.lineno, "data", _mark_lines(token, path))
                continue
            if token.type == "variable_begin" and not depth:
                yield Token(token.lineno, "data", mark(path, token.lineno))
            if token.type != "block_begin":
                yield token
                continue
            block = list(_until_end(token, stream))
            opened = _captures(block)
            if opened > 0 and not depth:
                yield Token(token.lineno, "data", mark(path, token.lineno))
            depth += opened
            yield from block


def _until_end(first: Token, stream: TokenStream) -> Iterator[Token]:
    yield first
    for token in stream:
        yield token
        if token.type == "block_end":
            return


def _captures(block: list[Token]) -> int:
    """1 where a block begins to capture its text, -1 where one ends to, else 0."""
    word = block[1].value if len(block) > 1 else ""
    if word in ("endmacro", "endcall", "endfilter", "endset"):
        return -1
    inline = word == "set" and any(token.type == "assign" for token in block)
    return int(word in ("macro", "call", "filter", "set") and not inline)


def _mark_lines(token: Token, path: str) -> str:
    lines = token.value.split("\n")
    return "\n".join(f"{mark(path, token.lineno + number)}{line}" for number, line in enumerate(lines))


def _separate(rendered: str, path: str) -> Text:
    """Take the marks out; a line counts as the last mark in front of its first visible character."""
    lines, origins = [], []
    place = (path, 1)
    for line in rendered.split("\n"):
        at, seen = place, False
        for match in _MARK.finditer(line):
            place = (match[1], int(match[2]))
            seen = seen or bool(_MARK.sub("", line[: match.start()]).strip())
            at = at if seen else place
        lines.append(_LEFT_OVER.sub("", _MARK.sub("", line)))
        origins.append(at)
    return Text("\n".join(lines), tuple(origins))


def _printed(value: object) -> object:
    """What ``{{ … }}`` prints: words and numbers. Anything else is a slip."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float() | jinja2.Undefined():
            return value
        case tuple() | list():
            raise Refusal("a list can't be printed", 'Join it: {{ NAME | join(" ") }}.')
        case _:
            kind = "a macro" if callable(value) else "nothing" if value is None else f"a {type(value).__name__}"
            raise Refusal(f"{kind} can't be printed", "Call it: {{ NAME() }}." if callable(value) else "")


def _to_json(value: object) -> str:
    """Jinja's own filter makes HTML-safe markup, which would escape what it is joined to."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _problem(path: str, line: int, what: str, remedy: str = "") -> Problem:
    return Problem(position=Position(path=path, line=line), what=what, remedy=remedy)


def _sentence(error: Exception) -> str:
    return quote(str(error)).strip('"').rstrip(".")


def variables_read(text: str) -> frozenset[str]:
    """The variables that a template's text may read, in whatever branch."""
    if SYNTAX.search(text) is None:
        return frozenset()
    from jinja2 import meta

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)  # noqa: S701 - nothing is rendered
    try:
        return frozenset(meta.find_undeclared_variables(environment.parse(text)))
    except jinja2.TemplateSyntaxError:
        return frozenset()  # rendering it says what is wrong
