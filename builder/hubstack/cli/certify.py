"""``hubstack certify``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import SELECT_HELP, Invocation, echo_json, examples, json_option, select_argument
from hubstack.errors import ProjectError, UsageError

if TYPE_CHECKING:
    from hubstack.certificate import Certificate, Pair
    from hubstack.certificate.pair import Stage
    from hubstack.pipeline import Inputs
    from hubstack.publish import Remote


@click.command(
    "certify",
    help="Whether layers that are merged are what builds of one on the other make, pair by pair.\n\nFor each two layers that "
    "some merge puts together, their merge is compared with a chain in either order: every file, database and field of the "
    "config. The layers' tests run in it. What comes out is kept in the registry and shown by `hubstack plan`: it is done "
    "once for each pair of images, and every combination of layers profits. Each pair takes the builds of its two chains, "
    f"which are not pushed. Exit code 1 where any differ or could not be built.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack certify --dry-run      which pairs there are, and which are certified",
        "hubstack certify datascience    those in the images of a stack; what is known already is not built again",
    ),
)
@select_argument()
@click.option("--dry-run", is_flag=True, help="Name the pairs, and what is known of them; build nothing.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=min(8, 2 * (os.cpu_count() or 1)), help="Nodes at work at once."
)
@json_option
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], dry_run: bool, jobs: int, as_json: bool) -> int:
    from hubstack.certificate.examination import read_certificates
    from hubstack.certificate.pair import images_with
    from hubstack.pipeline import prepare
    from hubstack.publish import Remote

    inputs = prepare(invocation.project, invocation.lock, select).on(invocation.platform)
    remote = Remote(registry=invocation.connect(publish=not dry_run), names=invocation.names)
    pairs = _pairs(inputs, remote)
    found = dict(read_certificates(remote, pairs))
    todo = [pair for pair in pairs if pair.key not in found]
    failed: list[Pair] = []
    for number, pair in enumerate([] if dry_run else todo, 1):
        click.echo(f"pair {number} of {len(todo)}: {pair.label}", err=True)
        if (one := _certified(invocation, inputs, remote, pair, jobs)) is None:
            failed.append(pair)
        else:
            found[pair.key] = one
    where = {pair: images_with(inputs.graph, inputs.selection.images, pair) for pair in pairs}
    _show(where, found, failed, as_json=as_json)
    return 1 if failed or any(not one.is_good for one in found.values()) else 0


def _pairs(inputs: Inputs, remote: Remote) -> Sequence[Pair]:
    """Each once. Raises UsageError where one can't be known yet."""
    from hubstack.certificate.pair import pairs_of

    pairs = pairs_of(inputs, remote, inputs.selection.nodes)
    if missing := sorted({node for nodes, pair in pairs if pair is None for node in nodes}):
        raise UsageError(
            f"not all are built and pushed yet: {', '.join(missing)}", hint="First: hubstack build --push."
        )
    return [*{pair.key: pair for _, pair in pairs if pair is not None}.values()]


def _certified(invocation: Invocation, inputs: Inputs, remote: Remote, pair: Pair, jobs: int) -> Certificate | None:
    """Kept in the registry; None where something could not be built, or didn't pass its tests."""
    from hubstack.certificate.examination import write_certificate
    from hubstack.certificate.pair import stage
    from hubstack.cli.build import say_waiting

    try:
        staged = stage(inputs, invocation.lock, pair)
    except ProjectError as fault:  # the lock, say, has what each needs by itself
        click.echo(f"{pair.label}: one can't be built on the other: {fault.problems[0].what}", err=True)
        return None
    with invocation.store.lock(
        on_wait=say_waiting
    ):  # of what is built here only, nothing is to go before it is compared
        try:
            found = _compared(invocation, inputs, remote, staged, pair, jobs)
        finally:
            _clear_away(invocation, inputs, staged)
    if found is not None:
        write_certificate(remote, pair, found)
    return found


def _compared(
    invocation: Invocation, inputs: Inputs, remote: Remote, staged: Stage, pair: Pair, jobs: int
) -> Certificate | None:
    from hubstack.certificate.examination import examine
    from hubstack.cli.build import build

    for node, digest in zip(pair.nodes, pair.digests, strict=True):
        here = invocation.store.part(fingerprint := inputs.fingerprint(node))
        if here is not None and here.manifest.digest != digest:
            invocation.store.discard(fingerprint)  # chains are to stand on what others get
    if not build(invocation, staged.inputs, push=False, jobs=jobs, rebase=False):
        return None
    return examine(invocation.shelf(staged.inputs, remote.registry, push=False), staged, pair)


def _clear_away(invocation: Invocation, inputs: Inputs, staged: Stage) -> None:
    """What was made for a verdict alone is gone, or many pairs fill the disk."""
    kept = {one.fingerprint for one in inputs.identities.values()}
    made = {one.fingerprint for one in staged.inputs.identities.values()} - kept
    invocation.store.prune(kept, inputs.graph.nodes)
    invocation.engine().forget(map(invocation.names.node, sorted(made)))


def _show(
    where: Mapping[Pair, Sequence[str]], found: Mapping[str, Certificate], failed: Sequence[Pair], *, as_json: bool
) -> None:
    """``where``: the pairs, each with the images that have it."""
    from hubstack.certificate import certificate_json

    if as_json:
        rows = [
            {"layers": pair.label, "images": list(images), "digests": list(pair.digests), "failed": pair in failed}
            for pair, images in where.items()
        ]
        known = [certificate_json(found[pair.key]) if pair.key in found else None for pair in where]
        echo_json([row | {"certificate": one} for row, one in zip(rows, known, strict=True)])
        return
    for pair, images in where.items():
        place = f" in {', '.join(images)}" if images else ""
        click.echo(_line(found.get(pair.key), pair.label + place, failed=pair in failed))
        for difference in found[pair.key].differences if pair.key in found else ():
            click.echo(f"    {difference}")
    good = sum(one.is_good for one in found.values())
    click.echo(f"{len(where)} pairs: {good} certified, {len(found) - good} differ, {len(where) - len(found)} not known")


def _line(one: Certificate | None, name: str, *, failed: bool) -> str:
    if one is None:
        return f"{'failed' if failed else 'unknown':<9} {name}"
    word = "certified" if one.is_good else "differs"
    settled = f", settled ({len(one.settled)})" if one.settled else ""
    only = f"; only merged it has {', '.join(one.only)}" if one.only else ""
    return f"{word:<9} {name}: {one.paths:,} paths, {one.tests} tests{settled}{only}"
