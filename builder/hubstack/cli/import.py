"""``hubstack import``."""  # noqa: N999 - a verb is called as its module

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import Invocation, echo_json, examples, json_option
from hubstack.errors import EngineError, UsageError

if TYPE_CHECKING:
    from hubstack.proposal.finding import Finding, Note
    from hubstack.proposal.share import Ground
    from hubstack.proposal.sketch import Sketch
    from hubstack.proposal.tree import Tree

_FILES = re.compile(
    r"(?i)(?:(?:docker|container)file.*|.*\.(?:docker|container)file|.*\.ya?ml|.*\.txt|install\.r|postbuild)"
)
_GENERIC = re.compile(r"(?i)dockerfile|containerfile|environment|requirements|apt|install|postbuild")


@click.command(
    "import",
    epilog=examples(
        "hubstack import scipy-notebook/Dockerfile    layers for what it does, on stdout",
        "hubstack import course1/ course2/            two repositories; what they share is a layer below",
        "hubstack import environment.yml --write      into this project, if it then passes check",
    ),
)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--write", is_flag=True, help="Write the layers into this project, which then passes check, or nothing.")
@json_option
@click.pass_obj
def command(invocation: Invocation, sources: tuple[str, ...], write: bool, as_json: bool) -> None:
    """Layers proposed from what exists; nothing is written without --write.

    SOURCE is a Dockerfile, an environment.yml, requirements.txt, apt.txt, install.R or postBuild, a repository as
    repo2docker reads it, or an image in a registry. What could not be explained is said, with file and line.
    """
    from hubstack.proposal.share import propose, without_conda

    ground = _ground(invocation, needed=write)
    findings = [_read(invocation, source) for source in sources]
    if "conda" not in ground.known:
        for finding in findings:
            without_conda(finding)
    sketches = [one for one in propose(findings, ground) if one.asks or len(findings) == 1]
    if as_json:
        echo_json(_json(sketches, findings))
    elif not write:
        _show(sketches)
    if write:
        _write(invocation, sketches, as_json=as_json)
    _explain(findings)


# --- what there is -----------------------------------------------------------------------------------------------------


def _ground(invocation: Invocation, *, needed: bool) -> Ground:
    """The project's names; of no project, those that hubstack's example has."""
    from hubstack.cli.new import known_names, whoever
    from hubstack.proposal.share import Ground

    try:
        root = invocation.root
    except UsageError:
        if needed:
            raise
        return Ground(known=frozenset({"jupyterlab", "python", "nodejs", "r"}))
    project = invocation.project
    return Ground(known=frozenset(known_names(project)), taken=frozenset(project.layers), owners=whoever(root))


def _read(invocation: Invocation, source: str) -> Finding:
    from hubstack.proposal.finding import Finding
    from hubstack.proposal.tree import read_package_file, read_repository, read_tree

    path = Path(source)
    if not path.exists():
        return _read_image(invocation, source)
    name = _name(path)
    if path.is_dir():
        tree, finding = read_tree(path, source), Finding(name=name)
        dockerfile = read_repository(tree, finding)
        return _read_dockerfile(tree, dockerfile, name) if dockerfile else finding
    if not _FILES.fullmatch(path.name):
        raise UsageError(f"{source} is no file that can be imported", hint="See `hubstack import --help` for those.")
    tree = read_tree(path.parent, str(path.parent) if path.parent != Path() else "")
    if re.search(r"(?i)(?:docker|container)file", path.name):
        return _read_dockerfile(tree, path.name, name)
    finding = Finding(name=name)
    read_package_file(tree, path.name, finding)
    return finding


def _read_dockerfile(tree: Tree, path: str, name: str) -> Finding:
    from hubstack.proposal.dockerfile import read_dockerfile
    from hubstack.proposal.finding import Finding
    from hubstack.proposal.tree import UNREADABLE

    if (text := tree.text(path)) is not None:
        return read_dockerfile(text, tree.where(path), name, tree)
    finding = Finding(name=name)
    finding.leave(tree.where(path), "", UNREADABLE)
    return finding


def _name(path: Path) -> str:
    from hubstack.proposal.finding import layer_name

    stem = path.name.partition(".")[0] if path.is_file() else path.resolve().name
    return layer_name(path.resolve().parent.name if _GENERIC.fullmatch(stem) else stem)


def _read_image(invocation: Invocation, source: str) -> Finding:
    from hubstack.proposal.dockerfile import read_history
    from hubstack.proposal.finding import layer_name
    from hubstack.proposal.image import look_up_image
    from hubstack.reference import ImageRef

    try:
        ref = ImageRef.parse(source)
    except ValueError:
        ref = None
    if ref is None or _FILES.fullmatch(source.rpartition("/")[2]) or source.startswith((".", "/")):
        raise UsageError(f"there is no file {source}", hint="Name a file, a folder, or an image as HOST/NAME:TAG.")
    ref = ref if ref.tag or ref.digest else ref.with_tag("latest")
    found = look_up_image(ref, invocation.ca_bundle)
    if found is None:
        raise UsageError(f"there is no image {ref}")
    finding = read_history(found.history, source, layer_name(ref.repository.rpartition("/")[2]))
    try:
        _take_packages(invocation, finding, ref.with_digest(found.digest), source)
    except EngineError as error:
        finding.leave(source, "", f"its packages are not known: {error.message}")
    return finding


def _take_packages(invocation: Invocation, finding: Finding, ref: Any, source: str) -> None:
    import tempfile

    from hubstack.engine import Docker
    from hubstack.proposal.contents import read_asked, take_asked

    with tempfile.TemporaryDirectory(prefix="hubstack-") as scratch:
        engine = Docker(scratch=Path(scratch), ca_bundle=invocation.ca_bundle)
        engine.check()
        take_asked(finding, read_asked(engine, engine.pull(ref)), source)


# --- what is said ------------------------------------------------------------------------------------------------------


def _show(sketches: Iterable[Sketch]) -> None:
    for sketch in sketches:
        for one in sketch.written(schemas=False):
            click.echo(click.style(f"# {one.path}", bold=True))
            try:
                click.echo(one.content.decode())
            except UnicodeDecodeError:
                click.echo(f"({len(one.content)} bytes)\n")


def _write(invocation: Invocation, sketches: Sequence[Sketch], *, as_json: bool) -> None:
    from hubstack.cli.new import has_schemas, write_checked

    schemas = has_schemas(invocation.root)
    files = [one for sketch in sketches for one in sketch.written(schemas=schemas)]
    write_checked(invocation.root, files)
    if not as_json:
        for one in files:
            click.echo(one.path)
    if any(sketch.pip for sketch in sketches):
        click.echo("Next:\n  hubstack update --only python", err=True)


def _explain(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.base:
            click.echo(
                f"{finding.name} stands on {finding.base}: a base may be made of it, base/NAME/layer.yaml", err=True
            )
        for title, notes in (("Kept as it was:", finding.kept), ("Not explained:", finding.unexplained)):
            if notes:
                click.echo(title, err=True)
            for note in notes:
                click.echo(f"  {note.where}: {f'{note.text}: ' if note.text else ''}{note.why}", err=True)


def _json(sketches: Iterable[Sketch], findings: Iterable[Finding]) -> dict[str, Any]:
    layers = {
        sketch.name: {one.path: one.content.decode(errors="replace") for one in sketch.written(schemas=False)}
        for sketch in sketches
    }
    notes = [
        {
            "source": finding.name,
            "base": finding.base,
            "kept": _notes(finding.kept),
            "unexplained": _notes(finding.unexplained),
        }
        for finding in findings
    ]
    return {"format": 1, "layers": layers, "sources": notes}


def _notes(notes: Iterable[Note]) -> list[dict[str, str]]:
    return [{"where": note.where, "text": note.text, "why": note.why} for note in notes]
