"""``hubstack review``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.check import annotation, find_problems
from hubstack.cli.invocation import Invocation, echo_json, examples, json_option, since_option
from hubstack.cli.today import find_today, today_option

if TYPE_CHECKING:
    from hubstack.errors import Problem
    from hubstack.pipeline import Inputs
    from hubstack.publish import Remote
    from hubstack.review import Review


@click.command(
    "review",
    help="What a change costs, whom it touches, and what the policy says of it.\n\nNodes to build and minutes, what a "
    "machine pulls more, stacks and launchers. Sizes are those of images that are built, here or in the registry: run "
    "`hubstack build --since REF` first.\n\nExit code 2 where the policy or the size budget is broken.",
    epilog=examples(
        "hubstack review --since main                       of the work tree against that branch",
        "hubstack review --since HEAD~1 --offline --json    without a registry",
    ),
)
@since_option("The commit, branch or tag to compare with.", required=True)
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also append it as Markdown, as to $GITHUB_STEP_SUMMARY.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github: annotations too, of what `hubstack check` can't know.",
)
@click.option("--offline", is_flag=True, help="Ask no registry: what is known is what is on this machine.")
@today_option
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    since: str,
    summary: Path | None,
    form: str,
    offline: bool,
    today: datetime | None,
    as_json: bool,
) -> int:
    from hubstack.errors import Severity
    from hubstack.review.page import render_faults, render_markdown, render_text, review_json

    day = find_today(invocation.root, today)
    inputs, known = find_problems(invocation, day)
    if inputs is None:
        _append(summary, lambda: render_faults(known))
        return _broken(known)
    review, sizes = _review(invocation, inputs, since, day, known, offline=offline)
    _append(summary, lambda: render_markdown(review))
    if as_json or form == "json":
        from hubstack.cli.check import problem_json

        echo_json({**review_json(review), "problems": [problem_json(one) for one in review.problems]})
    else:
        click.echo(render_text(review), nl=False)
    if form == "github" and not as_json:
        for problem in sizes:
            click.echo(annotation(problem))
    return 2 if any(one.severity is Severity.ERROR for one in review.problems) else 0


def _append(path: Path | None, render: Callable[[], str]) -> None:
    from hubstack.errors import UsageError

    if path is None:
        return
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(render())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _broken(problems: list[Problem]) -> int:
    for problem in problems:
        click.echo(str(problem), err=True)
    return 2


def _review(
    invocation: Invocation, inputs: Inputs, since: str, day: str, known: list[Problem], *, offline: bool
) -> tuple[Review, list[Problem]]:
    """The review, and those of its problems that only sizes show."""
    from dataclasses import replace

    from hubstack.policy.size import check_sizes
    from hubstack.review import fingerprints, make_review
    from hubstack.review.evidence import gather
    from hubstack.since import narrowed, read_past, select_proposed

    past = read_past(invocation.root, since)
    now = narrowed(inputs, select_proposed(inputs.project, inputs.graph, (), past), past)
    remote = None if offline else _remote(invocation)
    evidence = gather(invocation.store, remote, fingerprints(past, now), now.identities)
    review = make_review(past, now, evidence)
    sizes = check_sizes(inputs.project, review.growths, day)
    problems = sorted([*known, *sizes], key=lambda one: (one.position.sort_key, one.what))
    return replace(review, problems=tuple(problems)), sizes


def _remote(invocation: Invocation) -> Remote | None:
    from hubstack.publish import Remote

    if invocation.project.settings.registry is None:
        return None
    return Remote(registry=invocation.connect(), names=invocation.names)
