"""Strict YAML: every scalar stays text, everything has a position, and nothing is clever.

YAML 1.1 reads ``no`` as false, ``1.10`` as 1.1 and ``012`` as 10, keeps the last of two equal keys, and lets ten lines of
aliases grow to gigabytes. So libyaml's events are read here without composing or constructing anything: anchors, aliases,
tags, merge keys, equal keys and second documents are refused, size and depth are bounded before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import yaml

from hubstack.errors import Problem, ProjectError
from hubstack.source import Key, Position, Source
from hubstack.spelling import quote

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20

Data: TypeAlias = "str | list[Data] | dict[str, Data] | None"
"""What a file holds. None is an empty value or a bare ``~`` or ``null``; in quotes they are text."""

_Path: TypeAlias = tuple[Key, ...]
_Marks: TypeAlias = dict[_Path, Any]  # yaml.Mark, which the C parser has a type of its own for
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.1, 5.1
_NULL = frozenset(["", "~", "null", "Null", "NULL"])


class Plain(str):
    """A scalar written without quotes: where types are not known (inside KubeSpawner's traits) it may be a number."""

    __slots__ = ()


class Places(Mapping[_Path, Position]):
    """Positions made when somebody asks: of the many that a file has hardly one is ever shown."""

    __slots__ = ("_marks", "_path")

    def __init__(self, path: str, marks: _Marks) -> None:
        self._path, self._marks = path, marks

    def __getitem__(self, path: _Path) -> Position:
        return _position(self._path, self._marks[path])

    def __iter__(self) -> Iterator[_Path]:
        return iter(self._marks)

    def __len__(self) -> int:
        return len(self._marks)


@dataclass(frozen=True, kw_only=True)
class Document:
    data: Data
    source: Source
    text: str = ""

    def locate(self, path: _Path, character: str) -> Position:
        """Where ``character`` stands in the scalar at ``path``; the scalar's own position if that can't be told."""
        start = self.source.at(*path)
        if start.path != self.source.path:
            return start  # it came from the defaults, whose text this isn't
        lines = self.text.splitlines(keepends=True)
        begin = sum(len(line) for line in lines[: start.line - 1]) + start.column - 1
        found = self.text.find(character, begin)
        if found < 0 or (self.text[begin] == '"' and "\\" in self.text[begin:found]):
            return start  # it is written as an escape
        before = self.text[:found].splitlines(keepends=True)
        return Position(path=start.path, line=len(before), column=len(before[-1]) + 1)


def parse_yaml(content: bytes, path: str) -> Document:
    """Raises ProjectError with every fault that can be found: after one of syntax there is nothing to read on."""
    text = _decode(content, path)
    parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)  # the C one is 15 times faster, and not in every build
    reader = _Reader(path=path, next_event=parser.get_event)
    try:
        data = reader.document()
    except yaml.YAMLError as error:
        reader.problems.append(_syntax_problem(error, text, path))
        data = None
    finally:
        parser.dispose()
    if reader.problems:
        raise ProjectError(reader.problems)
    source = Source(path=path, positions=Places(path, reader.positions), keys=Places(path, reader.keys))
    return Document(data=data, source=source, text=text)


def merge(defaults: Document, document: Document) -> Document:
    """``document`` over ``defaults``: mappings are merged, everything else is replaced whole."""
    replaced: set[_Path] = set()
    data = _merge(defaults.data, document.data, (), replaced)

    def kept(places: Mapping[_Path, Position]) -> dict[_Path, Position]:
        return {
            path: place
            for path, place in places.items()
            if not any(path[:length] in replaced for length in range(len(path) + 1))
        }

    over, under = document.source, defaults.source
    positions = {**kept(under.positions), **over.positions}
    source = Source(path=over.path, positions=positions, keys={**kept(under.keys), **over.keys})
    return Document(data=data, source=source, text=document.text)


def _merge(under: Data, over: Data, path: _Path, replaced: set[_Path]) -> Data:
    if over is None:
        return under
    if not (isinstance(under, dict) and isinstance(over, dict)):
        replaced.add(path)
        return over
    merged = dict(under)
    for key, value in over.items():
        merged[key] = _merge(under.get(key), value, (*path, key), replaced)
    return merged


@dataclass(kw_only=True)
class _Reader:
    """Turns one file's events into data. A fault that leaves the structure readable doesn't end the reading."""

    path: str
    next_event: Callable[[], Any]
    positions: _Marks = field(default_factory=dict)
    keys: _Marks = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def document(self) -> Data:
        self.next_event()  # the stream's start
        if isinstance(self.next_event(), yaml.StreamEndEvent):
            return None
        data = self.value(self.next_event(), ())
        self.next_event()  # the document's end
        if not isinstance(second := self.next_event(), yaml.StreamEndEvent):
            remedy = "A file holds one; remove it, or move it to its own file."
            self.fault(second, "a second document begins here", remedy)
        return data

    def value(self, event: Any, path: _Path) -> Data:
        self.positions.setdefault(path, event.start_mark)  # under a key given twice the first one's places stay
        if event.anchor is not None:
            self.refuse_anchor(event)
        if isinstance(event, yaml.AliasEvent):
            return None
        if event.tag is not None:
            self.refuse_tag(event)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if len(path) >= MAX_DEPTH:
            raise _TooDeep(problem=f"values nest more than {MAX_DEPTH} deep", problem_mark=event.start_mark)
        return self.sequence(path) if isinstance(event, yaml.SequenceStartEvent) else self.mapping(path)

    def sequence(self, path: _Path) -> list[Data]:
        items: list[Data] = []
        while not isinstance(event := self.next_event(), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def mapping(self, path: _Path) -> dict[str, Data]:
        entries: dict[str, Data] = {}
        while not isinstance(event := self.next_event(), yaml.MappingEndEvent):
            key = self.key(event, path, entries)
            value = self.value(self.next_event(), (*path, key))
            entries[key] = value
        return entries

    def key(self, event: Any, path: _Path, entries: Mapping[str, Data]) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self.fault(
                event, "a key is not a text", "A value that begins with { or [ needs quotes, a template's {{ }} too."
            )
            self.skip(event)
            return ""
        if event.anchor is not None:
            self.refuse_anchor(event)
        if event.tag is not None:
            self.refuse_tag(event)
        key: str = event.value
        if key in entries:
            first = Places(self.path, self.keys)[*path, key]
            self.fault(event, f"the key {quote(key)} stands here and in {first}", "Keep one of them.")
        elif key == "<<":
            self.fault(event, "the merge key << is refused", "Write the values out.")
        elif not key:
            self.fault(event, "a key is empty", "Write its name before the colon.")
        self.keys.setdefault((*path, key), event.start_mark)
        return key

    def refuse_anchor(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            self.fault(event, f"the alias *{event.anchor} is refused", "Write the value out.")
        else:
            self.fault(event, f"the anchor &{event.anchor} is refused", "Write the value out wherever it is needed.")

    def refuse_tag(self, event: Any) -> None:
        self.fault(event, f"the tag {quote(event.tag)} is refused", "Remove it: a value's type follows from its place.")

    def skip(self, event: Any) -> None:
        """Reads on to the end of the collection that ``event`` begins."""
        depth = 0
        while (
            depth := depth + isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        ):
            event = self.next_event()

    def fault(self, event: Any, what: str, remedy: str) -> None:
        self.problems.append(Problem(position=_position(self.path, event.start_mark), what=what, remedy=remedy))


def _position(path: str, mark: Any) -> Position:
    return Position(path=path, line=mark.line + 1, column=mark.column + 1)


class _TooDeep(yaml.MarkedYAMLError):
    pass


def _scalar(event: Any) -> str | None:
    text: str = event.value
    if not event.implicit[0]:  # quoted, or a block: never a plain one
        return text
    return None if text in _NULL else Plain(text)


def _decode(content: bytes, path: str) -> str:
    if len(content) > MAX_BYTES:
        _refuse(path, 0, "", f"the file is larger than {MAX_BYTES // 1024} KiB", "Files of this kind are small.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        what = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        _refuse(path, len(before), before, what, "Save the file as UTF-8.")
    if match := _UNPRINTABLE.search(text):
        _refuse(path, match.start(), text, f"the character {quote(match[0])} can't stand in YAML", "Remove it.")
    return text


def _refuse(path: str, offset: int, text: str, what: str, remedy: str) -> NoReturn:
    before = text[:offset]
    place = Position(path=path, line=before.count("\n") + 1, column=offset - before.rfind("\n"))
    raise ProjectError([Problem(position=place, what=what, remedy=remedy)])


def _syntax_problem(error: yaml.YAMLError, text: str, path: str) -> Problem:
    """In our words: libyaml's and PyYAML's own differ, and name things that only a YAML author knows."""
    mark = getattr(error, "problem_mark", None)
    place = _position(path, mark) if mark else Position(path=path)
    problem, context = str(getattr(error, "problem", None) or error), str(getattr(error, "context", None) or "")
    if "cannot start any token" in problem:
        what, remedy = _bad_start(text, place)
    elif isinstance(error, _TooDeep):
        what, remedy = problem, "No file of this kind needs to."
    else:
        begin = getattr(error, "context_mark", None)
        what, remedy = _syntax_words(problem, context, f" that begins in line {begin.line + 1}" if begin else "")
    return Problem(position=place, what=what, remedy=remedy)


def _bad_start(text: str, place: Position) -> tuple[str, str]:
    character = text.splitlines()[place.line - 1][place.column - 1]
    if character == "\t":
        return "a tab stands where YAML allows only spaces", "Indent with spaces."
    return f"a value can't begin with {quote(character)}", "Put the value in quotes."


_SYNTAX = (  # part of libyaml's or PyYAML's words → ours
    (
        "mapping values are not allowed",
        'a ": " stands inside a value',
        "Put the value in quotes, or mend the indentation.",
    ),
    ("expected node content", "a value, or a closing bracket, is missing", "Write it."),
    ("flow sequence", 'a "," or the closing "]" of the list{since} is missing', "Add it."),
    ("flow mapping", 'a "," or the closing "}}" of the mapping{since} is missing', "Add it."),
    ("quoted scalar", "the text in quotes{since} doesn't end, or holds a wrong escape", "Close the quotes."),
    ("could not find expected ':'", 'the ":" behind a key is missing', "Write it, with a space behind it."),
    ("block", "the indentation doesn't fit the lines before", "Begin each entry in one column."),
)


def _syntax_words(problem: str, context: str, since: str) -> tuple[str, str]:
    for part, what, remedy in _SYNTAX:
        if part in problem or part in context:
            return what.format(since=since), remedy
    return f"this is not YAML: {problem}", "Mend it."
