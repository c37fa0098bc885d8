"""``hubstack export``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import SELECT_HELP, Invocation, examples, select_argument

if TYPE_CHECKING:
    from hubstack.export.bake import Bake


@click.group(
    "export",
    help="The plan for other engines: a folder for `docker buildx bake`, a workflow for Argo.",
    epilog=examples(
        "hubstack export bake scipy --output dist/bake              a folder for bake",
        "hubstack export argo --image IMAGE --all > workflow.yaml   a workflow",
    ),
)
def command() -> None:
    pass


@command.command(
    "bake",
    help="Write a folder from which `docker buildx bake` builds the same images: docker-bake.json and, for each node, its "
    "Dockerfile and context.\n\nBake runs no tests. So its images get tags that end in -bake, and none of those that say "
    "built and tested. A base from Debian packages is taken out of the registry, or made here with --rootfs.\n\n"
    f"{SELECT_HELP}",
    epilog=examples(
        "hubstack export bake scipy --output dist/bake    then: cd dist/bake && docker buildx bake",
        "hubstack export bake --output dist/bake          every stack; `docker buildx bake scipy` then builds one",
    ),
)
@select_argument()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    required=True,
    help="A folder of its own; an earlier export in it is replaced.",
)
@click.option("--rootfs", is_flag=True, help="Make bases from Debian packages here, with mmdebstrap; ask no registry.")
@click.pass_obj
def bake(invocation: Invocation, select: tuple[str, ...], output: Path, rootfs: bool) -> None:
    from hubstack.export.bake import FILE, Bake, as_chains, find_bases, refuse_blocked, refuse_repositories
    from hubstack.export.folder import clear, settle, write
    from hubstack.pipeline import prepare
    from hubstack.publish import Remote

    inputs = prepare(as_chains(invocation.project), invocation.lock, select)
    refuse_blocked(inputs)
    refuse_repositories(inputs)
    made = any(rendered.bootstrap is not None for rendered in inputs.rendered.values())
    there = {}
    if made and not rootfs:
        there = find_bases(inputs, Remote(registry=invocation.connect(), names=invocation.names))
    export = Bake(inputs=inputs, names=invocation.names, there=there, ca_bundle=invocation.ca_bundle)
    files = list(export.files())
    clear(output)
    write(output, files)
    _make_bases(export, output)
    settle(output)
    click.echo(f"{os.path.relpath(output / FILE)}: {len(list(export.nodes))} targets")


def _make_bases(export: Bake, output: Path) -> None:
    from hubstack.bootstrap import make_rootfs
    from hubstack.oci import SOURCE_DATE_EPOCH

    for path, node in export.rootfs():
        bootstrap = export.inputs.rendered[node.id].bootstrap
        assert bootstrap is not None  # what `rootfs` looks for
        click.echo(f"making {node.id} with mmdebstrap", err=True)
        make_rootfs(
            bootstrap,
            node.platform,
            output.resolve() / path,
            source_date_epoch=SOURCE_DATE_EPOCH,
            on_line=lambda line: click.echo(line, err=True),
            cancel=None,
        )


@command.command(
    "argo",
    help="Write an Argo Workflow: one pod for each node that is to be built, then `hubstack publish`.\n\nEach pod clones the "
    "project, builds its node with BuildKit (without root, beside it), tests it in a Docker engine beside it, and pushes "
    "it. The registry is the only state: retry a workflow, or submit it again, at any time. Secrets are named, never "
    f"held.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack export argo --image IMAGE --revision SHA > workflow.yaml     what is to be built, for one commit",
        "hubstack export argo --image IMAGE --all --template                   everything, as a WorkflowTemplate",
        "hubstack export argo --image IMAGE --buildkit tcp://a:1234            with a BuildKit that is there already",
    ),
)
@select_argument()
@click.option("--image", required=True, metavar="IMAGE", help="What pods run: hubstack, docker's client, buildx.")
@click.option("--repository", default="", metavar="URL", help="The project's git repository. Default: a parameter.")
@click.option("--revision", default="", metavar="SHA", help="Which commit of it. Default: a parameter.")
@click.option("--all", "everything", is_flag=True, help="Every node, also those that are built.")
@click.option("--template", is_flag=True, help="A WorkflowTemplate instead of a Workflow.")
@click.option("--pods", type=click.IntRange(1), default=8, show_default=True, help="At work at once.")
@click.option("--buildkit", multiple=True, metavar="ADDRESS", help="A BuildKit elsewhere, tcp://HOST:PORT. Repeatable.")
@click.option("--docker", "engine", default="", metavar="ADDRESS", help="A Docker engine elsewhere, for the tests.")
@click.option(
    "--registry-secret",
    default="hubstack-registry",
    show_default=True,
    metavar="NAME",
    help="The Secret with the registry's credentials (kubernetes.io/dockerconfigjson).",
)
@click.option("--git-secret", default="", metavar="NAME", help="A Secret with `username` and `password` for git.")
@click.option("--ca-secret", default="", metavar="NAME", help="A Secret whose `ca.crt` is what --ca-bundle names here.")
@click.pass_obj
def argo(
    invocation: Invocation,
    select: tuple[str, ...],
    image: str,
    repository: str,
    revision: str,
    everything: bool,
    template: bool,
    pods: int,
    buildkit: tuple[str, ...],
    engine: str,
    registry_secret: str,
    git_secret: str,
    ca_secret: str,
) -> None:
    from hubstack.export.argo import Cluster, render_workflow
    from hubstack.export.bake import refuse_blocked
    from hubstack.pipeline import prepare
    from hubstack.publish import Remote

    inputs = prepare(invocation.project, invocation.lock, select)
    refuse_blocked(inputs)
    known = None if everything else Remote(registry=invocation.connect(), names=invocation.names)
    cluster = Cluster(
        image=image,
        registry=str(invocation.names.prefix),
        repository=repository,
        revision=revision,
        registry_secret=registry_secret,
        git_secret=git_secret,
        ca_secret=ca_secret,
        buildkit=buildkit,
        engine=engine,
        pods=pods,
    )
    click.echo(render_workflow(inputs.plan(known), select, cluster, everything=everything, template=template), nl=False)
