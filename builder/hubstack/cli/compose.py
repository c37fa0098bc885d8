"""``hubstack compose``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import Invocation, complete_layer, echo_json, examples, json_option
from hubstack.errors import UsageError

if TYPE_CHECKING:
    from hubstack.merge.compose import Composed
    from hubstack.merge.shelf import Shelf
    from hubstack.model import Layer
    from hubstack.pipeline import Inputs
    from hubstack.reference import Digest, ImageRef


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
    from hubstack.merge.compose import compose, identity
    from hubstack.merge.shelf import Shelf
    from hubstack.pipeline import prepare
    from hubstack.publish import Remote

    inputs = prepare(invocation.project, invocation.lock, [f"layer:{name}" for name in dict.fromkeys(layers)])
    if len(invocation.project.settings.platforms) > 1:
        raise UsageError("compose puts together images of one platform", hint="hubstack.yaml names several.")
    if push and invocation.project.settings.signing is not None:
        hint = "Make a stack of these layers, which is signed as it is built."
        raise UsageError("this project's images are signed, and compose can't sign", hint=hint)
    registry = invocation.connect(publish=push)
    known = Remote(registry=registry, names=invocation.names)
    shelf = Shelf(registry=registry, names=invocation.names, store=invocation.store, write=push)
    fingerprint = identity(inputs, inputs.selection.nodes)
    ref = invocation.names.published(COMPOSED, _tag(layers), fingerprint)
    tested = invocation.names.tested(fingerprint, _tests(inputs))
    if push and (there := registry.head(ref)) is not None and registry.head(tested) == there:
        _show(ref.with_digest(there), None, as_json=as_json)
        return 0
    plan = inputs.plan(known)
    if plan.dirty() and push:
        if not build(invocation, inputs, push=True, jobs=2):
            return 1
        plan = inputs.plan(known)
    if missing := [step.node.id for step in plan.dirty()]:
        raise UsageError(f"not built yet: {', '.join(missing)}", hint="--push builds what is missing.")
    composed = compose(inputs, plan, shelf)
    if push:
        digest = _push(invocation, inputs, composed, shelf)
        registry.push_image(shelf.manifest(digest), ref, sources=(invocation.names.build,))
        ref = ref.with_digest(digest)
    _show(ref, composed, as_json=as_json)
    return 0


COMPOSED = "composed"  # the repository, or the beginning of the tag, of images that no stack lists


def _tag(layers: tuple[str, ...]) -> str:
    return "-".join(sorted(set(layers)))[:100]


def _layers(inputs: Inputs) -> list[Layer]:
    """All that the image is made of, in build order."""
    made_of = {node for top in inputs.selection.nodes for node in inputs.graph.lineage[top]}
    return [inputs.project.layers[node.layer] for node in inputs.graph.nodes.values() if node.id in made_of]


def _tests(inputs: Inputs) -> str:
    from hubstack.fingerprint import HARNESS, test_fingerprint

    return test_fingerprint(_layers(inputs), True, HARNESS)


def _push(invocation: Invocation, inputs: Inputs, composed: Composed, shelf: Shelf) -> Digest:
    """Raises ImageTestFailed where a test of one of the layers fails."""
    from hubstack.merge.compose import push
    from hubstack.verify import run_tests

    engine = invocation.engine()
    engine.check()

    def test(digest: Digest) -> None:
        image = engine.pull(shelf.names.build.with_digest(digest))
        run_tests(engine, image, _layers(inputs), hub_test=True, node=COMPOSED)

    return push(composed, shelf, test, _tests(inputs))


def _show(ref: ImageRef, composed: Composed | None, *, as_json: bool) -> None:
    if as_json:
        found: dict[str, object] = {"ref": str(ref)}
        if composed is not None:
            found |= {"size_bytes": composed.size_bytes, "written_bytes": composed.written_bytes}
            found |= {"layers": len(composed.manifest.layers), "merged": sorted(composed.assembled.written)}
        echo_json(found)
        return
    click.echo(str(ref))
    if composed is not None:
        merged = len(composed.assembled.written)
        click.echo(
            f"{composed.size_bytes / 1e6:.0f} MB in {len(composed.manifest.layers)} filesystem layers; {merged} files "
            f"merged, {composed.written_bytes / 1e3:.0f} kB",
            err=True,
        )
