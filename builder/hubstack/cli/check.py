"""``hubstack check``."""

from __future__ import annotations

import click

from hubstack.cli.invocation import Invocation, echo_json
from hubstack.errors import Problem, Severity


@click.command("check")
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@click.pass_obj
def command(invocation: Invocation, form: str) -> int:
    """Everything that can be wrong without an engine or a network; all faults at once. Exit code 2 for errors."""
    from hubstack.check import check

    problems = check(invocation.root)
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if form == "json":
        echo_json([_json(problem) for problem in problems])
        return 2 if errors else 0
    for problem in problems:
        click.echo(_annotation(problem) if form == "github" else str(problem))
    if form == "text":
        warnings = len(problems) - errors
        click.echo(f"{errors} errors, {warnings} warnings" if problems else "no faults found")
    return 2 if errors else 0


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
