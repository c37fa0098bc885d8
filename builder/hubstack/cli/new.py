"""``hubstack new``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import Invocation, complete_layer, complete_select, examples, show_warnings
from hubstack.errors import HubstackError, Problem, ProjectError, Severity, UsageError
from hubstack.model import Kind, Project, SourceFile

if TYPE_CHECKING:
    from hubstack.proposal.sketch import Sketch

STACK = """\
title: {title}
description:   # what people find in it, in at most 55 characters
base: {base}
layers: [{layers}]
"""


@click.group(
    "new",
    epilog=examples(
        "hubstack new layer xarray --requires scipy --pip xarray",
        "hubstack new layer htop --apt htop --owner @example/platform",
        "hubstack new stack climate --layer xarray --layer htop",
        "hubstack new repository --stack minimal course",
    ),
)
def command() -> None:
    """A layer or a stack that passes check, or a repository of notebooks, to start from."""


@command.command("layer", short_help="A folder under layers/, with package files and a test.")
@click.argument("name", required=False, default="")
@click.option("--summary", default="", metavar="TEXT", help="One line for people. Default: the name.")
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
@click.option("--npm", multiple=True, metavar="PACKAGE", help="An npm package, as name@1.2.3. Repeatable.")
@click.option(
    "--test", "tests", multiple=True, metavar="COMMAND", help="Shows that it works. Repeatable. Default: by package."
)
@click.option(
    "--owner",
    "owners",
    multiple=True,
    metavar="WHO",
    help="Who answers for it, as @TEAM. Default: git's github.user or user.email.",
)
@click.pass_obj
def new_layer(
    invocation: Invocation,
    name: str,
    summary: str,
    requires: tuple[str, ...],
    apt: tuple[str, ...],
    pip: tuple[str, ...],
    npm: tuple[str, ...],
    tests: tuple[str, ...],
    owners: tuple[str, ...],
) -> None:
    """A layer NAME: a folder under layers/ with a test, and package files for what the options name.

    On a terminal it asks for what is missing: the name, or, without any package and test, all of it.
    """
    from hubstack.proposal.sketch import Sketch, distribution

    known = known_names(invocation.project)
    for line in pip:
        if distribution(line) is None:
            raise UsageError(f"--pip {line!r} is no package", hint="Write NAME, NAME==4.* or NAME[EXTRA]>=2.")
    wanted = Sketch(
        name=name, summary=summary, requires=requires, apt=apt, pip=pip, npm=npm, tests=tests, owners=owners
    )
    if sys.stdin.isatty() and (not name or not (apt or pip or npm or tests)):
        wanted = _ask(wanted, known)
    if not wanted.name:
        raise UsageError("a layer needs a name", hint="For example hubstack new layer htop --apt htop.")
    _refuse_unknown(wanted.requires, known)
    if not wanted.requires and "jupyterlab" in known:
        wanted = replace(wanted, requires=("jupyterlab",))
    if not wanted.owners:
        wanted = replace(wanted, owners=whoever(invocation.root))
    _write(invocation, wanted.name, invocation.project.layers, wanted.written(schemas=has_schemas(invocation.root)))
    steps = [f"hubstack update --only layer:{wanted.name}"] if wanted.pip else []
    _say_next(*steps, "hubstack check", f"hubstack run layer:{wanted.name} -- bash")


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
    _write(invocation, name, project.stacks, [SourceFile(path=f"stacks/{name}.yaml", content=text.encode())])
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
    from hubstack.pipeline import prepare
    from hubstack.spelling import enumerate_words

    inputs = prepare(invocation.project, invocation.lock, [stack])
    variants = list(dict.fromkeys(image.variant.id for image in inputs.selection.images))
    if len(variants) != 1:
        hint = f"Choose {enumerate_words(variants)}." if variants else "Name a stack, not a layer."
        raise UsageError(f"{stack} is {len(variants)} images", hint=hint)
    image = inputs.selection.images[0]
    ref = inputs.published(invocation.names, image)
    digest = invocation.connect().head(ref)
    if digest is None:
        raise UsageError(f"{ref} is not published yet", hint=f"Run hubstack build --push {variants[0]}")
    return variants[0], str(replace(ref, digest=digest))


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()


def known_names(project: Project) -> list[str]:
    """What a layer may require: layers, and names that layers or bases provide."""
    layers = [layer for layer in project.layers.values() if layer.kind is not Kind.REPOSITORY]
    return list(dict.fromkeys((*(layer.name for layer in layers), *(name for one in layers for name in one.provides))))


def has_schemas(root: Path) -> bool:
    return (root / ".schemas" / "layer.schema.json").exists()


def _ask(wanted: Sketch, known: Iterable[str]) -> Sketch:
    """What is missing, from who sits at the terminal."""

    def several(question: str, given: tuple[str, ...]) -> tuple[str, ...]:
        if given:
            return given
        return tuple(
            click.prompt(f"{question} (several with blanks)", default="", show_default=False, err=True).split()
        )

    name = wanted.name or click.prompt("The layer's name", err=True)
    summary = wanted.summary or click.prompt(
        "What it is, in one line", default=replace(wanted, name=name).title, err=True
    )
    below = "jupyterlab" if "jupyterlab" in known else ""
    asked = replace(
        wanted,
        name=name,
        summary=summary,
        requires=wanted.requires
        or tuple(click.prompt("Layers that it stands on", default=below, show_default=bool(below), err=True).split()),
        apt=several("Debian packages", wanted.apt),
        pip=several("Python packages", wanted.pip),
        npm=several("npm packages, as name@1.2.3", wanted.npm),
    )
    test = click.prompt(
        "A command that shows that it works (none: by package)", default="", show_default=False, err=True
    )
    return replace(asked, tests=(test,) if test else ())


def whoever(root: Path) -> tuple[str, ...]:
    """As CODEOWNERS writes it: the account on GitHub where git knows it, else the address."""
    from hubstack import command as process
    from hubstack.files.policy import is_owner

    for name, prefix in (("github.user", "@"), ("user.email", "")):
        try:
            said = process.output(["git", "-C", str(root), "config", name]).strip()
        except HubstackError:  # git is not there, or has no such setting
            continue
        owner = f"{prefix}{said.removeprefix('@')}" if prefix else said
        if is_owner(owner):
            return (owner,)
    return ()


def _refuse_unknown(wanted: Iterable[str], layers: Iterable[str]) -> None:
    from hubstack.spelling import did_you_mean, quote

    for name in wanted:
        if name not in layers:
            hint = "`hubstack list` shows what there is."
            raise UsageError(f"there is no layer {quote(name)}{did_you_mean(name, layers)}", hint=hint)


def _write(invocation: Invocation, name: str, taken: Iterable[str], files: Iterable[SourceFile]) -> None:
    """Write what passes check once `hubstack update` has run; otherwise leave nothing and raise what is wrong."""
    from hubstack.files.scalar import Fault, check_name

    try:
        check_name(name)
    except Fault as fault:
        raise UsageError(f"the name {fault.what}", hint=fault.remedy) from None
    files = list(files)
    if name in taken or any((invocation.root / one.path).exists() for one in files):
        raise UsageError(f"{name} is there already")
    show_warnings(write_checked(invocation.root, files))
    for one in files:
        click.echo(one.path)


def write_checked(root: Path, files: Sequence[SourceFile]) -> list[Problem]:
    """Write files that are new, and give the warnings that come with them. Raises ProjectError, and leaves nothing then."""
    from hubstack.check import check
    from hubstack.lock import UPDATE

    before = check(root)
    for one in files:
        write_file(root / one.path, one)
    problems = [one for one in check(root) if one not in before and one.remedy != UPDATE]
    if any(problem.severity is Severity.ERROR for problem in problems):
        _remove(root, [root / one.path for one in files])
        raise ProjectError(problems)
    return problems


def write_file(path: Path, file: SourceFile) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.link is not None:
        path.symlink_to(file.link)
        return
    path.write_bytes(file.content)
    path.chmod(path.stat().st_mode | (0o111 if file.executable else 0))


def _remove(root: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink()
    folders = {folder for path in paths for folder in path.parents if len(folder.parts) > len(root.parts) + 1}
    for folder in sorted(folders, key=lambda one: -len(one.parts)):
        if not any(folder.iterdir()):
            folder.rmdir()


def _say_next(*steps: str) -> None:
    click.echo("Next:", err=True)
    for step in steps:
        click.echo(f"  {step}", err=True)
