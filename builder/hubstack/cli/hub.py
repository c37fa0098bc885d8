"""``hubstack hub``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import (
    Invocation,
    complete_hub,
    echo_json,
    examples,
    json_option,
    pull_config_option,
    show_warnings,
)

if TYPE_CHECKING:
    from hubstack.hub.delivery import Row

SHAPES = ("flux", "generator", "helm")  # hub.manifests.Shape, which costs time to import


@click.command(
    "hub",
    epilog=examples(
        "hubstack hub demo --output dist/hub                   for Flux: ConfigMaps and HelmReleases",
        "hubstack hub demo --output dist/hub --check           for CI: would anything in it change?",
        "hubstack hub demo --output dist/hub --form generator  names with a hash, by kustomize",
        "hubstack hub demo --output dist/hub --form helm       values alone, for Helm and Argo CD",
    ),
)
@click.argument("hub", shell_complete=complete_hub)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    required=True,
    help="A folder of its own, in the repository that the cluster follows.",
)
@click.option("--form", "shape", type=click.Choice(SHAPES), default="flux", show_default=True, help="What is written.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if something would change.")
@pull_config_option
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    hub: str,
    output: Path,
    shape: str,
    check: bool,
    pull_config: Path | None,
    as_json: bool,
) -> int:
    """Write all that a GitOps repository needs for a hub: charts, values, profiles.

    The profiles are those of `hubstack profiles`. BinderHub is a part of it where a profile says `build`. Passwords are
    neither read nor written: files for them are made once, with gaps, and are yours from then on.
    """
    from hubstack.cli.attest import image_policy
    from hubstack.cli.profiles import chosen, render
    from hubstack.errors import ProjectError, Severity, UsageError
    from hubstack.graph import resolve
    from hubstack.hub.bases import find_bases
    from hubstack.hub.delivery import deliver
    from hubstack.hub.manifests import Shape, emission, emission_problems

    (one,), project = chosen(invocation, [hub]), invocation.project
    if output.resolve().is_relative_to(invocation.root / "profiles"):
        raise UsageError("--output lies in profiles/, where hubs are read from", hint="Give a folder of its own.")
    problems = emission_problems(one, project)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ProjectError(problems)
    show_warnings(problems)
    configmap = render(invocation, one, pull_config)
    bases = find_bases(one, project, resolve(project), configmap)
    policy = image_policy(invocation)
    rows = deliver(output, emission(one, project, configmap, bases, Shape(shape), policy=policy), check=check)
    if as_json:
        echo_json([{"path": os.path.relpath(row.path), "verdict": row.verdict} for row in rows])
    else:
        show(rows, check=check)
    return 1 if check and any(row.changed for row in rows) else 0


def show(rows: Sequence[Row], *, check: bool) -> None:
    told = [row for row in rows if row.verdict != "unchanged"]
    for row in told:
        would = "would be " if check and row.changed else ""
        click.echo(f"{os.path.relpath(row.path)}: {would}{row.verdict}")
    if len(told) < len(rows):
        click.echo(f"{len(rows) - len(told)} files are unchanged")
