"""``hubstack compose``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import Invocation, complete_layer, echo_json, examples, json_option
from hubstack.errors import UsageError

if TYPE_CHECKING:
    from hubstack.oci import Manifest
    from hubstack.pipeline import Inputs
    from hubstack.plan import Plan
    from hubstack.publish import Remote
    from hubstack.reference import ImageRef


@click.command(
    "compose",
    help="An image of any layers, put together in the registry instead of built.\n\nEach layer is built once, on what it "
    "requires, if it isn't there. Then a three-way merge joins what they have changed: the databases of packages, accounts "
    "and libraries line by line. What it can't join is an error that says who conflicts with whom. Without --push nothing is "
    "built, and the image is only worked out.",
    epilog=examples(
        "hubstack compose scipy r             whether they go together, and what that would weigh",
        "hubstack compose scipy r --push      test that image and give it a name",
    ),
)
@click.argument("layers", metavar="LAYER...", nargs=-1, required=True, shell_complete=complete_layer)
@click.option("--push", is_flag=True, help="Build what is missing, push the image, test it, name it.")
@json_option
@click.pass_obj
def command(invocation: Invocation, layers: tuple[str, ...], push: bool, as_json: bool) -> int:
    from hubstack.cli.build import build
    from hubstack.publish import Remote

    inputs = _prepare(invocation, layers)
    (node,) = inputs.selection.nodes
    if push and invocation.project.settings.signing is not None:
        hint = "Make a stack of these layers, which is signed as it is built."
        raise UsageError("this project's images are signed, and compose can't sign", hint=hint)
    registry = invocation.connect(publish=push)
    known = Remote(registry=registry, names=invocation.names)
    ref = invocation.names.published(COMPOSED, _tag(layers), inputs.fingerprint(node))
    plan = _plan(inputs, known)
    if not push:
        _work_out(invocation, inputs, plan, known, ref, as_json=as_json)
        click.echo("nothing is pushed: --push does", err=True)
        return 0
    if plan.dirty() and not build(invocation, inputs, push=True, jobs=2):
        return 1
    found = registry.manifest(invocation.names.node(inputs.fingerprint(node)))
    assert found is not None  # it is good
    registry.push_image(found, ref, sources=(invocation.names.build,))
    _show(ref.with_digest(found.digest), found, as_json=as_json)
    return 0


COMPOSED = "composed"  # the repository, or the beginning of the tag, of images that no stack lists


def _tag(layers: tuple[str, ...]) -> str:
    return "-".join(sorted(set(layers)))[:100]


def _prepare(invocation: Invocation, layers: tuple[str, ...]) -> Inputs:
    """What is known of the merge, whose node no stack has; people can choose it, so that all tests are run."""
    from dataclasses import replace

    from hubstack.graph import resolve
    from hubstack.graph.assembly import joined
    from hubstack.graph.select import Selection, select
    from hubstack.merge.conflict import MergeConflict
    from hubstack.merge.interest import declared
    from hubstack.pipeline import prepare_nodes

    project, lock = invocation.project, invocation.lock
    if len(project.settings.platforms) > 1:
        hint = "hubstack.yaml names several: make a stack of these layers."
        raise UsageError("compose puts together images of one platform", hint=hint)
    alone = resolve(project)
    nodes = select(project, alone, [f"layer:{name}" for name in dict.fromkeys(layers)]).nodes
    bases = {alone.nodes[node].base: alone.nodes[node].layer for node in nodes}
    if len(bases) > 1:
        what = " and ".join(f"{layer} stands on {base}" for base, layer in sorted(bases.items()))
        raise UsageError(f"an image has one base, and {what}", hint="Compose layers that stand on one.")
    lines = [[alone.nodes[below].layer for below in alone.lineage[node]] for node in nodes]
    if conflicts := [*declared(project.layers, lines)]:
        raise MergeConflict(conflicts)
    graph, node = joined(alone, project, nodes)
    inputs = prepare_nodes(project, lock, graph, Selection(nodes=(node,), images=()))
    return replace(inputs, offered=frozenset((node,)))


def _plan(inputs: Inputs, known: Remote) -> Plan:
    """Raises UsageError where something can't be built."""
    from hubstack.plan import Action

    plan = inputs.plan(known)
    if blocked := next((step for step in plan.steps if step.action is Action.BLOCKED), None):
        raise UsageError(f"{blocked.node.id} can't be built: {blocked.reason}", hint="Run `hubstack update`.")
    return plan


def _work_out(
    invocation: Invocation, inputs: Inputs, plan: Plan, known: Remote, ref: ImageRef, *, as_json: bool
) -> None:
    """Raises MergeConflict, and UsageError where something isn't built."""
    from hubstack.merge.join import work_out
    from hubstack.merge.repeat import repeated
    from hubstack.plan import Action

    (node,) = inputs.selection.nodes
    layers = [step for step in plan.steps if not step.node.is_merge]
    if missing := [step.node.id for step in layers if step.action is Action.BUILD]:
        raise UsageError(f"not built yet: {', '.join(missing)}", hint="--push builds what is missing.")
    digests = {step.identity.fingerprint: step.digest for step in plan.steps if step.digest is not None}
    shelf = invocation.shelf(inputs, known.registry, push=False)
    if not inputs.graph.nodes[node].is_merge:
        found = shelf.registry.manifest(invocation.names.node(inputs.fingerprint(node)))
        assert found is not None  # nothing is missing
        return _show(ref, found, as_json=as_json)
    image, assembled = work_out(shelf, inputs.fingerprint(node), (), digests)
    for interest in assembled.interests:
        click.echo(f"to settle: {interest}", err=True)
    if (twice := repeated(assembled.nodes, shelf.take(assembled.nodes, digests))) is not None:
        click.echo(twice, err=True)
    return _show(ref, image.manifest, as_json=as_json)


def _show(ref: ImageRef, manifest: Manifest, *, as_json: bool) -> None:
    size_bytes = sum(layer.size for layer in manifest.layers)
    if as_json:
        echo_json({"ref": str(ref), "size_bytes": size_bytes, "layers": len(manifest.layers)})
        return
    click.echo(str(ref))
    click.echo(f"{size_bytes / 1e6:.0f} MB in {len(manifest.layers)} filesystem layers", err=True)
