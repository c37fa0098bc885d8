"""Mappings that are put onto each other are as dictionaries that are copied into each other."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hubstack.merge.stacked import Stacked, among, different, pile, shared, stacked
from hypothesis import given
from hypothesis import strategies as st

Numbers = dict[str, int]
KEYS = st.sampled_from("abcdef")
PLAIN = st.dictionaries(KEYS, st.integers(0, 2))
STEPS = st.lists(st.tuples(st.sampled_from(["pile", "below", "but", "without"]), PLAIN), max_size=5)


def grown(start: Numbers, steps: list[tuple[str, Numbers]]) -> tuple[Mapping[str, int], Numbers]:
    """A mapping that has been put together in these steps, and the dictionary that it should be."""
    whole: Mapping[str, int] = start
    plain = dict(start)
    for what, more in steps:
        if what == "pile":
            whole, plain = pile(whole, more, shared(whole, more)), plain | more
        elif what == "below":
            whole, plain = pile(more, whole, shared(more, whole)), more | plain
        elif what == "but":
            whole, plain = stacked(whole).but(more), plain | more
        else:
            whole, plain = stacked(whole).without(more.keys()), {k: v for k, v in plain.items() if k not in more}
    return whole, plain


@given(PLAIN, STEPS)
def test_it_holds_what_a_dictionary_would(start: Numbers, steps: list[tuple[str, Numbers]]) -> None:
    whole, plain = grown(start, steps)
    assert dict(whole) == plain
    assert sorted(whole) == sorted(plain)
    assert (len(whole), bool(whole)) == (len(plain), bool(plain))
    for key in "abcdef":
        assert (key in whole, whole.get(key), whole.get(key, 7)) == (key in plain, plain.get(key), plain.get(key, 7))
    assert among(whole, set("abc")) == plain.keys() & set("abc")
    assert repr(stacked(whole)) == repr(dict(sorted(plain.items())))


@given(PLAIN, STEPS, STEPS)
def test_two_of_one_beginning_are_compared_as_dictionaries_are(
    start: Numbers, steps: list[tuple[str, Numbers]], others: list[tuple[str, Numbers]]
) -> None:
    (one, plain), (other, plain_other) = grown(start, steps), grown(start, others)
    assert shared(one, other) == plain.keys() & plain_other.keys()
    keys = plain.keys() | plain_other.keys()
    assert different(one, other) == {key for key in keys if plain.get(key) != plain_other.get(key)}


def test_nothing_is_copied_and_what_may_have_changed_is_known() -> None:
    lower, upper = {"a": 1, "b": 1}, {"b": 2, "c": 2}
    whole = pile(lower, upper, {"b"})
    assert [layer is given for layer, given in zip(whole.layers, (lower, upper), strict=True)] == [True, True]
    assert whole.changed == {"b"}
    assert whole.without({"c"}).changed == {"b", "c"}
    assert pile({}, upper, set()).layers == (upper,)
    with pytest.raises(KeyError):
        Stacked((lower,), gone={"a"})["a"]


def test_what_was_taken_away_and_put_back_is_there() -> None:
    back = Stacked[int](({"b": 0},)).without({"b"}).but({"b": 2})
    assert dict(back) == {"b": 2}
    assert dict(pile({"b": 1}, back, {"b"})) == {"b": 2}
