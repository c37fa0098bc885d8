"""``hubstack matrix``."""

from __future__ import annotations

import click

from hubstack.cli.invocation import (
    SELECT_HELP,
    Invocation,
    echo_json,
    examples,
    prepare_selected,
    select_argument,
    since_option,
)

runners_option = click.option(
    "--runners",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Machines that work at once; 20 is what GitHub grants a free account.",
)
startup_option = click.option(
    "--startup",
    type=click.FloatRange(0, 3600),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Seconds until a GitHub job's machine builds.",
)
waves_option = click.option(
    "--waves",
    type=click.IntRange(1, 20),
    default=4,
    show_default=True,
    help="Waves of GitHub jobs at most; the workflow has as many.",
)


@click.command(
    "matrix",
    help="What is to be built, as waves of CI jobs.\n\nNothing to build is no job; little of it is for the job that asks; "
    "more becomes waves of jobs, chains of nodes fused, in the number and shape that the recorded durations say is the "
    f"quickest. Each job runs `hubstack build --push node:...`.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack matrix                                      the jobs, and why these",
        'hubstack matrix --format github >>"$GITHUB_OUTPUT"   here=, wave1= ... for a workflow',
        "hubstack matrix --runners 5 scipy                    with five runners at once",
    ),
)
@select_argument()
@since_option("Only what has changed since that commit, branch or tag.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="github: lines for $GITHUB_OUTPUT. Default: text.",
)
@runners_option
@startup_option
@waves_option
@click.pass_obj
def command(
    invocation: Invocation,
    select: tuple[str, ...],
    since: str | None,
    style: str,
    runners: int,
    startup: float,
    waves: int,
) -> None:
    from hubstack.ci.matrix import explain, github_outputs, make_matrix, matrix_json, matrix_text
    from hubstack.ci.wave import Machines
    from hubstack.publish import Remote

    inputs = prepare_selected(invocation, select, since)
    plan = inputs.plan(Remote(registry=invocation.connect(), names=invocation.names))
    matrix = make_matrix(plan, Machines(runners=runners, startup_s=startup, waves=waves))
    if style == "json":
        echo_json(matrix_json(matrix))
    else:
        click.echo(github_outputs(matrix) if style == "github" else matrix_text(matrix), nl=False)
        click.echo(explain(matrix), err=True)
