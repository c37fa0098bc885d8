"""One regular expression, three readers: Python's ``re.match``, and a browser's RegExp with ``g`` and with ``v``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from random import Random

import pytest
from hubstack.hub.expression import ANY_IMAGE, built_image, expression_faults, is_image_prefix

DIGEST = f"sha256:{'0a' * 32}"
PREFIX = "quay.io/example/demo-"
NAMES = {
    "quay.io/jupyter/base-notebook:2026-01-05": True,
    f"quay.io/jupyter/base-notebook@{DIGEST}": True,
    f"registry.example:5000/a/b/c:1.0@{DIGEST}": True,
    "python:3.13": True,
    "localhost:5000/x:y": True,
    built_image(PREFIX): True,
    "quay.io/jupyter/base-notebook": False,
    "": False,
    ":latest": False,
    "UPPER/case:1": False,
    "a b:1": False,
    "a:1\n": False,
    "a:1\nb:1": False,
    "a:1 ": False,
    "a:é": False,
    f"a:{'x' * 129}": False,
    f"a@{DIGEST}0": False,
    "a:1<script>": False,
}
SAMPLES = [*NAMES, "a", "ab", "a-b", "aa:1", "x.y", "1", "_", "]", "-", "a\\", "é", "\u2028", "\r"]

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript engine here")
SCRIPT = """
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = (text, flag) => {
  try { return input.samples.map(s => new RegExp(text, flag).test(s)); } catch (error) { return String(error); }
};
console.log(JSON.stringify(input.texts.map(t => ({g: answers(t, "g"), v: answers(`^(?:${t})$`, "v")}))));
"""


def ask_browser(texts: Sequence[str]) -> list[dict[str, list[bool] | str]]:
    question = json.dumps({"texts": list(texts), "samples": SAMPLES})
    done = subprocess.run(
        ["node", "-e", SCRIPT], input=question, capture_output=True, text=True, check=True, timeout=60
    )
    answer: list[dict[str, list[bool] | str]] = json.loads(done.stdout)
    return answer


def ask_python(text: str) -> list[bool]:
    return [re.match(text, one) is not None for one in SAMPLES]


@pytest.mark.parametrize(("name", "good"), NAMES.items())
def test_what_any_image_is(name: str, good: bool) -> None:  # noqa: FBT001 — a row of a table
    assert (re.match(ANY_IMAGE, name) is not None) is good


def test_our_own_expression_passes_our_own_check() -> None:
    assert list(expression_faults(ANY_IMAGE, image_prefix=PREFIX, built=True)) == []


GOOD = [
    ANY_IMAGE,
    r"^quay\.io/example/[a-z0-9\-]+:[a-z0-9.\-]+$",
    r"^(?:quay\.io|ghcr\.io)/example/.+?:[0-9a-f]{7,40}$",
    r"^(?=quay)(?!quay\.com)[^ \n]+:v\x31$",
    r"^(a|b){2}:[\]\[\^\\.\/a-c]$",
]
BAD = [
    (r"quay\.io/.*$", "is not anchored"),
    (r"^quay\.io/.*", "is not anchored"),
    (r"^quay\.io/a:1\$", "is not anchored"),
    (r"^a:1|b:1$", "is not anchored"),
    (r"^a:1\Z", "is not anchored"),
    (r"^(?P<name>a):1$", "special in HTML"),
    (r"^(?i)a:1$", "has at character 2"),
    (r"^(?i:a):1$", "has at character 2"),
    (r"^(?#why)a:1$", "has at character 2"),
    (r"^(?>a+):1$", "special in HTML"),
    (r"^.+(?!x)(?:y)(?<!x):1$", "special in HTML"),
    (r"^a++:1$", "has at character 4"),
    (r"^a{2}+:1$", 'has at character 6 ("+:1$")'),
    (r"^a{,3}:1$", "has at character 3"),
    (r"^(?=a)*a:1$", "has at character 7"),
    (r"^\w+:\d+$", "has at character 2"),
    (r"^a\-b:1$", "has at character 3"),
    (r"^[a-z._-]+:1$", "has at character 2"),
    (r"^[]a]:1$", "has at character 2"),
    (r"^[^]a]:1$", "has at character 2"),
    (r"^[^]:1$", "has at character 2"),
    (r"^[a~~b]:1$", "has at character 2"),
    (r"^[a-z/]:1$", "has at character 2"),
    (r"^[[:alpha:]]:1$", "has at character 2"),
    (r"^(a)\1:1$", "has at character 5"),
    (r"^a]:1$", "has at character 3"),
    (r'^a":1$', "special in HTML"),
    (r"^é:1$", "special in HTML"),
    (r"^(a:1$", "is none: "),
    (r"^a)b(:1$", "is none: "),
    (r"^[z-a]:1$", "is none: "),
    (r"^*$", "is none: "),
    (r"^a?$", "lets an empty text, a space or a line break pass"),
    (r"^.*$", "lets an empty text, a space or a line break pass"),
    (r"^[^@]+:1$", "lets an empty text, a space or a line break pass"),
]


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str) -> None:
    assert list(expression_faults(text)) == []


@pytest.mark.parametrize(("text", "fault"), BAD)
def test_bad(text: str, fault: str) -> None:
    assert any(fault in what for what, _ in expression_faults(text)), list(expression_faults(text))


@pytest.mark.parametrize(
    ("text", "prefix", "fault"),
    [
        (r"^ghcr\.io/.+:[a-z0-9\-]+$", PREFIX, "refuses what BinderHub builds"),
        (r"^quay\.io/[a-z\-\/]+:[0-9.]+$", PREFIX, "refuses what BinderHub builds"),
        (r"^quay\.io/[a-z0-9\-\/]+:[0-9a-f]+$", "", "nothing says how those images are named"),
    ],
)
def test_what_binderhub_builds_must_pass(text: str, prefix: str, fault: str) -> None:
    assert list(expression_faults(text, image_prefix=prefix)) == []
    ((found, _),) = expression_faults(text, image_prefix=prefix, built=True)
    assert fault in found


@pytest.mark.parametrize(
    ("prefix", "good"),
    [
        (PREFIX, True),
        ("quay.io/team/", True),
        ("localhost:5000/", True),
        ("Quay.io/X/", False),
        ("a b/", False),
        ("a//", False),
    ],
)
def test_prefixes(prefix: str, good: bool) -> None:  # noqa: FBT001 — a row of a table
    assert is_image_prefix(prefix) is good


@needs_node
def test_browsers_agree_on_the_good_ones() -> None:
    for text, answer in zip(GOOD, ask_browser(GOOD), strict=True):
        assert answer["g"] == answer["v"] == ask_python(text), text


PIECES = [*r"ab1.:/@-_^$|()[]{}*+?\,!=~", "(?:", "(?=", "(?!", "(?i)", "(?P<n>", "[^", "a-b"]
PIECES += [r"\-", r"\.", r"\]", r"\d", r"\Z", "{1,2}", "{2}", "~~", "[a-b", r"[\-", "(a|b)"]


@needs_node
def test_what_passes_the_check_is_read_alike() -> None:
    chance = Random(20261121)
    texts = {f"^a{''.join(chance.choices(PIECES, k=chance.randint(1, 8)))}$" for _ in range(20_000)}
    passed = sorted(text for text in texts if not list(expression_faults(text)))
    assert len(passed) > 1000
    for text, answer in zip(passed, ask_browser(passed), strict=True):
        assert isinstance(answer["g"], list), (text, answer["g"])
        assert answer["g"] == answer["v"], text
        # A browser's dot leaves out more line breaks than Python's: it only refuses more.
        agrees = [ours or not theirs for ours, theirs in zip(ask_python(text), answer["g"], strict=True)]
        assert all(agrees), text
