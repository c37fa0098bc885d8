from __future__ import annotations

import contextlib

import pytest
import yaml
from hubstack.errors import ProjectError
from hubstack.source import Position
from hubstack.yamlfile import MAX_BYTES, MAX_DEPTH, Document, Plain, merge, parse_yaml
from hypothesis import given
from hypothesis import strategies as st


def read(text: str) -> Document:
    return parse_yaml(text.encode(), "f.yaml")


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        parse_yaml(text if isinstance(text, bytes) else text.encode(), "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def is_wrong(text: str) -> bool:
    try:
        read(text)
    except ProjectError:
        return True
    return False


def place(line: int, column: int) -> Position:
    return Position(path="f.yaml", line=line, column=column)


@pytest.mark.parametrize("text", ["1.10", "no", "012", "1:30", "1e3", "2026-11-21", "0x10", "y", ".inf", "=", "0o7"])
def test_scalars_stay_text(text: str) -> None:
    assert read(f"a: {text}\nb: [{text}]\n{text}: c\n").data == {"a": text, "b": [text], text: "c"}


def test_empty_values_and_bare_nulls_are_none_but_quoted_ones_are_text() -> None:
    document = read("a:\nb: ~\nc: null\nd: ''\ne: '~'\nf: \"null\"\n")
    assert document.data == {"a": None, "b": None, "c": None, "d": "", "e": "~", "f": "null"}


def test_remembers_which_scalars_had_quotes() -> None:
    data = read('a: 1\nb: "1"\nc: |\n  1\n').data
    assert isinstance(data, dict)
    assert [isinstance(data[key], Plain) for key in "abc"] == [True, False, False]


def test_an_empty_file_is_none() -> None:
    assert read("").data is None
    assert read("# nothing\n").data is None


def test_a_byte_order_mark_is_no_character() -> None:
    document = parse_yaml(b"\xef\xbb\xbfa: b\n", "f.yaml")
    assert document.data == {"a": "b"}
    assert document.source.key("a") == place(1, 1)


def test_every_value_and_key_has_a_position() -> None:
    source = read("a: 1\nb:\n  - x\n  - {c: é, d: y}\n").source
    assert source.at("a") == place(1, 4)
    assert source.at("b", 0) == place(3, 5)
    assert source.at("b", 1, "d") == place(4, 15)
    assert source.key("b") == place(2, 1)
    assert source.key("b", 1, "d") == place(4, 12)
    assert source.at() == place(1, 1)
    assert set(source.positions) == {(), ("a",), ("b",), ("b", 0), ("b", 1), ("b", 1, "c"), ("b", 1, "d")}
    assert len(source.positions) == 7


def test_positions_of_what_is_not_there_are_those_of_what_holds_it() -> None:
    source = read("a: {b: c}\n").source
    assert source.at("a", "x", 3) == place(1, 4)
    assert source.key("a", "x") == place(1, 4)


def test_finds_a_character_inside_a_value() -> None:
    document = read("a: one <b>\nb: 'quoted <'\nc: |\n  first\n  second <\nd: \"\\x3c and <\"\n")
    assert document.locate(("a",), "<") == place(1, 8)
    assert document.locate(("b",), "<") == place(2, 12)
    assert document.locate(("c",), "<") == place(5, 10)
    assert document.locate(("d",), "<") == place(6, 4), "escaped: only the value's place can be told"
    assert document.locate(("a",), "|") == place(3, 4)


def test_both_places_of_a_key_that_stands_twice() -> None:
    assert faults("a: 1\nb: {x: 1, y: 2, x: 3}\n'a': 2\n") == [
        'f.yaml:2:17: the key "x" stands here and in f.yaml:2:5. Keep one of them.',
        'f.yaml:3:1: the key "a" stands here and in f.yaml:1:1. Keep one of them.',
    ]


def test_finds_every_fault_that_leaves_the_structure_readable() -> None:
    assert len(faults("[a, b]: c\n? {x: y}\n: z\nd: &e f\ng: *e\nh: !i j\n<<: k\n: l\n")) == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x b\n", "1:4: the anchor &x is refused"),
        ("a: *x\n", "1:4: the alias *x is refused"),
        ("&x a: b\n", "1:1: the anchor &x is refused"),
        ("*x : b\n", "1:1: a key is not a text"),
        ("a: !!str b\n", '1:4: the tag "tag:yaml.org,2002:str" is refused'),
        ("!t a: b\n", '1:1: the tag "!t" is refused'),
        ("<<: {a: b}\n", "1:1: the merge key << is refused"),
        ("a: b\n---\nc: d\n", "2:1: a second document begins here"),
        ("a:\n\t- b\n", "2:1: a tab stands where YAML allows only spaces"),
        ("a: {{ x }}\n", "1:5: a key is not a text"),
        ("a: b: c\n", '1:5: a ": " stands inside a value'),
        ("a: @b\n", '1:4: a value can\'t begin with "@"'),
        ("a: [b\n", '2:1: a "," or the closing "]" of the list that begins in line 1 is missing'),
        ("a: {b: c\n", '2:1: a "," or the closing "}" of the mapping that begins in line 1 is missing'),
        ("a: 'b\n", "2:1: the text in quotes that begins in line 1 doesn't end, or holds a wrong escape"),
        ('a: "\\q"\n', "1:5: the text in quotes that begins in line 1 doesn't end, or holds a wrong escape"),
        ("a:\n  b: c\n d: e\n", "3:2: the indentation doesn't fit the lines before"),
        ("a: [\n", "2:1: a value, or a closing bracket, is missing"),
        ("'': b\n", "1:1: a key is empty"),
        ("%YAML 9.9\n---\na: b\n", "1:1: this is not YAML"),
        ("a: \x1b[31m\n", '1:4: the character "\\x1b" can\'t stand in YAML'),
        ("a: b\nc: \x00\n", '2:4: the character "\\x00" can\'t stand in YAML'),
    ],
)
def test_says_what_is_refused_and_where(text: str, said: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(f"f.yaml:{said}")


def test_the_slow_loader_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML was built without libyaml its own scanner serves; its words differ, ours mustn't."""
    texts = [
        "a: [b\n",
        "a: b: c\n",
        "a: @b\n",
        "a:\n\t- b\n",
        "a: 'b\n",
        "a:\n  b: c\n d: e\n",
        "a: &b c\n",
        "a: 1\na: 2\n",
    ]
    fast = [[fault.partition(": ")[2] for fault in faults(text)] for text in texts]
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert read("a: [1, ~]\n").data == {"a": ["1", None]}
    assert [[fault.partition(": ")[2] for fault in faults(text)] for text in texts] == fast


def test_bytes_that_are_not_utf8() -> None:
    assert faults("a: b\nc: é".encode() + b"\xff\n") == [
        "f.yaml:2:5: the byte 0xff is not UTF-8. Save the file as UTF-8."
    ]


def test_size_is_bounded() -> None:
    assert read("#" * (MAX_BYTES - 1)).data is None
    assert faults("#" * (MAX_BYTES + 1)) == [
        "f.yaml:1:1: the file is larger than 1024 KiB. Files of this kind are small."
    ]


@pytest.mark.parametrize("nested", ["[" * 500_000, "- " * 500_000, "{a: " * 200_000, "? " * 500_000])
def test_depth_is_bounded(nested: str) -> None:
    """Each of these ends a recursive reader's stack."""
    assert len(faults(nested)) == 1


def test_the_last_depth_that_is_read() -> None:
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH).data
    assert "nest more than 20 deep" in faults("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))[0]


@given(st.text(max_size=60) | st.text(alphabet="ab:[]{},-?*&!|>'\"%@`#~ \n\t<", max_size=40))
def test_never_ends_with_another_exception(text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    with contextlib.suppress(ProjectError):
        document = parse_yaml(content, "f.yaml")
        assert document.data is None or () in document.source.positions


@given(st.text(alphabet="ab:[]{},-?*&!|>'\"%@`#~ \n\t<", max_size=40).filter(is_wrong))
def test_places_are_in_the_file(text: str) -> None:
    with pytest.raises(ProjectError) as caught:
        read(text)
    for problem in caught.value.problems:
        assert 1 <= problem.position.line <= text.count("\n") + 2


def test_merges_mappings_and_replaces_the_rest() -> None:
    defaults = parse_yaml(b"a: {x: 1, y: 2}\nb: [{z: 1}, {z: 2}]\nc: 3\n", "d.yaml")
    merged = merge(defaults, read("a: {y: 5}\nb: [{w: 1}]\nc:\n"))
    assert merged.data == {"a": {"x": "1", "y": "5"}, "b": [{"w": "1"}], "c": "3"}


def test_merged_values_have_the_place_they_came_from() -> None:
    defaults = parse_yaml(b"a: {x: 1, y: 2}\nb: [{z: 1}, {z: 2}]\n", "d.yaml")
    source = merge(defaults, read("a: {y: 5}\nb: [{w: 1}]\n")).source
    assert source.at("a", "x") == Position(path="d.yaml", line=1, column=8)
    assert source.at("a", "y") == place(1, 8)
    assert source.at("b", 0, "z") == place(2, 5), "the defaults' list is gone, and its places with it"
    assert source.path == "f.yaml"


def test_merging_over_nothing_changes_nothing() -> None:
    document = read("a: [1]\n")
    merged = merge(read(""), document)
    assert merged.data == document.data
    assert dict(merged.source.positions) == dict(document.source.positions)
