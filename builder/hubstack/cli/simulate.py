"""``hubstack simulate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import echo_json, examples, json_option
from hubstack.cli.matrix import runners_option, startup_option, waves_option

if TYPE_CHECKING:
    from hubstack.ci.simulate import Simulated

MOST_NODES = 100_000


@click.command(
    "simulate",
    help="The scheduler on made-up trees: makespan beside its lower bound.\n\nFor waves of GitHub jobs, a pool of "
    "BuildKits and Argo, each with as many runners. The scheduler and the matrix are the real ones, durations are those "
    "of real builds; only the clock is made up. Needs no project.",
    epilog=examples(
        "hubstack simulate --runners 20 --nodes 1000",
        "hubstack simulate --runners 20 --nodes 100 --nodes 10000 --json",
        "hubstack simulate --runners 64 --format svg > scale.svg     10 to 100,000 nodes",
    ),
)
@runners_option
@click.option(
    "--nodes",
    type=click.IntRange(1, MOST_NODES),
    multiple=True,
    help="Nodes of the tree, all to be built. Repeatable. Default: 1000; with svg several sizes.",
)
@click.option("--seed", default=1, show_default=True, help="Another tree, other durations.")
@waves_option
@startup_option
@click.option(
    "--pod", type=click.FloatRange(0, 3600), default=15.0, show_default=True, help="Seconds a pod takes first."
)
@click.option(
    "--pull",
    type=click.FloatRange(0, 3600),
    default=3.0,
    show_default=True,
    help="Seconds to pull a parent: not GitHub's jobs.",
)
@click.option(
    "--error",
    type=click.FloatRange(0, 2),
    default=0.2,
    show_default=True,
    help="How wrong recorded durations are: 0.2 is mostly less than a fifth.",
)
@click.option(
    "--format", "style", type=click.Choice(["text", "svg"]), default="text", show_default=True, help="svg: a picture."
)
@json_option
def command(
    runners: int,
    nodes: tuple[int, ...],
    seed: int,
    waves: int,
    startup: float,
    pod: float,
    pull: float,
    error: float,
    style: str,
    as_json: bool,
) -> None:
    from hubstack.ci.chart import SIZES, render_chart
    from hubstack.ci.simulate import Costs, simulate, simulated_json

    costs = Costs(startup_s=startup, pod_s=pod, pull_s=pull)
    rows = [
        row
        for size in nodes or (SIZES if style == "svg" else (1000,))
        for row in simulate(size, runners=runners, seed=seed, waves=waves, error=error, costs=costs)
    ]
    if as_json:
        echo_json([simulated_json(row) for row in rows])
    elif style == "svg":
        click.echo(render_chart(rows), nl=False)
    else:
        show(rows)


def show(rows: Sequence[Simulated]) -> None:
    from hubstack.ci.matrix import minutes

    click.echo(
        f"{'NODES':>7} {'RUNNERS':>7}  {'ENGINE':<7} {'MAKESPAN':>10} {'AT LEAST':>10} {'RATIO':>6} {'JOBS':>7}  WAVES"
    )
    for row in rows:
        click.echo(
            f"{row.nodes:>7} {row.runners:>7}  {row.engine:<7} {minutes(row.makespan_s):>10} {minutes(row.bound_s):>10} "
            f"{row.makespan_s / row.bound_s:>6.2f} {row.jobs:>7}  {row.waves or '-'}"
        )
        if row.ends:
            click.echo(f"{'':>17}beyond its limits: {row.ends}")
