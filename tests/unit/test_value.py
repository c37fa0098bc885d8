from __future__ import annotations

import re

import pytest
from hubstack.model import Raw, Value, VariableType
from hubstack.value import parse_value, value_text
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        ("1.10", VariableType.TEXT, "1.10"),
        ("", VariableType.TEXT, ""),
        ("1.10", VariableType.VERSION, "1.10"),
        ("2026a1+cpu", VariableType.VERSION, "2026a1+cpu"),
        ("-3", VariableType.INT, -3),
        ("0", VariableType.INT, 0),
        ("Yes", VariableType.BOOL, True),
        ("off", VariableType.BOOL, False),
        (("a", "b"), VariableType.LIST, ("a", "b")),
        ((), VariableType.LIST, ()),
    ],
)
def test_reads_a_value_of_the_declared_type(raw: Raw, kind: VariableType, value: Value) -> None:
    assert parse_value(raw, kind) == value
    assert type(parse_value(raw, kind)) is type(value)


@pytest.mark.parametrize(
    ("raw", "kind", "wanted"),
    [
        ("four", VariableType.INT, 'a whole number, not "four"'),
        ("012", VariableType.INT, 'a whole number, not "012"'),
        ("1e3", VariableType.INT, 'a whole number, not "1e3"'),
        ("9" * 30, VariableType.INT, "a whole number, not"),
        ("y", VariableType.BOOL, 'true, yes, on, false, no or off, not "y"'),
        ("4.4 beta", VariableType.VERSION, "a version"),
        ("", VariableType.VERSION, "a version"),
        ("-4", VariableType.VERSION, "a version"),
        (("a",), VariableType.TEXT, "a text, not a list"),
        ("a", VariableType.LIST, 'a list, not "a"'),
        ("a\nFROM b", VariableType.TEXT, "one line without control characters"),
        (("a", "b\n"), VariableType.LIST, "one line without control characters"),
        ("a\u202eb", VariableType.TEXT, "one line without control characters"),
    ],
)
def test_says_what_was_wanted(raw: Raw, kind: VariableType, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}"):
        parse_value(raw, kind)


@given(st.integers(-(10**17), 10**17))
def test_equal_numbers_have_one_text(number: int) -> None:
    assert value_text(parse_value(str(number), VariableType.INT)) == str(number)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (1, "1"), ("x", "x"), (("a", "b"), "a-b")]
)
def test_text_of_a_value(value: Value, text: str) -> None:
    assert value_text(value) == text
