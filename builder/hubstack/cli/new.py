"""``hubstack new``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from hubstack.cli.invocation import Invocation
from hubstack.errors import UsageError

LAYER = """\
summary: {title}
requires: [{requires}]
tests:
  - run: {test}
owners: ["@your-github-name"]
"""
STACK = """\
title: {title}
description: What people find in it, in at most 55 characters
base: {base}
layers: [{layer}]
"""


@click.group("new", epilog="Example: hubstack new layer xarray --pip xarray --requires scipy")
def command() -> None:
    """A layer or a stack to start from, that passes check."""


@command.command("layer")
@click.argument("name")
@click.option("--requires", default="", help="The layer that it stands on. Default: jupyterlab, or the first there is.")
@click.option("--apt", multiple=True, metavar="PACKAGE", help="A Debian package. Repeatable.")
@click.option("--pip", multiple=True, metavar="PACKAGE", help="A Python package. Repeatable; run update afterwards.")
@click.pass_obj
def new_layer(invocation: Invocation, name: str, requires: str, apt: tuple[str, ...], pip: tuple[str, ...]) -> None:
    """A layer NAME with a test, and package files for what --apt and --pip name."""
    layers = [layer.name for layer in invocation.project.layers.values() if layer.kind == "layer"]
    below = requires or ("jupyterlab" if "jupyterlab" in layers else next(iter(layers), ""))
    if requires and requires not in invocation.project.layers:
        from hubstack.spelling import did_you_mean

        raise UsageError(f"there is no layer {requires!r}", hint=did_you_mean(requires, layers))
    module = re.split(r"[\[<>=!~;]", pip[0])[0].strip().replace("-", "_") if pip else ""
    test = f'python3 -c "import {module}"' if module else f"{apt[0]} --version" if apt else "true"
    folder = _free(invocation.root / "layers" / name, name, [*invocation.project.layers])
    files = {"layer.yaml": LAYER.format(title=name.replace("-", " ").capitalize(), requires=below, test=test)}
    if apt or not pip:
        files["apt.txt"] = "".join(f"{package}\n" for package in apt) or "# one Debian package a line\n"
    if pip:
        files["requirements.txt"] = "".join(f"{package}\n" for package in pip)
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
        click.echo(f"layers/{name}/{file}")
    if pip:
        click.echo("Next: hubstack update --only python", err=True)
    click.echo(f"Try it: hubstack run layer:{name}", err=True)


@command.command("stack")
@click.argument("name")
@click.option(
    "--layer", "layers", multiple=True, metavar="NAME", help="Repeatable. Default: jupyterlab, or the last there is."
)
@click.pass_obj
def new_stack(invocation: Invocation, name: str, layers: tuple[str, ...]) -> None:
    """A stack NAME over the given layers."""
    project = invocation.project
    known = [layer.name for layer in project.layers.values() if layer.kind == "layer"]
    chosen = layers or (("jupyterlab",) if "jupyterlab" in known else tuple(known[-1:]))
    base = project.settings.base or next(layer.name for layer in project.bases())
    path = _free(invocation.root / "stacks" / f"{name}.yaml", name, [*project.stacks])
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        STACK.format(title=name.replace("-", " ").capitalize(), base=base, layer=", ".join(chosen)), encoding="utf-8"
    )
    click.echo(f"stacks/{name}.yaml")
    click.echo(f"Offer it: write it under a profile's `stacks` in profiles/. Try it: hubstack run {name}", err=True)


def _free(path: Path, name: str, taken: list[str]) -> Path:
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) is None:
        raise UsageError(f"{name!r} is no name", hint="Use lower-case letters, digits and single hyphens.")
    if name in taken or path.exists():
        raise UsageError(f"{name!r} is there already")
    return path
