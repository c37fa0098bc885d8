"""``hubstack new``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from hubstack.cli.invocation import Invocation, complete_layer, complete_select, examples, show_warnings
from hubstack.errors import ProjectError, Severity, UsageError

LAYER = """\
summary: {title}
requires: [{requires}]
tests:   # replace them by commands that show that it works; scripts and notebooks go to tests/
{tests}
# What else may stand here: hubstack schema, or docs/formats.md of hubstack.
"""
STACK = """\
title: {title}
description:   # what people find in it, in at most 55 characters
base: {base}
layers: [{layers}]
"""
APT_TEST = "dpkg --status {}"
PIP_TEST = """python -c "from importlib.metadata import version; print(version('{}'))\""""


@click.group(
    "new",
    epilog=examples(
        "hubstack new layer xarray --requires scipy --pip xarray",
        "hubstack new layer htop --apt htop",
        "hubstack new stack climate --layer xarray --layer htop",
        "hubstack new repository --stack minimal course",
    ),
)
def command() -> None:
    """A layer or a stack that passes check, or a repository of notebooks, to start from."""


@command.command("layer", short_help="A folder under layers/, with package files and a test.")
@click.argument("name")
@click.option(
    "--requires",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_layer,
    help="A layer that it stands on. Repeatable. Default: jupyterlab, where there is one.",
)
@click.option("--apt", multiple=True, metavar="PACKAGE", help="A Debian package. Repeatable.")
@click.option(
    "--pip", multiple=True, metavar="PACKAGE", help="A Python package. Repeatable. `hubstack update` then locks it."
)
@click.pass_obj
def new_layer(
    invocation: Invocation, name: str, requires: tuple[str, ...], apt: tuple[str, ...], pip: tuple[str, ...]
) -> None:
    """A layer NAME: a folder under layers/ with a test, and package files for what --apt and --pip name."""
    layers = invocation.project.layers
    _refuse_unknown(requires, layers)
    below = requires or (("jupyterlab",) if "jupyterlab" in layers else ())
    tests = [APT_TEST.format(package) for package in apt] + [PIP_TEST.format(_distribution(line)) for line in pip]
    files = {
        "layer.yaml": LAYER.format(
            title=_title(name),
            requires=", ".join(below),
            tests="\n".join(f"  - run: {test}" for test in tests or ["true"]),
        )
    }
    if apt or not pip:
        files["apt.txt"] = "".join(f"{package}\n" for package in apt) or "# one Debian package a line\n"
    if pip:
        files["requirements.txt"] = "".join(f"{line}\n" for line in pip)
    paths = {f"layers/{name}/{file}": text for file, text in files.items()}
    _write(invocation, name, layers, paths)
    steps = [f"hubstack update --only layer:{name}"] if pip else []
    _say_next(*steps, "hubstack check", f"hubstack run layer:{name} -- bash")


@command.command("stack", short_help="A file under stacks/, over the given layers.")
@click.argument("name")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_layer,
    help="A layer that it lists. Repeatable. Default: jupyterlab.",
)
@click.pass_obj
def new_stack(invocation: Invocation, name: str, layers: tuple[str, ...]) -> None:
    """A stack NAME: a file under stacks/, over the given layers and the project's base."""
    from hubstack.graph.assembly import bases_alone

    project = invocation.project
    chosen = layers or ("jupyterlab",)
    _refuse_unknown(chosen, project.layers)
    bases = bases_alone(project)
    if not bases:
        hint = "Make base/NAME/layer.yaml; with several, name one as `base:` in hubstack.yaml."
        raise UsageError("the project doesn't say which base a stack stands on", hint=hint)
    text = STACK.format(title=_title(name), base=bases[0], layers=", ".join(chosen))
    _write(invocation, name, project.stacks, {f"stacks/{name}.yaml": text})
    for layer in chosen:
        if why := project.layers[layer].draft:
            click.echo(f"{layer} is a draft ({why}): so is {name}, and is built only when it is named.", err=True)
    _say_next(f"hubstack run {name}", "then offer it: under a profile's `stacks`, in profiles/")


@command.command("repository", short_help="A folder of notebooks that any BinderHub builds on a stack.")
@click.option(
    "--stack",
    required=True,
    metavar="NAME",
    shell_complete=complete_select,
    help="STACK/VARIANT, or a STACK that has one variant: published.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.pass_obj
def new_repository(invocation: Invocation, stack: str, folder: Path) -> None:
    """A folder DIR whose binder/Dockerfile begins with the stack's published image, by its digest.

    Every repo2docker builds it, also one whose BinderHub knows nothing of stacks.
    """
    from hubstack.repository.template import repository_files

    name, image = _published(invocation, stack)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already", hint="Name a folder that is new or empty.")
    for path, text in repository_files(folder.resolve().name, name, image).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        click.echo(target)
    _say_next(f"hubstack repo {folder}", "commit it, and push it to where a hub can read it")


def _published(invocation: Invocation, stack: str) -> tuple[str, str]:
    """The STACK/VARIANT that ``stack`` means, and its image as name:tag@digest. Raises UsageError."""
    from dataclasses import replace

    from hubstack.pipeline import prepare
    from hubstack.spelling import enumerate_words

    inputs = prepare(invocation.project, invocation.lock, [stack])
    variants = list(dict.fromkeys(image.variant.id for image in inputs.selection.images))
    if len(variants) != 1:
        hint = f"Choose {enumerate_words(variants)}." if variants else "Name a stack, not a layer."
        raise UsageError(f"{stack} is {len(variants)} images", hint=hint)
    image = inputs.selection.images[0]
    ref = invocation.names.published(image.variant.stack, image.variant.name, inputs.fingerprint(image.node))
    digest = invocation.connect().head(ref)
    if digest is None:
        raise UsageError(f"{ref} is not published yet", hint=f"Run hubstack build --push {variants[0]}")
    return variants[0], str(replace(ref, digest=digest))


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()


def _distribution(line: str) -> str:
    """The name in a line of a requirements.txt."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(line).name
    except InvalidRequirement:
        raise UsageError(f"--pip {line!r} is no package", hint="Write NAME, NAME==4.* or NAME[EXTRA]>=2.") from None


def _refuse_unknown(wanted: Iterable[str], layers: Iterable[str]) -> None:
    from hubstack.spelling import did_you_mean, quote

    for name in wanted:
        if name not in layers:
            hint = "`hubstack list` shows what there is."
            raise UsageError(f"there is no layer {quote(name)}{did_you_mean(name, layers)}", hint=hint)


def _write(invocation: Invocation, name: str, taken: Iterable[str], files: Mapping[str, str]) -> None:
    """Write what passes check once `hubstack update` has run; otherwise leave nothing and raise what is wrong."""
    from hubstack.check import check
    from hubstack.files.scalar import Fault, check_name
    from hubstack.lock import UPDATE

    try:
        check_name(name)
    except Fault as fault:
        raise UsageError(f"the name {fault.what}", hint=fault.remedy) from None
    paths = {invocation.root / path: text for path, text in files.items()}
    if name in taken or any(path.exists() for path in paths):
        raise UsageError(f"{name} is there already")
    before = check(invocation.root)
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    problems = [one for one in check(invocation.root) if one not in before and one.remedy != UPDATE]
    if any(problem.severity is Severity.ERROR for problem in problems):
        _remove(paths)
        raise ProjectError(problems)
    show_warnings(problems)
    for written in files:
        click.echo(written)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink()
    for folder in {path.parent for path in paths}:
        if not any(folder.iterdir()):
            folder.rmdir()


def _say_next(*steps: str) -> None:
    click.echo("Next:", err=True)
    for step in steps:
        click.echo(f"  {step}", err=True)
