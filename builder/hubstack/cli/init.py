"""``hubstack init``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import LOCK, Invocation, examples, parse_prefix, show_warnings
from hubstack.errors import HubstackError, ProjectError, Severity, UsageError

if TYPE_CHECKING:
    from hubstack.proposal.image import RemoteImage
    from hubstack.starter.machinery import Step
    from hubstack.starter.requirement import Requirement


@click.command(
    "init",
    epilog=examples(
        "hubstack init images                       a project in the folder images/",
        "hubstack init images --from debian:13      on another image",
        "hubstack init --upgrade                    workflows, issue forms and schemas as this hubstack has them",
        "hubstack init --upgrade --dry-run          what that would change",
    ),
)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--from", "image", metavar="IMAGE", help="What it stands on. Default: Jupyter's base-notebook.")
@click.option(
    "--registry", metavar="REF", help="HOST/PREFIX for its images. Default: 127.0.0.1:5000 and the folder's name."
)
@click.option("--python", metavar="X.Y", help="The Python release in IMAGE, where its tag and environment don't say.")
@click.option("--upgrade", is_flag=True, help="Only what hubstack itself once wrote under .github/ and .schemas/.")
@click.option("--dry-run", is_flag=True, help="Name the files and write nothing.")
@click.pass_obj
def command(
    invocation: Invocation,
    folder: Path | None,
    image: str | None,
    registry: str | None,
    python: str | None,
    upgrade: bool,
    dry_run: bool,
) -> None:
    """A project in DIR: a base, two layers, a stack, a hub, and the workflows that build them on GitHub.

    Nothing that is there is overwritten. --upgrade leaves alone what people have changed, and shows how it differs.
    """
    from hubstack.starter.requirement import find_requirement

    requirement = find_requirement()
    if upgrade:
        if image or registry or python:
            raise UsageError("--upgrade touches no content", hint="Change hubstack.yaml and base/ by hand.")
        _upgrade(
            Invocation(folder=folder, ca_bundle=None, registry=None) if folder else invocation, requirement, dry_run
        )
        return
    if folder is None:
        raise UsageError("init needs a folder", hint="For example hubstack init images, or . for this one.")
    _begin(invocation, folder, image, registry or invocation.registry, python, requirement, dry_run)


# --- a new project -----------------------------------------------------------------------------------------------------


def _begin(
    invocation: Invocation,
    folder: Path,
    image: str | None,
    registry: str | None,
    python: str | None,
    requirement: Requirement,
    dry_run: bool,
) -> None:
    from hubstack.cli.new import whoever
    from hubstack.starter.project import IMAGE, Start, project_files, python_release

    chosen = _image(image or IMAGE)
    name = folder.resolve().name
    prefix, release = _prefix(registry, name), _release(python)
    found, why = _look_up(invocation, chosen)
    start = Start(
        title=name.replace("-", " ").capitalize() or "Images",
        image=chosen,
        registry=prefix,
        python=release or python_release(chosen, found.env if found else {}),
        maintainer=next(iter(whoever(Path())), ""),
    )
    files = {**project_files(start), **_machinery(requirement)}
    _refuse_taken(folder, files)
    if not dry_run:
        _write(folder, files)
    for path in files:
        click.echo(folder / path)
    if not dry_run:
        own = Invocation(folder=folder, ca_bundle=invocation.ca_bundle, registry=None)
        _own(own, folder)
        locked = _settle(own, why)
        _say(folder, start.python, requirement, locked)


def _machinery(requirement: Requirement) -> Mapping[str, bytes]:
    from hubstack.starter.machinery import SUMS, checksum, machinery, render_sums

    files = machinery(requirement.text, _version())
    return {**files, SUMS: render_sums({path: checksum(text) for path, text in files.items()}).encode()}


def _version() -> str:
    from importlib.metadata import version

    return version("hubstack")


def _image(text: str) -> str:
    from hubstack.files.scalar import Fault, parse_image

    try:
        ref = parse_image(text)
    except Fault as fault:
        raise UsageError(f"--from {text!r} {fault.what}", hint=fault.remedy) from None
    return text if ref.tag or ref.digest else f"{text}:latest"


def _release(python: str | None) -> str:
    import re

    if python and not re.fullmatch(r"3\.\d+", python):
        raise UsageError(f"--python {python!r} is no release of Python", hint="Write it as 3.13.")
    return python or ""


def _prefix(registry: str | None, name: str) -> str:
    import re

    word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "images"
    return str(parse_prefix(registry)) if registry else f"127.0.0.1:5000/{word}"


def _look_up(invocation: Invocation, image: str) -> tuple[RemoteImage | None, str]:
    """What the registry says of an image, or why it says nothing. Nobody waits long for it: all goes on without."""
    from hubstack.proposal.image import look_up_image
    from hubstack.reference import ImageRef

    try:
        found = look_up_image(ImageRef.parse(image), invocation.ca_bundle)
    except HubstackError as error:
        return None, error.message
    return found, "" if found else f"its registry has no image {image}"


def _refuse_taken(folder: Path, files: Mapping[str, bytes]) -> None:
    from hubstack.cli.invocation import SETTINGS
    from hubstack.policy.codeowners import FILE as CODEOWNERS

    taken = [path for path in (*files, CODEOWNERS, LOCK) if os.path.lexists(folder / path)]
    if taken:
        hint = "Nothing was written. Choose another folder"
        hint += ", or bring the machinery up to date with --upgrade." if SETTINGS in taken else ", or move them away."
        raise UsageError("\n  ".join((f"{folder} has these already:", *taken)), hint=hint)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)


def _own(invocation: Invocation, folder: Path) -> None:
    """CODEOWNERS, where anybody owns anything."""
    from hubstack.policy.codeowners import FILE, render_codeowners

    text, _ = render_codeowners(invocation.project)
    if not all(line.startswith("#") for line in text.splitlines()):
        _write(folder, {FILE: text.encode()})
        click.echo(folder / FILE)


def _settle(invocation: Invocation, why: str) -> bool:
    """Write the lock, or the one that holds nothing yet; then what check says. Whether the tree is locked."""
    from hubstack.check import check
    from hubstack.lock import Lock, render_lock

    text, why = ("", why) if why else _locked(invocation)
    path = invocation.root / LOCK
    path.write_text(text or render_lock(Lock()), encoding="utf-8")
    problems = check(invocation.root)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ProjectError(problems)
    if why:
        click.echo(f"Nothing is locked yet, so nothing can be built: {why.rstrip('.')}.", err=True)
    else:
        show_warnings(problems)
    return not why


def _locked(invocation: Invocation) -> tuple[str, str]:
    """The text of the lock, or why there can't be one."""
    from hubstack import command as process
    from hubstack.graph import resolve
    from hubstack.lock import Lock, render_lock
    from hubstack.lock.update import Outside, update
    from hubstack.pipeline import demand
    from hubstack.reference import Digest, ImageRef

    def resolve_image(ref: ImageRef) -> Digest | None:
        return invocation.client(ref.host).head(ref)

    project = invocation.project
    bundle = {"SSL_CERT_FILE": str(invocation.ca_bundle)} if invocation.ca_bundle else {}
    outside = Outside(
        today=date.min,  # no layer here has `refresh:`
        run=process.output,
        resolve_image=resolve_image,
        env={**os.environ, **bundle},
        say=lambda text: click.echo(text, err=True),
    )
    try:
        lock = update(demand(project, resolve(project)), Lock(), outside, ["python", "images"]).lock
    except HubstackError as error:
        return "", error.message
    finally:
        invocation.close()
    return render_lock(lock), ""


def _say(folder: Path, python: str, requirement: Requirement, locked: bool) -> None:
    if not python:
        click.echo("Which Python the image has is not known: give --python, or write `python:` into base/.", err=True)
    if requirement.doubt:
        click.echo(f".github/hubstack.txt: {requirement.doubt}", err=True)
    update = () if locked else ("hubstack update    (where the registry and a package index answer)",)
    click.echo("Next:", err=True)
    for step in (
        f"cd {folder}",
        *update,
        "hubstack run science",
        "git init --initial-branch=main, add, commit, and push to GitHub",
    ):
        click.echo(f"  {step}", err=True)


# --- an upgrade --------------------------------------------------------------------------------------------------------


def _upgrade(invocation: Invocation, requirement: Requirement, dry_run: bool) -> None:
    from hubstack.starter.machinery import SUMS, Fate, machinery, parse_sums, render_sums, sums_after, upgrade

    root = invocation.root
    path = root / SUMS
    sums = parse_sums(path.read_text(encoding="utf-8")) if path.exists() else {}
    new = machinery(requirement.text, _version())
    there = {name: (root / name).read_bytes() for name in (*new, *sums) if (root / name).is_file()}
    steps = list(upgrade(new, there, sums))
    if not dry_run:
        _take(root, steps)
        path.parent.mkdir(exist_ok=True)
        path.write_text(render_sums(sums_after(steps, sums)), encoding="utf-8")
    for step in steps:
        _tell(step)
    if all(step.fate in (Fate.SAME, Fate.LEAVE) for step in steps):
        click.echo("the machinery is up to date", err=True)


def _take(root: Path, steps: list[Step]) -> None:
    from hubstack.starter.machinery import Fate

    _write(root, {step.path: step.new for step in steps if step.fate is Fate.WRITE and step.new is not None})
    for step in steps:
        if step.fate is Fate.REMOVE:
            (root / step.path).unlink()


def _tell(step: Step) -> None:
    from hubstack.starter.machinery import Fate

    match step.fate:
        case Fate.WRITE:
            click.echo(step.path)
        case Fate.REMOVE:
            click.echo(f"{step.path} (removed: hubstack has it no more)")
        case Fate.LEAVE:
            click.echo(f"{step.path}: you have removed it, so it is not put back", err=True)
        case Fate.KEEP:
            click.echo(f"{step.path}: you have changed it, so it is kept. To have hubstack's, delete it and", err=True)
            click.echo(
                f"its line in .github/hubstack.sums, and upgrade again. The difference:\n{step.diff()}", err=True
            )
        case Fate.SAME:
            pass
