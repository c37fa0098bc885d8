"""``hubstack verify``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import SELECT_HELP, Invocation, echo_json, examples, json_option, select_argument

if TYPE_CHECKING:
    from hubstack.model import Image
    from hubstack.reference import Digest, ImageRef
    from hubstack.supply.seal import Seal


@click.command(
    "verify",
    help="Whether published images are signed by whom the project trusts, come from this tree, and have their bill of "
    f"materials and provenance.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack verify                       all stacks; exit code 1 and a line for each fault",
        "hubstack verify --key other.pub       by another key than the project's",
    ),
)
@select_argument()
@click.option("--key", default="", metavar="FILE", help="A public key instead of what hubstack.yaml says.")
@json_option
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], key: str, as_json: bool) -> int:
    from hubstack.cli.attest import built, images, needed_seal
    from hubstack.pipeline import prepare
    from hubstack.supply.seal import at_once

    inputs = prepare(invocation.project, invocation.lock, select)
    if not inputs.selection.images:
        raise click.UsageError("SELECT names no image: verify is about what people can choose.")
    seal = needed_seal(invocation, inputs, public=key)
    rows = at_once(lambda item: _row(seal, *item), [*images(seal, built(seal))])
    if as_json:
        echo_json(rows)
    else:
        show(rows)
    return 1 if any(row["faults"] for row in rows) else 0


def _row(seal: Seal, ref: ImageRef, parts: Mapping[Digest, Image]) -> dict[str, Any]:
    if ref.digest is None:
        faults = ["is not published, or its name is another image's than what is built and tested"]
    else:
        faults = [*seal.faults(ref, [seal.inputs.fingerprint(image.node) for image in parts.values()])]
    return {"ref": str(ref), "faults": faults}


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        for fault in row["faults"]:
            click.echo(f"{row['ref']} {fault}")
    good = sum(not row["faults"] for row in rows)
    click.echo(f"{good} of {len(rows)} images are signed, and made from this tree")
