"""``hubstack attest``, and the seal that other verbs use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import (
    LOCK,
    SELECT_HELP,
    SETTINGS,
    Invocation,
    echo_json,
    examples,
    json_option,
    select_argument,
)

if TYPE_CHECKING:
    from hubstack.model import Image
    from hubstack.pipeline import Inputs
    from hubstack.reference import Digest, Fingerprint, ImageRef
    from hubstack.supply.cosign import Trust
    from hubstack.supply.seal import Seal

KEY_VARIABLE = "HUBSTACK_SIGNING_KEY"


@click.command(
    "attest",
    help="Sign what is published, with its bill of materials and provenance, and the nodes that it stands on.\n\n"
    "`build --push` and `publish` do so by themselves; this is for what was there before `signing:` was. Does nothing "
    f"where nothing is missing.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack attest --key cosign.key           what this machine has built",
        "hubstack attest --adopt minimal            and what is in the registry as it is",
        "hubstack attest --dry-run                  what is not signed",
    ),
)
@select_argument()
@click.option(
    "--key",
    envvar=KEY_VARIABLE,
    show_envvar=True,
    default="",
    metavar="FILE",
    help="The private key, or cosign's address of one. Its password: COSIGN_PASSWORD.",
)
@click.option("--adopt", is_flag=True, help="Also sign nodes that this machine has not built. You vouch for them.")
@click.option("--dry-run", is_flag=True, help="Show what is not signed, and stop.")
@json_option
@click.pass_obj
def command(
    invocation: Invocation, select: tuple[str, ...], key: str, adopt: bool, dry_run: bool, as_json: bool
) -> int:
    from hubstack.pipeline import prepare
    from hubstack.supply.seal import at_once

    inputs = prepare(invocation.project, invocation.lock, select)
    seal = needed_seal(invocation, inputs, key=key)
    if not dry_run:
        seal.cosign.check_key()
    there = built(seal)
    nodes = at_once(lambda item: _node(invocation, seal, *item, adopt=adopt, dry_run=dry_run), [*there.items()])
    good = {row["digest"] for row in nodes if row["result"] not in {"foreign", "unsigned"}}
    published = list(images(seal, there))
    rows = nodes + at_once(lambda item: _image(seal, *item, good=good, dry_run=dry_run), published)
    if as_json:
        echo_json(rows)
    else:
        show(rows)
    return 1 if any(row["result"] in {"foreign", "missing", "blocked"} for row in rows) else 0


def _node(
    invocation: Invocation, seal: Seal, fingerprint: Fingerprint, digest: Digest, *, adopt: bool, dry_run: bool
) -> dict[str, Any]:
    name = next(node for node, one in seal.inputs.identities.items() if one.fingerprint == fingerprint)
    layout = invocation.store.layout(fingerprint)
    mine = layout is not None and layout.manifest.digest == digest
    if seal.has_node(fingerprint, digest):
        result = "there"
    elif not (mine or adopt):
        result = "foreign"
    elif dry_run:
        result = "unsigned"
    else:
        seal.node(fingerprint, digest)
        result = "signed"
    return {
        "name": name,
        "ref": str(seal.names.node(fingerprint).with_digest(digest)),
        "digest": digest,
        "result": result,
    }


def _image(
    seal: Seal, ref: ImageRef, parts: Mapping[Digest, Image], *, good: set[Digest], dry_run: bool
) -> dict[str, Any]:
    name = next(iter(parts.values())).variant.id if parts else str(ref)
    if ref.digest is None:
        result = "missing"
    elif not dry_run and not good.issuperset(parts):
        result = "blocked"
    elif dry_run:
        result = "unsigned" if [*seal.faults(ref)] else "there"
    else:
        result = "signed" if seal.image(ref, parts) else "there"
    return {"name": name, "ref": str(ref), "digest": ref.digest, "result": result}


_SAID = {
    "signed": "signed",
    "unsigned": "not signed",
    "foreign": "not signed, and not built on this machine: --adopt signs it as it is",
    "missing": "not published: hubstack publish",
    "blocked": "not signed: its node is not",
}


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    told = [row for row in rows if row["result"] != "there"]
    if not rows:
        click.echo("nothing of it is built and tested in the registry", err=True)
    for row in told:
        click.echo(f"{row['name']}: {_SAID[row['result']]}  {row['ref']}")
    if len(told) < len(rows):
        click.echo(f"{len(rows) - len(told)} are signed already")


# --- what there is -------------------------------------------------------------------------------------------------------


def built(seal: Seal) -> dict[Fingerprint, Digest]:
    """Every node that the selection stands on or is, and that is built and tested in the registry."""
    from hubstack.names import tested_tag
    from hubstack.publish import Remote

    inputs = seal.inputs
    tags = {tested_tag(one.fingerprint, inputs.tests[node]): one.fingerprint for node, one in inputs.identities.items()}
    found = Remote(registry=seal.registry, names=seal.names).digests([*tags])
    return {tags[tag]: digest for tag, digest in found.items()}


def images(seal: Seal, there: Mapping[Fingerprint, Digest]) -> Iterator[tuple[ImageRef, dict[Digest, Image]]]:
    """Each selected (stack, variant) under its immutable name, with its platforms' images.

    The name has the digest that it must have; none where it isn't there, or names something else.
    """
    from hubstack.oci import make_index

    groups = [list(group) for _, group in groupby(seal.inputs.selection.images, key=lambda image: image.variant.id)]
    names = [seal.inputs.published(seal.names, group[0]) for group in groups]
    found = seal.registry.heads(names)
    for name, group in zip(names, groups, strict=True):
        parts = {there[one]: image for image in group if (one := seal.inputs.fingerprint(image.node)) in there}
        if (digest := found[name]) is None or len(parts) < len(group):
            yield name, dict.fromkeys(parts, group[0])
            continue
        if len(group) == 1:
            expected = next(iter(parts))
        else:
            manifests = {
                image.platform: seal.registry.manifest(seal.names.build.with_digest(one))
                for one, image in parts.items()
            }
            expected = make_index(one.descriptor(platform) for platform, one in manifests.items() if one).digest
        yield (name.with_digest(digest) if digest == expected else name), parts


# --- the seal ------------------------------------------------------------------------------------------------------------


def sealing(
    invocation: Invocation, inputs: Inputs, *, key: str = "", builders: Sequence[str] = (), public: str = ""
) -> Seal | None:
    """What signs and checks; None where the project doesn't say whom it trusts, and CI doesn't either.

    ``key`` is the private key, else HUBSTACK_SIGNING_KEY's; ``public`` a public one instead of the project's.
    """
    trust = find_trust(invocation, public)
    if trust is None:
        return None
    from functools import partial

    from hubstack.supply.circumstances import find_circumstances
    from hubstack.supply.cosign import Cosign
    from hubstack.supply.seal import Seal

    private = key or (os.environ.get(KEY_VARIABLE, "") if trust.key else "")
    root = invocation.root
    return Seal(
        cosign=Cosign(trust=trust, key=private, ca_bundle=invocation.ca_bundle),
        registry=invocation.connect(),
        names=invocation.names,
        inputs=inputs,
        circumstances=partial(find_circumstances, root, root / LOCK, os.environ, builders=builders),
    )


def needed_seal(invocation: Invocation, inputs: Inputs, *, key: str = "", public: str = "") -> Seal:
    from hubstack.errors import UsageError

    seal = sealing(invocation, inputs, key=key, public=public)
    if seal is None:
        hint = "Make a pair with `cosign generate-key-pair`, commit cosign.pub, write `signing: {key: cosign.pub}`."
        raise UsageError(f"{SETTINGS} doesn't say whose signatures the project trusts", hint=hint)
    return seal


def find_trust(invocation: Invocation, public: str = "") -> Trust | None:
    """Raises ProjectError where the public key is not there."""
    from hubstack.errors import Problem, ProjectError
    from hubstack.supply.cosign import Trust, github_trust

    signing = invocation.project.settings.signing
    if signing is None:
        return Trust(key=public) if public else github_trust(os.environ)
    key = public or (str(invocation.root / signing.key) if signing.key else "")
    if signing.key and not public and not (invocation.root / signing.key).is_file():
        what, remedy = (
            f"there is no file {signing.key}",
            "Put the public key there: `cosign generate-key-pair` makes a pair.",
        )
        raise ProjectError([Problem(position=signing.position, what=what, remedy=remedy)])
    if key:
        return Trust(key=key, transparency_log=signing.transparency_log)
    return Trust(identity=signing.identity, issuer=signing.issuer, transparency_log=signing.transparency_log)


def image_policy(invocation: Invocation) -> dict[str, Any] | None:
    """What lets a cluster refuse what the project doesn't trust; None without `signing:`."""
    signing = invocation.project.settings.signing
    trust = find_trust(invocation) if signing else None
    if signing is None or trust is None:
        return None
    from hubstack.supply.cluster import cluster_policy

    return cluster_policy(
        invocation.names,
        key=(invocation.root / signing.key).read_text(encoding="utf-8") if signing.key else "",
        identity=trust.identity,
        issuer=trust.issuer,
        transparency_log=trust.transparency_log,
    )
