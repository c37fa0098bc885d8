"""``hubstack check``."""

from __future__ import annotations

import click

from hubstack.cli.invocation import Invocation, echo_json, examples, json_option
from hubstack.errors import Problem, Severity


@click.command(
    "check",
    epilog=examples(
        "hubstack check                    file:line:column, what is wrong, how to mend it",
        "hubstack check --format github    annotations of a workflow's log",
    ),
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github: annotations of a workflow's log.",
)
@json_option
@click.pass_obj
def command(invocation: Invocation, form: str, as_json: bool) -> int:
    """Everything that can be wrong without an engine or a network; all faults at once.

    Exit code 2 for errors; warnings alone are good.
    """
    from hubstack.check import check

    problems = check(invocation.root)
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if as_json or form == "json":
        echo_json([_json(problem) for problem in problems])
        return 2 if errors else 0
    for problem in problems:
        click.echo(_annotation(problem) if form == "github" else str(problem))
    if form == "text":
        counts = _count(errors, "error"), _count(len(problems) - errors, "warning")
        click.echo(", ".join(counts) if problems else "no faults found")
    return 2 if errors else 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _json(problem: Problem) -> dict[str, object]:
    place = problem.position
    return {
        "path": place.path,
        "line": place.line,
        "column": place.column,
        "severity": problem.severity,
        "what": problem.what,
        "remedy": problem.remedy,
    }


def _annotation(problem: Problem) -> str:
    """A workflow command for GitHub Actions ("Workflow commands for GitHub Actions", its documentation)."""
    place = problem.position
    text = f"{problem.what}. {problem.remedy}".strip().replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{problem.severity} file={place.path},line={place.line},col={place.column}::{text}"
