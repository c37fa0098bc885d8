from __future__ import annotations

from hubstack.spelling import did_you_mean, enumerate_words, escape, quote


def test_names_the_nearest_word() -> None:
    assert did_you_mean("pyton", ["r", "python"]) == ' (did you mean "python"?)'
    assert did_you_mean("PYTHON", ["r", "python"]) == ' (did you mean "python"?)'
    assert did_you_mean("julia", ["r", "python"]) == ""


def test_the_order_of_the_known_words_makes_no_difference() -> None:
    assert did_you_mean("ab", {"aa", "bb"}) == did_you_mean("ab", ["bb", "aa"])


def test_quotes_stay_on_one_line_and_short() -> None:
    assert quote("a\x1b[31m\n\u202e") == '"a\\x1b[31m\\n\\u202e"'
    assert len(quote("x" * 1000)) < 70
    assert escape("bytes that are no UTF-8: \udcff") == "bytes that are no UTF-8: \\udcff"


def test_enumerates() -> None:
    assert enumerate_words([]) == ""
    assert enumerate_words(["a"]) == "a"
    assert enumerate_words(["a", "b"], "and") == "a and b"
    assert enumerate_words("abc") == "a, b or c"
