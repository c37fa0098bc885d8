"""``hubstack repo``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import Invocation, complete_select, echo_json, examples, json_option
from hubstack.errors import HubstackError, UsageError

if TYPE_CHECKING:
    from hubstack.model import Image
    from hubstack.pipeline import Inputs
    from hubstack.reference import Fingerprint
    from hubstack.repository.build import Checkout
    from hubstack.repository.checkout import Source
    from hubstack.repository.choice import Offer

JOBS = 2  # at once, where the stack has to be built first
DOCKERFILE = "dockerfile"  # in place of a stack's fingerprint: the repository's own Dockerfile says what it stands on


@click.command(
    "repo",
    epilog=examples(
        "hubstack repo https://github.com/binder-examples/requirements",
        "hubstack repo . --stack scipy/trixie-4.5      this folder as it stands",
        "hubstack repo . --ref main --push             for CI: what is committed, and to the registry",
    ),
)
@click.argument("repository", metavar="URL-OR-DIR")
@click.option(
    "--ref",
    default="",
    metavar="REF",
    help="A branch, tag or commit. Default: the default branch; of a folder, what stands in it.",
)
@click.option(
    "--stack",
    default="",
    metavar="NAME",
    shell_complete=complete_select,
    help="STACK or STACK/VARIANT, whatever the repository says. Default: what its binder/stack names, else the "
    "smallest that has the Python and the R that it needs.",
)
@click.option("--push", is_flag=True, help="Push the image, through the engine and with its credentials.")
@json_option
@click.pass_obj
def command(invocation: Invocation, repository: str, ref: str, stack: str, push: bool, as_json: bool) -> int:
    """Build an image of a repository on top of a stack, with repo2docker.

    It reads what repo2docker reads (binder/, requirements.txt, environment.yml, apt.txt, install.R, postBuild, start, ...)
    and adds it to the stack; the stack's own packages keep their versions. An image that is there already is taken.
    """
    from hubstack.repository.build import checked_out
    from hubstack.repository.checkout import find_source

    began = time.monotonic()
    bundle = invocation.ca_bundle
    source = find_source(repository, ref, ca_bundle=bundle)
    with checked_out(repository, source, on_line=_say, ca_bundle=bundle) as checkout:
        row = _image_of(invocation, checkout, stack, push=push)
    row["seconds"] = round(time.monotonic() - began, 1)
    if as_json:
        echo_json(row)
    else:
        click.echo(row["image"])
        where = f" on {row['stack']}" if row["stack"] else " from its Dockerfile"
        click.echo(f"{row['result']}{where}, {row['seconds']:.1f} s{', pushed' if push else ''}", err=True)
    return 0


def _image_of(invocation: Invocation, checkout: Checkout, stack: str, *, push: bool) -> dict[str, Any]:
    from hubstack.repository import build
    from hubstack.repository.choice import Offer

    ground = None if checkout.wanted.dockerfile else _Ground.find(invocation, checkout, stack)
    name = _name(invocation, checkout.source, ground.fingerprint if ground else DOCKERFILE)
    build.check_engine()
    there = build.is_there(name)
    if not there:
        offer = replace(ground.offer, image=ground.bring(invocation)) if ground else Offer(name="", image="")
        _say(f"{checkout.source.url} at {checkout.source.commit[:12]}" + (f" on {offer.name}" if ground else ""))
        build.build(checkout, offer, name, on_line=_say, ca_bundle=invocation.ca_bundle)
    return {
        "image": build.push(name, on_line=_say) if push else name,
        "repository": checkout.source.url,
        "commit": checkout.source.commit,
        "stack": ground.offer.name if ground else "",
        "result": "reused" if there else "built",
        "pushed": push,
    }


def _name(invocation: Invocation, source: Source, fingerprint: str) -> str:
    from hubstack.repository.name import repository_image

    names = invocation.names
    return str(repository_image(names.prefix, names.layout, source.url, source.commit, fingerprint))


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """The stack below one repository, planned but not yet on the engine."""

    offer: Offer
    inputs: Inputs
    node: str

    @classmethod
    def find(cls, invocation: Invocation, checkout: Checkout, stack: str) -> _Ground:
        """What --stack says, else what the repository's own files do. Raises UsageError, RepositoryError."""
        from hubstack.pipeline import prepare
        from hubstack.repository.build import choose_stack

        offers = _offers(invocation)
        if stack:
            named = _named(stack, offers)
            offer = next((one for one in named if one.fits(checkout.wanted)), named[0])
        else:
            offer = choose_stack(checkout, list(offers))
        inputs = prepare(invocation.project, invocation.lock, [offer.name]).on(invocation.platform)
        return cls(offer=offer, inputs=inputs, node=offers[offer].node)

    @property
    def fingerprint(self) -> Fingerprint:
        return self.inputs.fingerprint(self.node)

    def bring(self, invocation: Invocation) -> str:
        """The name under which the engine has the stack's image: from here, else from the registry, else built first."""
        from hubstack.cli.build import build, known
        from hubstack.plan import Action
        from hubstack.repository.build import tag

        plan = self.inputs.plan(known(invocation, push=False))
        there = plan.by_node[self.node].action is Action.REUSE
        if not there and not build(invocation, self.inputs, push=False, jobs=JOBS):
            raise HubstackError(f"{self.offer.name} can't be built", hint="Why stands above.")
        engine = invocation.engine()
        name = invocation.names.node(self.fingerprint)
        layout = invocation.store.layout(self.fingerprint)
        if layout is None:
            engine.pull(name)
        else:  # what the engine calls it after loading, it forgets when this run ends
            tag(engine.load(layout, name), str(name))
        return str(name)


def _offers(invocation: Invocation) -> Mapping[Offer, Image]:
    """The project's stacks for this machine's processor, the smallest first."""
    from hubstack.graph import resolve
    from hubstack.repository.project import find_offers

    offers = find_offers(invocation.project, resolve(invocation.project), invocation.platform)
    if not offers:
        raise UsageError(
            f"the project has no stack for {invocation.platform}", hint="`hubstack list` shows what there is."
        )
    return offers


def _named(stack: str, offers: Mapping[Offer, Image]) -> Sequence[Offer]:
    """What --stack names. Raises UsageError."""
    from hubstack.repository.choice import find
    from hubstack.spelling import did_you_mean, quote

    found = find(stack, list(offers))
    if not found:
        known = {name for one in offers for name in (one.stack, one.name)}
        hint = "`hubstack list` shows what there is. Drafts are not offered."
        raise UsageError(f"no stack is called {quote(stack)}{did_you_mean(stack, known)}", hint=hint)
    return found


def _say(line: str) -> None:
    click.echo(line, err=True)
