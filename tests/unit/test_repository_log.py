"""A failed build as one message."""

from __future__ import annotations

import pytest
from hubstack.repository.log import ends, explain, readable

RUN = "#7 [stage-0 2/8] RUN --mount=type=tmpfs,target=/tmp     --mount=type=bind,source=x,target=/tmp/.hubstack/{}"


def said(*step: str, number: int = 9) -> list[str]:
    """A log in which a step of BuildKit's prints ``step`` and fails."""
    return [
        "#8 [2/3] RUN sh /tmp/.hubstack/run.sh apt",
        "#8 0.1 all is well",
        "#8 DONE 0.2s",
        f"#{number} [3/3] RUN something",
        *(f"#{number} 1.{at} {line}" for at, line in enumerate(step)),
        f'#{number} ERROR: process "/bin/sh -c something" did not complete successfully: exit code: 1',
        "------",
        f" > [3/3] RUN something:\n{step[-1] if step else ''}",
        "Traceback (most recent call last):",
        "subprocess.CalledProcessError: Command '['docker', 'buildx']' returned non-zero exit status 1.",
    ]


def test_a_clash_is_the_whole_message() -> None:
    clash = "requirements.txt:1: numpy: minimal has 2.1, and numpy<2 is asked for. Ask for what the stack has."
    error = explain(said("Collecting", f"hubstack: error: {clash}"), "https://x/y")
    assert error.message == f"https://x/y: {clash}"


def test_post_build_has_its_last_lines() -> None:
    printed = [f"line {number}" for number in range(30)]
    error = explain(said(*printed, "hubstack: error: binder/postBuild ended with code 7."), "x")
    first, *rest = error.message.splitlines()
    assert first == "x: binder/postBuild ended with code 7."
    assert [line.strip() for line in rest] == printed[-12:]


def test_a_debian_package_that_is_not_there() -> None:
    error = explain(said("Reading lists", "E: Unable to locate package nonesuch"), "x")
    assert error.message == "x: apt.txt: Debian has no package nonesuch in the stack's release"


def test_anything_else_says_what_the_failed_step_said() -> None:
    assert explain(said("make: *** no rule"), "x").message.splitlines() == [
        "x: the build has failed. It said last:",
        "    make: *** no rule",
    ]
    error = explain(["ValueError: no such thing", "Traceback (most recent call last):", '  File "x"'], "x")
    assert error.message.splitlines()[1:] == ["    ValueError: no such thing"]


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("provide.py check <<'EOF'", "compare what is asked for with the stack"),
        ("provide.py postBuild <<'EOF'", "postBuild"),
        ("run.sh apt <<'EOF'", "install Debian packages"),
    ],
)
def test_our_own_steps_are_called_by_what_they_do(target: str, shown: str) -> None:
    assert readable(RUN.format(target)) == f"#7 [stage-0 2/8] {shown}"
    assert readable("#7 1.0 anything else") == "#7 1.0 anything else"


def test_the_log_ends_where_the_message_says_it_better() -> None:
    assert next(line for line in said("x") if ends(line)).startswith("#9 ERROR")
    assert not ends("#9 1.0 ERROR: ResolutionImpossible")
