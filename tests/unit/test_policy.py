"""The policy of hubstack.yaml: exceptions and their ends, size budgets, owners, lint findings. What else it forbids, the
folders tests/projects/policy-* show.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hubstack.check import check, inspect
from hubstack.cli.check import annotation
from hubstack.errors import Problem, Severity
from hubstack.lint import lint, plainly
from hubstack.model import Rendered
from hubstack.policy.codeowners import render_codeowners
from hubstack.policy.size import Growth, check_sizes, growths, shown
from hubstack.source import Position

from tests.commandline import PROJECTS, run
from tests.handmade import handmade_graph, handmade_layer, handmade_project
from tests.tree import tree

pytestmark = pytest.mark.long

EXCEPTION = """\
policy:
  test_network: false
  exceptions:
    - {layer: lab, rule: test-network, reason: the server is ours, until: 2027-03-01}
"""
LAB = "summary: Lab\ntests: [{run: curl example.org, network: yes}]\n"
DEBIAN = "summary: Debian\nbootstrap: {suite: trixie}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One layer whose test asks for a network, and has an exception from that."""
    write(tmp_path, {"hubstack.yaml": EXCEPTION, "base/debian/layer.yaml": DEBIAN, "layers/lab/layer.yaml": LAB})
    return tmp_path


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def lines(problems: list[Problem]) -> list[str]:
    return [str(one).partition(". ")[0] for one in problems]


# --- exceptions ----------------------------------------------------------------------------------------------------------

ENDED = [
    "hubstack.yaml:4:7: the exception of the layer lab from test-network ended on 2027-03-01 (the server is ours)",
    'layers/lab/layer.yaml:2:42: the test "curl example.org" asks for a network, which tests don\'t have here',
]


@pytest.mark.parametrize(
    ("today", "said"),
    [("", []), ("2026-12-31", []), ("2027-03-01", []), ("2027-03-02", ENDED), ("2028-01-01", ENDED)],
)
def test_an_exception_holds_up_to_its_last_day(today: str, said: list[str], root: Path) -> None:
    assert lines(check(root, today)) == said


def test_an_exception_is_for_one_layer_and_one_rule(root: Path) -> None:
    write(root, {"layers/other/layer.yaml": LAB})
    assert [one.position.path for one in check(root)] == ["layers/other/layer.yaml"]


def test_an_exception_that_nobody_needs_any_more_is_said(root: Path) -> None:
    write(root, {"layers/lab/layer.yaml": "summary: Lab\n"})
    (problem,) = check(root, "2030-01-01")
    assert problem.severity is Severity.WARNING
    assert (
        str(problem)
        == "hubstack.yaml:4:7: warning: the layer lab needs no exception from test-network. Remove this entry."
    )


def test_an_exception_of_a_layer_that_is_not_there(root: Path) -> None:
    for rule in ("test-network", "size"):
        entry = f"{{layer: lob, rule: {rule}, reason: the server is ours, until: 2027-03-01}}"
        write(root, {"hubstack.yaml": f"policy:\n  exceptions:\n    - {entry}\n"})
        (problem,) = check(root)
        assert str(problem) == (
            'hubstack.yaml:3:7: warning: there is no layer "lob" (did you mean "lab"?). '
            "Correct the name, or remove this entry."
        )


def test_the_day_is_an_option_or_the_builds_or_the_commits(root: Path) -> None:
    def codes(*words: str, **env: str) -> int:
        return run("check", *words, folder=root, env=env).code

    assert codes("--today", "2027-03-01") == 0
    assert codes("--today", "2027-03-02") == 2
    assert codes(SOURCE_DATE_EPOCH="1804032000") == 2  # 2027-03-03
    assert codes("--today", "2027-03-01", SOURCE_DATE_EPOCH="1804032000") == 0
    assert "so exceptions don't end" in run("check", folder=root).err
    for day, code in (("2027-03-01", 0), ("2027-03-02", 2)):
        commit(root, day)
        done = run("check", folder=root)
        assert (done.code, done.err) == (code, "")
    assert codes(SOURCE_DATE_EPOCH="1700000000") == 0


def commit(root: Path, day: str) -> None:
    moment = f"{day}T12:00:00+0000"
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    environment = {"PATH": "/usr/bin:/bin", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_COMMITTER_DATE": moment}
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "x"]):
        subprocess.run([*git, *words], check=True, env=environment)


def test_a_bad_moment_is_a_usage_error(root: Path) -> None:
    done = run("check", folder=root, env={"SOURCE_DATE_EPOCH": "soon"})
    assert (done.code, done.out) == (2, "")
    assert "SOURCE_DATE_EPOCH=soon" in done.err


# --- sizes ---------------------------------------------------------------------------------------------------------------

MB = 10**6


def sized(budget: str, *found: Growth, exceptions: str = "", today: str = "2026-11-21") -> list[str]:
    project = tree({"hubstack.yaml": f"policy:\n  size: {budget}\n{exceptions}", "layers/lab": "", "layers/geo": ""})
    return [str(one) for one in check_sizes(project, found, today)]


def grown(
    own: int, before: int | None = None, image: int | None = None, *, layer: str = "lab", node: str = ""
) -> Growth:
    was = None if before is None else before * MB
    whole = None if image is None else image * MB
    return Growth(node=node or f"{layer}-1", layer=layer, own=own * MB, before=was, image_before=whole)


def test_without_a_budget_any_size_is_good() -> None:
    assert sized("{}", grown(10**6, 1, 1)) == []


def test_what_a_layer_may_add() -> None:
    assert sized("{layer: 300MB}", grown(300)) == []
    (said,) = sized("{layer: 300MB}", grown(301))
    assert said.startswith("layers/lab/layer.yaml:")
    assert said.endswith(
        " lab-1 adds 301 MB, and a layer may add 300 MB. Leave something out, or agree on an exception in hubstack.yaml."
    )


def test_what_a_change_may_add() -> None:
    assert sized("{growth: 10MB}", grown(110, 100, 900)) == []
    assert sized("{growth: 10MB}", grown(500)) == []  # it was not there: it has not grown
    (said,) = sized("{growth: 10MB}", grown(111, 100, 900))
    assert "lab-1 adds 111 MB, 11 MB more than before, and it may be 10 MB more." in said


def test_growth_in_percent_of_the_image() -> None:
    assert sized("{percent: 5}", grown(150, 100, 1000)) == []
    (said,) = sized("{percent: 5}", grown(151, 100, 1000))
    assert "51 MB more than before: 5.1 % of the image as it was, and it may be 5 %." in said
    assert sized("{percent: 0}", grown(100, 100, 1000), grown(99, 100, 1000)) == []


def test_of_a_layers_nodes_the_worst_is_named() -> None:
    (said,) = sized("{layer: 100MB}", grown(150, node="lab-1"), grown(250, node="lab-2"), grown(200, node="lab-3"))
    assert "lab-2 adds 250 MB" in said


def test_an_exception_from_the_budget() -> None:
    entry = "  exceptions: [{layer: lab, rule: size, reason: models, until: 2026-12-31}]\n"
    assert sized("{layer: 1MB}", grown(2), exceptions=entry) == []
    assert len(sized("{layer: 1MB}", grown(2), exceptions=entry, today="2027-01-01")) == 2
    assert len(sized("{layer: 1MB}", grown(2), grown(2, layer="geo"), exceptions=entry)) == 1
    assert "needs no exception from size" in sized("{layer: 1MB}", grown(1), exceptions=entry)[0]
    assert sized("{layer: 1MB}", exceptions=entry) == []  # what was not built, nobody has measured


def test_a_nodes_own_bytes_are_those_above_its_parent() -> None:
    project = handmade_project(handmade_layer("base"), handmade_layer("lab"), handmade_layer("geo"))
    graph = handmade_graph(project, [(("base", "lab", "geo"), {})])
    nodes = tuple(graph.nodes)
    now = dict(zip(nodes, (30, 100, 180), strict=True))
    before = dict(zip(nodes, (10, 90, 110), strict=True))
    found = list(growths(graph, nodes, now, graph, before))
    assert [(one.own, one.before, one.more, one.image_before) for one in found] == [
        (30, 10, 20, 10),
        (70, 80, -10, 90),
        (80, 20, 60, 110),
    ]
    unknown = list(growths(graph, nodes, {nodes[0]: 30, nodes[2]: 180}, None, {}))
    assert [(one.node, one.more) for one in unknown] == [(nodes[0], None)]


@pytest.mark.parametrize(
    ("size", "text"), [(999, "999 B"), (1000, "1 kB"), (1_500_000, "1.5 MB"), (2 * 10**9, "2 GB"), (-2500, "-2.5 kB")]
)
def test_sizes_are_shown_as_people_write_them(size: int, text: str) -> None:
    assert shown(size) == text


# --- owners --------------------------------------------------------------------------------------------------------------


def test_codeowners() -> None:
    project = tree(
        {
            "hubstack.yaml": 'policy: {maintainers: ["@a/all"], owners: {"r*": ["@a/r", "@a/all"]}}\n',
            "base/debian": 'owners: ["@a/os", me@example.org]\n',
            "layers/rstudio": 'owners: ["@someone", "@a/r"]\n',
            "layers/lab": "",
            "layers/geo": "owners: [Some people]\n",
        }
    )
    text, problems = render_codeowners(project, "images/")
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["*", "@a/all"],
        ["/images/base/debian/", "@a/os", "me@example.org"],
        ["/images/layers/rstudio/", "@a/r", "@a/all", "@someone"],
        ["/images/hubstack.yaml", "@a/all"],
        ["/images/hubstack.lock", "@a/all"],
        ["/images/profiles/", "@a/all"],
        ["/images/layers/_macros/", "@a/all"],
        ["/.github/", "@a/all"],
    ]
    assert "/my\\ images/hubstack.yaml " in render_codeowners(project, "my images/")[0]
    assert lines(problems) == ['layers/geo/layer.yaml:1:10: warning: "Some people" can\'t stand in a CODEOWNERS file']


def test_owners_are_written_and_checked(root: Path) -> None:
    write(root, {"layers/lab/layer.yaml": 'summary: Lab\nowners: ["@a/lab"]\n'})
    subprocess.run(["git", "init", "--quiet", root], check=True)
    assert run("owners", "--check", folder=root).code == 1
    file = ".github/CODEOWNERS"
    assert run("owners", "--output", file, folder=root).out == f"{file}\n"
    assert (root / file).read_text() == run("owners", folder=root).out
    assert "/layers/lab/  @a/lab\n" in (root / file).read_text()
    assert run("owners", "--output", file, folder=root).out == ""
    assert run("owners", "--check", folder=root).code == 0
    write(root, {"layers/lab/layer.yaml": 'summary: Lab\nowners: ["@a/other"]\n'})
    done = run("owners", "--check", folder=root)
    assert (done.code, done.out) == (1, "")
    assert "hubstack owners --output" in done.err


def test_a_file_that_is_no_text_is_not_what_it_should_be(root: Path) -> None:
    (root / "owners").write_bytes(b"\xff\xfe")
    assert run("owners", "--output", "owners", "--check", folder=root).code == 1


def test_a_project_below_its_repositorys_top(root: Path, tmp_path: Path) -> None:
    below = tmp_path / "deep" / "images"
    shutil.copytree(root, below, ignore=shutil.ignore_patterns("deep"))
    write(below, {"layers/lab/layer.yaml": 'summary: Lab\nowners: ["@a/lab"]\n'})
    subprocess.run(["git", "init", "--quiet", tmp_path / "deep"], check=True)
    assert "/images/layers/lab/  @a/lab\n" in run("owners", folder=below).out
    assert run("owners", "--output", "../.github/CODEOWNERS", folder=below).code == 0
    assert run("owners", "--check", folder=below).code == 0


def test_this_repository_has_its_own_file() -> None:
    assert run("owners", "--check", folder=Path(__file__).parents[2]).code == 0


# --- hadolint ------------------------------------------------------------------------------------------------------------

TEMPLATE = """\
{% set word = "$x" %}
{# A comment. #}
FROM parent
{{ packages() }}
{{ copy("files/", "/") }}

{% call run() %}
x=`ls`
echo {{ word }}
cd /nowhere
{% endcall %}

# hadolint ignore=DL3004
RUN sudo true
RUN sudo true

USER 1000:100
"""


@pytest.fixture
def linted(root: Path) -> Path:
    layer = {"layer.yaml": "summary: Lab\n", "apt.txt": "git\n", "files/a": "a\n", "Dockerfile.j2": TEMPLATE}
    write(root, {"hubstack.yaml": "", **{f"layers/lab/{name}": text for name, text in layer.items()}})
    write(root, {"layers/plain/layer.yaml": "summary: Plain\n", "layers/plain/postBuild": "#!/bin/sh\nx=1; echo $x\n"})
    return root


def test_findings_are_at_the_lines_of_the_template(linted: Path) -> None:
    done = run("check", "--json", folder=linted)
    assert done.code == 0
    found = [(one["path"], one["line"], one["what"].partition(":")[0], one["severity"]) for one in done.json]
    assert found == [
        ("layers/lab/Dockerfile.j2", 7, "SC2086", "warning"),
        ("layers/lab/Dockerfile.j2", 15, "DL3004", "warning"),
    ]


def test_a_template_cannot_hide_from_it(linted: Path) -> None:
    hidden = TEMPLATE.replace("RUN sudo true\n\n", '{{ "\\x01layers/lab/apt.txt:1\\x02RUN sudo true" }}\n\n')
    write(linted, {"layers/lab/Dockerfile.j2": hidden})
    assert "DL3004" in run("check", folder=linted).out


def test_findings_as_annotations(linted: Path) -> None:
    done = run("check", "--format", "github", folder=linted)
    assert done.code == 0
    assert [line.partition("::DL")[0] for line in done.out.splitlines()][1:] == [
        "::warning file=layers/lab/Dockerfile.j2,line=15,col=1"
    ]


def test_a_file_s_name_ends_no_annotation() -> None:
    problem = Problem(position=Position(path="a,title=x::b%\n"), what="x\n::error::y", remedy="")
    assert annotation(problem) == "::error file=a%2Ctitle=x%3A%3Ab%25%0A,line=1,col=1::x%0A::error::y."


def test_maintainers_say_what_is_not_looked_for(linted: Path) -> None:
    write(linted, {"hubstack.yaml": "policy: {lint_ignore: [SC2086, SC2006, DL3004]}\n"})
    assert run("check", folder=linted).out == "no faults found\n"


def test_a_configuration_of_whoever_calls_it_is_not_read(linted: Path) -> None:
    (linted / ".hadolint.yaml").write_text("ignored: [DL3004, SC2086]\n")
    assert len(run("check", "--json", folder=linted).json) == 2


def test_what_hubstack_writes_itself_is_content() -> None:
    """Also the example tree's own templates."""
    inputs = inspect(Path(__file__).parents[2]).inputs
    assert inputs is not None
    assert lint(inputs.project, inputs.graph, inputs.rendered) == []


def test_hadolint_gets_the_same_lines() -> None:
    script = ["RUN --mount=type=tmpfs,target=/tmp \\", "    sh /tmp/.hubstack/run.sh apt <<'EOF'", "x", "EOF", ""]
    origins = (Position(path="layers/lab/Dockerfile.j2", line=1),) * 14
    other = [script[0], script[1].replace("apt", "other"), *script[2:]]
    text = "\n".join(["FROM parent", "", *script, *other, "USER 1000:100", ""])
    rendered = Rendered(dockerfile=text, origins=origins, context=(), written={"\n".join(other[:-1]): "apt.txt"})
    assert plainly(rendered).split("\n") == [
        *("FROM parent", "", "RUN --mount=type=tmpfs,target=/tmp \\", "    <<'EOF'", "set -e; x", "EOF", ""),
        *("#", "#", "#", "#", "", "USER 1000:100", ""),
    ]


def test_the_example_has_a_policy_and_keeps_to_it() -> None:
    root = Path(__file__).parents[2]
    assert "policy:" in (root / "hubstack.yaml").read_text()
    assert [one for one in check(root, "2026-11-21") if one.severity is Severity.ERROR] == []


def test_projects_show_each_rule() -> None:
    """A rule without a project that breaks it is not seen to work; sizes are above."""
    shown_rules = {path.name.removeprefix("policy-") for path in PROJECTS.glob("policy-*")}
    assert shown_rules >= {"instructions", "mounts", "run-network", "test-network", "upstream", "owners", "defaults"}
