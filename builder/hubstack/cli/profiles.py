"""``hubstack profiles``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from hubstack.errors import ProjectError, Severity, UsageError
from hubstack.offer import Hub

if TYPE_CHECKING:
    from hubstack.hub.configmap import Emitted
    from hubstack.hub.menu import Offer
    from hubstack.hub.previous import Ask
    from hubstack.hub.profiles import Images
    from hubstack.hub.pull import Pull
    from hubstack.pipeline import Inputs
    from hubstack.reference import ImageRef
    from hubstack.supply.seal import Seal

_STDIN = "-"
_FOR_PEOPLE = {"shown", "differs"}  # of a row; ``changed`` says the second
_MEMORY = ""  # what --diff means without a FILE


@click.command(
    "profiles",
    epilog=examples(
        "hubstack profiles demo --output dist/demo    write one hub's ConfigMap",
        "hubstack profiles --check                    for CI: would any of the committed ones change?",
        "hubstack profiles demo --diff                what would change for people, down to packages",
        "hubstack profiles demo --diff -              against `kubectl get configmap NAME -o yaml`, piped into it",
        "hubstack profiles --promote staging prod     give prod the images that staging has",
    ),
)
@click.argument("hubs", metavar="[HUB]...", nargs=-1, shell_complete=complete_hub)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Default: profiles/emitted, which is committed.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a ConfigMap would change.")
@click.option(
    "--diff",
    "against",
    is_flag=False,
    flag_value=_MEMORY,
    metavar="[FILE|-]",
    help="Write nothing; show what changes: choices, images and their packages. FILE is the ConfigMap in use, "
    "- is standard input. Default: the one in profiles/emitted.",
)
@click.option(
    "--promote",
    nargs=2,
    metavar="STAGING PROD",
    help="Give the hub PROD the images that STAGING's ConfigMap names, and show what changes.",
)
@pull_config_option
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    hubs: tuple[str, ...],
    output: Path | None,
    check: bool,
    against: str | None,
    promote: tuple[str, str] | None,
    pull_config: Path | None,
    as_json: bool,
) -> int:
    """Write the hubs' ConfigMaps: what people can choose, with the digests that the registry has now.

    A hub without a pull secret is asked for without credentials: what it could not pull, it is not offered.
    """
    if promote and (hubs or against is not None):
        raise click.UsageError("--promote STAGING PROD stands without other hubs and without --diff.")
    if against is not None:
        return _diff(invocation, hubs, against, check=check, pull_config=pull_config, as_json=as_json)
    source, hubs = (promote[0], promote[1:]) if promote else ("", hubs)
    rows = emit(invocation, hubs, output, check=check, pull_config=pull_config, source=source)
    if as_json:
        echo_json(plain(rows))
    else:
        show(rows, check=check)
    return 1 if check and any(row["changed"] for row in rows) else 0


def plain(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As machines are told."""
    return [{name: value for name, value in row.items() if name not in _FOR_PEOPLE} for row in rows]


def show(rows: Sequence[Mapping[str, Any]], *, check: bool = False) -> None:
    for row in rows:
        verdict = ("would change" if check else "written") if row["changed"] else "unchanged"
        click.echo(f"{row['path']}: {verdict}")
        if "shown" in row:
            click.echo(row["shown"], nl=False)
            continue
        for line in row["changes"]:
            click.echo(f"  {line}")


def emit(
    invocation: Invocation,
    wanted: Sequence[str],
    output: Path | None,
    *,
    check: bool = False,
    pull_config: Path | None = None,
    source: str = "",
    compare: bool = False,
) -> list[dict[str, Any]]:
    """What changes in each hub's ConfigMap. Nothing is written unless every hub's is good, or with ``check``.

    ``source`` is the hub whose images they are given. Then, or with ``compare``, packages are compared, too.
    """
    from hubstack.hub.configmap import EMITTED, changes, parse_configmap, write_if_changed

    folder = output or invocation.root / EMITTED
    hubs = [hub for hub in chosen(invocation, wanted) if wanted or not _waits(invocation, hub)]
    texts = [(hub, render(invocation, hub, pull_config, source=source)) for hub in hubs]
    rows = []
    for hub, text in texts:
        path = folder / f"{hub.name}.yaml"
        old = path.read_text(encoding="utf-8") if path.is_file() else None
        before = parse_configmap(old, str(path)) if old is not None else None
        lines = changes(before, parse_configmap(text, str(path)))
        row = {"hub": hub.name, "path": os.path.relpath(path), "changed": old != text, "changes": lines}
        if source or compare:
            memory = invocation.root / EMITTED / path.name  # a folder that nothing was ever written to has none
            known = old if old is not None or not memory.is_file() else memory.read_text(encoding="utf-8")
            row |= _compared(invocation, hub, known, text, os.path.relpath(path))
        if not check:
            write_if_changed(path, text)
        rows.append(row)
    return rows


def _waits(invocation: Invocation, hub: Hub) -> bool:
    """Whether nothing was promoted to ``hub`` yet, which is then told: that is no reason to keep others waiting."""
    from hubstack.hub.configmap import EMITTED

    if not hub.promoted_from or (invocation.root / EMITTED / f"{hub.name}.yaml").is_file():
        return False
    promote = f"hubstack profiles --promote {hub.promoted_from} {hub.name}"
    click.echo(f"{hub.name} is left out: it has no images before `{promote}`.", err=True)
    return True


def chosen(invocation: Invocation, wanted: Sequence[str]) -> list[Hub]:
    from hubstack.spelling import did_you_mean, enumerate_words, quote

    hubs = invocation.project.hubs
    for name in wanted:
        if name not in hubs:
            hint = f"There {'is' if len(hubs) == 1 else 'are'} {enumerate_words(hubs, 'and')}." if hubs else ""
            raise UsageError(f"there is no hub {quote(name)}{did_you_mean(name, hubs)}", hint=hint)
    return [hub for name, hub in hubs.items() if not wanted or name in wanted]


# --- what changes ------------------------------------------------------------------------------------------------------


def _diff(
    invocation: Invocation,
    wanted: Sequence[str],
    against: str,
    *,
    check: bool,
    pull_config: Path | None,
    as_json: bool,
) -> int:
    from hubstack.hub.configmap import EMITTED

    hubs = chosen(invocation, wanted)
    if against in invocation.project.hubs and not Path(against).exists():
        raise UsageError(f"--diff {against}: there is no such file", hint=f"Write: hubstack profiles {against} --diff")
    if against and len(hubs) != 1:
        raise UsageError("--diff FILE compares one hub", hint="Name it: hubstack profiles HUB --diff FILE")
    given = _read(against) if against else None
    rows = []
    for hub in [hub for hub in hubs if wanted or against or not _waits(invocation, hub)]:
        path = invocation.root / EMITTED / f"{hub.name}.yaml"
        old = given if against else path.read_text(encoding="utf-8") if path.is_file() else None
        name = {_STDIN: "standard input", _MEMORY: f"{EMITTED}/{hub.name}.yaml"}.get(against, against)
        rows.append(_compared(invocation, hub, old, render(invocation, hub, pull_config), name))
    if as_json:
        echo_json([row["diff"] for row in rows])
    else:
        for row in rows:
            click.echo(row["shown"], nl=False)
    return 1 if check and any(row["differs"] for row in rows) else 0


def _read(name: str) -> str:
    if name != _STDIN and not Path(name).is_file():
        raise UsageError(f"--diff {name}: there is no such file", hint="For standard input write --diff -")
    with click.open_file(name, encoding="utf-8", errors="replace") as file:
        text: str = file.read()
    return text


def _compared(invocation: Invocation, hub: Hub, old: str | None, new: str, name: str) -> dict[str, Any]:
    """``diff`` for machines, ``shown`` for people, and whether anything ``differs``."""
    from hubstack.hub.configmap import parse_configmap
    from hubstack.hub.diff import compare, diff_json, records_of, render_diff, with_packages
    from hubstack.hub.setting import setting_changes

    remedy = "Give the hub's ConfigMap, as `kubectl get configmap NAME -o yaml` prints it."
    before = parse_configmap(old, name, remedy) if old is not None else None
    found = compare(before, parse_configmap(new, name))
    found = with_packages(found, records_of(invocation.connect(), invocation.names))
    settings = setting_changes(old, new) if old is not None else ()
    return {
        "diff": diff_json(hub.name, found, settings, name),
        "shown": render_diff(hub.name, found, settings, name),
        "differs": bool(found or settings),
    }


# --- one hub's ConfigMap -------------------------------------------------------------------------------------------------


def render(invocation: Invocation, hub: Hub, pull_config: Path | None, *, source: str = "") -> str:
    """The hub's ConfigMap with today's digests, or with those of the hub ``source``. Raises ProjectError, RegistryError."""
    from hubstack.cli.attest import sealing
    from hubstack.hub.check import release_problems
    from hubstack.hub.choice import offers
    from hubstack.hub.configmap import load_emitted, render_configmap
    from hubstack.hub.previous import settle_previous
    from hubstack.hub.profiles import values
    from hubstack.hub.pull import Pull
    from hubstack.pipeline import prepare
    from hubstack.registry.credentials import anonymous, credentials_file

    project = invocation.project
    emitted = load_emitted(invocation.root, hub)
    inputs = prepare(project, invocation.lock, ())
    _refuse(invocation, hub, inputs, emitted)
    offered = offers(project, inputs.graph, hub, emitted)
    show_warnings(release_problems(hub, offered, inputs.locked("jupyterhub")))
    look_up = credentials_file(pull_config) if pull_config else None if hub.pull_secret else anonymous
    pull = Pull(names=invocation.names, client=cache(partial(invocation.client, look_up=look_up)))
    images = _images(invocation, hub, offered, inputs, pull, emitted, source)
    usable: Ask = partial(pull.usable, hub)
    if (seal := sealing(invocation, inputs)) is not None:
        seal.refuse_unsigned(images.values())
        usable = partial(_signed, usable, seal)
    offered = settle_previous(offered, images, emitted, usable)
    return render_configmap(hub, values(hub, offered, images))


def _signed(usable: Ask, seal: Seal, refs: Iterable[ImageRef]) -> frozenset[ImageRef]:
    return seal.only_signed(usable(refs))


def _refuse(invocation: Invocation, hub: Hub, inputs: Inputs, emitted: Emitted | None) -> None:
    """Raises ProjectError where the hub's file has errors; what is missing under ``retired:`` is printed to be pasted."""
    from hubstack.hub.check import check_hub
    from hubstack.hub.choice import all_known, resolve_offers
    from hubstack.hub.retired import lines_to_write, vanished

    found = check_hub(invocation.project, inputs.graph, hub, emitted)
    if not any(problem.severity is Severity.ERROR for problem in found):
        return show_warnings(found)
    tree = invocation.project, inputs.graph, hub, emitted
    if emitted and all_known(*tree) and (gone := vanished(hub, resolve_offers(*tree)[0], emitted)):
        click.echo(lines_to_write(hub, gone), err=True)
    raise ProjectError(found)


def _images(
    invocation: Invocation,
    hub: Hub,
    offered: Sequence[Offer],
    inputs: Inputs,
    pull: Pull,
    emitted: Emitted | None,
    source: str,
) -> Images:
    from hubstack.hub.promotion import promoted_images

    names = invocation.names
    if source:
        given = _given(invocation, hub, source)
        return pull.fixed(hub, offered, promoted_images(hub, offered, names, given, source, anew=True))
    if hub.promoted_from:
        return pull.fixed(hub, offered, promoted_images(hub, offered, names, emitted, hub.promoted_from, anew=False))
    expected = {
        (image.variant.stack, image.variant.name): inputs.published(names, image) for image in inputs.selection.images
    }
    return pull.images(hub, offered, expected)


def _given(invocation: Invocation, hub: Hub, source: str) -> Emitted:
    """What the hub ``source`` was last given, to be promoted to ``hub``. Raises UsageError and ProjectError."""
    from hubstack.hub.configmap import EMITTED, load_emitted

    (staging,) = chosen(invocation, [source])
    if staging.name == hub.name:
        raise UsageError(f"{source} can't be promoted to itself")
    if hub.promoted_from not in ("", source):
        raise UsageError(
            f"{hub.name} takes its images from {hub.promoted_from}",
            hint=f"Write: hubstack profiles --promote {hub.promoted_from} {hub.name}",
        )
    if not hub.promoted_from:
        click.echo(
            f"{hub.source.path}: warning: without `promoted_from: {source}` the next `hubstack profiles` gives "
            f"{hub.name} what its channel {hub.follow} names.",
            err=True,
        )
    if (given := load_emitted(invocation.root, staging)) is None:
        raise UsageError(
            f"{source} was given nothing yet: there is no {EMITTED}/{source}.yaml",
            hint=f"Write it: hubstack profiles {source}",
        )
    return given
