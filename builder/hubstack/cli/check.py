"""``hubstack check``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import Invocation, echo_json, examples, json_option
from hubstack.cli.today import find_today, today_option
from hubstack.errors import Problem, Severity

if TYPE_CHECKING:
    from hubstack.pipeline import Inputs


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
@today_option
@json_option
@click.pass_obj
def command(invocation: Invocation, form: str, today: datetime | None, as_json: bool) -> int:
    """Everything that can be wrong without an engine or a network; all faults at once.

    Also what the policy in hubstack.yaml forbids, and what hadolint says of Dockerfiles.

    Exit code 2 for errors; warnings alone are good.
    """
    _, problems = find_problems(invocation, find_today(invocation.root, today))
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if as_json or form == "json":
        echo_json([problem_json(problem) for problem in problems])
        return 2 if errors else 0
    for problem in problems:
        click.echo(annotation(problem) if form == "github" else str(problem))
    if form == "text":
        counts = _count(errors, "error"), _count(len(problems) - errors, "warning")
        click.echo(", ".join(counts) if problems else "no faults found")
    return 2 if errors else 0


def find_problems(invocation: Invocation, today: str) -> tuple[Inputs | None, list[Problem]]:
    """All nodes, where they can be rendered, and everything that is wrong, by file and line."""
    from hubstack.check import inspect
    from hubstack.lint import find_hadolint, lint

    found = inspect(invocation.root, today)
    if (inputs := found.inputs) is None:
        return None, found.problems
    policy = inputs.project.settings.policy
    if policy.exceptions and not today:
        click.echo("note: no git commit says which day it is, so exceptions don't end; --today DATE does", err=True)
    if find_hadolint() is None:
        click.echo("note: there is no hadolint here, so Dockerfiles are not linted", err=True)
    linted = lint(inputs.project, inputs.graph, inputs.rendered, policy.lint_ignore)
    return inputs, sorted([*found.problems, *linted], key=lambda one: (one.position.sort_key, one.what))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def problem_json(problem: Problem) -> dict[str, object]:
    place = problem.position
    return {
        "path": place.path,
        "line": place.line,
        "column": place.column,
        "severity": problem.severity,
        "what": problem.what,
        "remedy": problem.remedy,
    }


def annotation(problem: Problem) -> str:
    """A workflow command for GitHub Actions ("Workflow commands for GitHub Actions", its documentation)."""
    place = problem.position
    path = _escaped(place.path).replace(":", "%3A").replace(",", "%2C")
    text = _escaped(f"{problem.what}. {problem.remedy}".strip())
    return f"::{problem.severity} file={path},line={place.line},col={place.column}::{text}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
