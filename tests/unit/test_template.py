"""Templates: what they see, what they may not do, and from which line each line came."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

import pytest
from hubstack.errors import Problem
from hubstack.model import Value
from hubstack.render.fork import Bounds, Overrun, Step, bounded
from hubstack.render.origin import Text
from hubstack.render.template import Refusal, TemplateFault, Templates, parse_text, variables_read
from hubstack.source import Position

PATH = "layers/scipy/Dockerfile.j2"
VALUES: Mapping[str, Value] = {
    "release": "trixie",
    "cores": 2,
    "gpu": True,
    "fonts": ("dejavu", "noto"),
    "layer": "scipy",
}


def render(text: str, *, macros: Mapping[str, str] | None = None, **more: Value) -> Text:
    return Templates(macros or {}, {"r_release": "r"}).render(PATH, text, {**VALUES, **more})


def problem(text: str, *, macros: Mapping[str, str] | None = None) -> Problem:
    with pytest.raises(TemplateFault) as caught:
        render(text, macros=macros)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


def test_values_and_blocks() -> None:
    text = (
        "{% for font in fonts %}\n{{ font }}{% if not loop.last %},{% endif %}\n{% endfor %}\n{{ cores }} {{ gpu }}\n"
    )
    assert render(text).text == "dejavu,\nnoto\n2 true\n"


def test_a_value_is_not_rendered_again() -> None:
    assert render("{{ release }}", release="{{ layer }}").text == "{{ layer }}"


def test_text_without_templates_stays_as_it_is() -> None:
    text = render("a\n\n  b # } {\n")
    assert text.text == "a\n\n  b # } {\n"
    assert [line for _, line in text.origins] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one\n{{ relaese }}", ':2:1: "relaese" is undefined (did you mean "release"?). Visible here: cores, '),
        (
            "{{ r_release }}",
            '"r_release" is declared by the layer "r", which is not below this one. Write `requires: [r]`',
        ),
        ("{{ release.upcase() }}", "'str object' has no attribute 'upcase'"),
        ("a\n{% if %}", ":2:1: template: Expected an expression, got 'end of statement block'. Correct the template."),
        ("{% for x in fonts %}", "template: Unexpected end of template"),
        ("{{ fonts }}", 'a list can\'t be printed. Join it: {{ NAME | join(" ") }}.'),
        ("{{ none }}", "nothing can't be printed."),
        ("{{ packages }}", "a macro can't be printed. Call it: {{ NAME() }}."),
        ("{{ packages() }}", "packages() has nothing to do here."),
        ("{{ 1 / 0 }}", "template: ZeroDivisionError: division by zero."),
        ('{% import "maths.j2" as m %}', 'there is no "maths.j2" in layers/_macros/ (did you mean "math.j2"?).'),
        ('{% include "layers/r/Dockerfile.j2" %}', 'there is no "layers/r/Dockerfile.j2" in layers/_macros/'),
        ("{{ release | random }}", "template: No filter named 'random'"),
        ("{{ lipsum() }}", '"lipsum" is undefined'),
        ("{{ range(1000000) | length }}", "template: OverflowError: Range too big."),
    ],
)
def test_faults(text: str, said: str) -> None:
    assert said in str(problem(text, macros={"math.j2": ""}))


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ packages.__globals__ }}",
        "{{ run.__closure__ }}",
        "{{ self.__init__ }}",
        "{{ fonts.__class__.__base__.__subclasses__() }}",
        "{{ '{0.__class__}'.format(release) }}",
        "{{ ('{0.__class__}' | format(release)).mro }}",
        "{{ release | attr('__class__') }}",
        "{{ range.__init__.__globals__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{% set x = {} %}{{ x.update(a=1) }}",
        "{% set x = [] %}{{ x.append(1) }}",
        "{{ cycler.__init__ }}",
        "{{ config }}",
        "{{ environ }}",
        "{{ os.environ }}",
        "{{ get_flashed_messages.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% include '../../etc/passwd' %}",
        "{% include 'hubstack/../../../pyproject.toml' %}",
    ],
)
def test_no_way_out_of_the_sandbox(text: str) -> None:
    problem(text)


def test_undefined_names_are_found_in_every_branch() -> None:
    text = "{% if gpu %}x{% else %}{{ nothere }}\n{{ r_release }}{% endif %}\n{% for x in fonts %}{{ x }}{% endfor %}"
    templates = Templates({}, {"r_release": "r"})
    assert [(one.position.line, one.what) for one in templates.check(PATH, text, VALUES)] == [
        (1, '"nothere" is undefined')
    ]


def test_names_that_a_template_binds_are_no_faults() -> None:
    text = (
        '{% import "m.j2" as m %}{% from "m.j2" import f as g, h %}{% set a = 1 %}{% macro k(b) %}{{ b }}{{ caller() }}'
        "{% endmacro %}{% for c in fonts %}{{ loop.index }}{{ c }}{% endfor %}{{ m.x(a) }}{{ g(h) }}{{ k() }}"
    )
    assert Templates({"m.j2": ""}, {}).check(PATH, text, VALUES) == []


def test_macros_see_what_they_are_given() -> None:
    macros = {"m.j2": "{% macro f(x) %}\n[{{ x }}]\n{% endmacro %}\n{% macro g() %}\n\n{{ release }}\n{% endmacro %}\n"}
    assert render('{% import "m.j2" as m %}{{ m.f(release) }}', macros=macros).text == "[trixie]\n"
    assert render('{% import "m.j2" as m with context %}{{ m.g() }}', macros=macros).text == "\ntrixie\n"
    said = problem('a\n{% import "m.j2" as m %}\n{{ m.g() }}', macros=macros)
    assert said.position == Position(path="layers/_macros/m.j2", line=6)
    assert "as an argument" in said.remedy


def test_a_fault_in_a_macro_names_the_caller() -> None:
    said = problem(
        '{% import "m.j2" as m %}\n\n{{ m.f() }}', macros={"m.j2": "{% macro f() %}\n{{ 1 / 0 }}\n{% endmacro %}"}
    )
    assert said.position == Position(path="layers/_macros/m.j2", line=2)
    assert f"called from {PATH}:3" in said.what


def test_macro_files_that_are_used() -> None:
    macros = {"a.j2": '{% import "b.j2" as b %}', "b.j2": "", "c.j2": ""}
    templates = Templates(macros, {})
    assert templates.macros_used("x/1", '{% import "a.j2" as a %}') == {"a.j2", "b.j2"}
    assert templates.macros_used("x/2", "{% import layer ~ '.j2' as a %}") == {"a.j2", "b.j2", "c.j2"}
    assert templates.macros_used("x/3", "{{ layer }}") == frozenset()


def test_what_a_template_calls_can_refuse() -> None:
    def refuse() -> str:
        raise Refusal("no", "Don't.")

    with pytest.raises(TemplateFault) as caught:
        Templates({}, {}).render(PATH, "a\n{{ run() }}", VALUES, {"run": refuse})
    assert str(caught.value) == f"{PATH}:2:1: no. Don't."


def test_filters_for_shells_and_json() -> None:
    assert render("{{ release | quote }} {{ layer | tojson }}{{ fonts | tojson }}", release="a'; rm <&>").text == (
        '\'a\'"\'"\'; rm <&>\' "scipy"["dejavu", "noto"]'
    )


# --- lines --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb {{ cores }}\n{{ cores }} c\n", [("a", 1), ("b 2", 2), ("2 c", 3), ("", 4)]),
        ("{% if gpu %}\na\n{% endif %}\nb", [("a", 2), ("b", 4)]),
        (
            "{% for x in fonts %}\na\n{{ x }}\n{% endfor %}\nz",
            [("a", 2), ("dejavu", 3), ("a", 2), ("noto", 3), ("z", 5)],
        ),
        ("{# one\ntwo #}\nb\n", [("b", 3), ("", 4)]),
        ("a\n{%- if gpu %} b{% endif %}\nc", [("a b", 1), ("c", 3)]),
        ("{% set x %}\nq\n{% endset %}\n{{ x }}{{ x | length }}", [("q", 4), ("2", 4)]),
        ("{% macro m() %}\nq\nr\n{% endmacro %}\na\n{{ m() }}\nb", [("a", 5), ("q", 6), ("r", 6), ("", 6), ("b", 7)]),
        ("{% if gpu %}{{ cores }}{% endif %}\na", [("2", 1), ("a", 2)]),
        ("{% raw %}{{ x }}\n{% endraw %}\nb", [("{{ x }}", 1), ("b", 3)]),
        ("a{# one #}\nb\n  {# two #}\nc", [("a", 1), ("b", 2), ("c", 4)]),
        ("a{% if not gpu %}x{% endif %}\n{{ cores }}{% if gpu %}x{% endif %}\nb", [("a", 1), ("2x", 2), ("b", 3)]),
        ("  {% if gpu %}{% if gpu %}\na\n  {% endif %}{% endif %}\nb", [("a", 2), ("b", 4)]),
        ("a {% if gpu -%}\n  b\n{%- endif %}\nc", [("a b", 1), ("c", 4)]),
    ],
)
def test_every_line_knows_its_template_line(text: str, lines: list[tuple[str, int]]) -> None:
    assert [(line, at.line) for line, at in render(text).lines()] == lines


def test_marks_don_t_disturb_what_is_captured() -> None:
    text = "{% set x %}trixie{% endset %}{% if x == release %}same{% endif %}{% filter upper %}a{% endfilter %}"
    assert render(text).text == "sameA"


def test_lines_of_calls_count_as_the_call() -> None:
    macros = {"m.j2": "{% macro twice() %}\n{{ caller() }}{{ caller() }}\n{% endmacro %}\n"}
    text = render('{% import "m.j2" as m %}\na\n{% call m.twice() %}\nx\ny\n{% endcall %}\nb', macros=macros)
    assert [(line, at.line) for line, at in text.lines()] == [("a", 2), *[("x", 3), ("y", 3)] * 2, ("", 3), ("b", 7)]


@pytest.mark.parametrize(
    "text",
    [
        '{{ "\\x01layers/other/Dockerfile.j2:7\\x02RUN true" }}',
        '{{ "\\x01" }}layers/other/Dockerfile.j2:7{{ "\\x02" }}RUN true',
        '{% filter replace("<", "\\x01") | replace(">", "\\x02") %}<layers/other/Dockerfile.j2:7>{% endfilter %}RUN true',
        '{{ "\\x01layers/scipy/../other/Dockerfile.j2\\x02" }}RUN true',
        '{{ "\\x01layers/scipy/apt.txt:" ~ "9" * 5000 ~ "\\x02" }}RUN true',
        '{{ "\\x01" }}RUN true',
        '{{ "\\x02" }}RUN true',
    ],
)
def test_a_line_can_t_be_made_to_look_like_another_layer_s(text: str) -> None:
    said = problem(f"FROM parent\n{text}\n")
    assert str(said).startswith(f"{PATH}:2:1: this renders a control character, ")


@pytest.mark.parametrize("char", ["\\x1b", "\\x03", "\\r", "\\x00"])
def test_escapes_make_no_control_characters(char: str) -> None:
    said = problem("a\n\nb{{ '" + char + "' }}")
    assert str(said).startswith(f'{PATH}:3:1: this renders a control character, "\\')


def test_parse_text() -> None:
    assert parse_text(b"\xef\xbb\xbfa\r\nb\n", "x") == "a\nb\n"
    for content, line in ((b"a\n\xff", 2), (b"\n\nx\x01y", 3), (b"a\rb", 1)):
        with pytest.raises(TemplateFault) as caught:
            parse_text(content, "x")
        assert caught.value.problems[0].position == Position(path="x", line=line)


def test_variables_read() -> None:
    assert variables_read("{% set d = e %}{% if a %}{{ b.c }}{{ d }}{% endif %}", "x") == {"a", "b", "e"}
    assert variables_read("numpy>=2 # {release}", "x") == frozenset()
    assert variables_read("{{ broken", "x") == frozenset()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{% include 'common.j2' %}", {"a", "b", "x"}),
        ("{% from 'common.j2' import more with context %}", {"a", "b", "x"}),
        ("{% import 'common.j2' as common with context %}", {"a", "b", "x"}),
        ("{% extends 'common.j2' %}", {"a", "b", "x"}),
        ("{% from 'common.j2' import more %}", {"x"}),
    ],
)
def test_what_another_template_is_handed_may_be_read_there(text: str, read: set[str]) -> None:
    assert variables_read(f"{text}{{{{ x }}}}", ["a", "b"]) == read


# --- bounds -------------------------------------------------------------------------------------------------------------


def _render_bounded(text: str, bounds: Bounds) -> str:
    def work(job: str, step: Step) -> str:
        step(PATH)
        try:
            return render(job).text
        except TemplateFault as fault:
            return str(fault)

    results, overrun = bounded(work, ["fine", text], bounds)
    assert results[0] == "fine"
    if overrun is not None:
        assert overrun.at == PATH
        return overrun.what
    return results[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{{ "a" * 10**10 }}', "too much memory"),
        (
            "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "too much memory",
        ),
        ('{{ "%9999999999d" | format(1) }}', "too much memory"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself"),
        ("{{ " + "(" * 3000 + ")" * 3000 + " }}", "calls itself"),
        ("{% for a in range(9**5) %}{% for b in range(9**5) %}{% endfor %}{% endfor %}", "takes too long"),
        ("{% for a in range(99999) %}{{ 'abcdefghij' * 9 }}{% endfor %}", "more than 4 MiB"),
    ],
)
def test_bombs_end(text: str, said: str) -> None:
    assert said in _render_bounded(text, Bounds(memory_bytes=200 << 20, cpu_s=0, silence_s=20))


@pytest.mark.parametrize("text", ["{{ 9**(9**8) }}", "{{ ('a ' * 9**7) | wordwrap(2) | length }}"])
def test_one_long_call_into_c_ends_and_its_template_is_named(text: str) -> None:
    began = time.monotonic()
    assert _render_bounded(text, Bounds(memory_bytes=4 << 30, silence_s=1)) == "took more than 1 s"
    assert time.monotonic() - began < 10


def test_bounded_gives_results_in_order_and_leaves_no_child() -> None:
    results, overrun = bounded(lambda job, _: job * 2, list(range(1000)), Bounds())
    assert (results, overrun) == ([job * 2 for job in range(1000)], None)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_child_that_dies_is_an_overrun() -> None:
    def work(job: int, step: Step) -> int:
        step(f"job {job}")
        if job == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return job

    assert bounded(work, [1, 2, 3], Bounds()) == ([1], Overrun(at="job 2", what="was ended by SIGTERM"))


def test_too_much_output_is_an_overrun() -> None:
    results, overrun = bounded(lambda job, _: "x" * job, [1, 5 << 20], Bounds(output_bytes=1 << 20))
    assert results == ["x"]
    assert overrun == Overrun(at="", what="wrote more than 1 MiB")
