"""``hubstack preview``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import Invocation, complete_hub, examples

if TYPE_CHECKING:
    from hubstack.offer import Hub
    from hubstack.preview.options import Options

DEFAULT_PORT = 8000


@click.command(
    "preview",
    epilog=examples(
        "hubstack preview demo                              a hub on http://127.0.0.1:8000",
        "hubstack preview demo --port 0                     on a free port",
        "hubstack preview demo --profiles profiles/emitted  as the hub on the cluster is now",
    ),
)
@click.argument("hub", metavar="HUB", shell_complete=complete_hub)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Where to listen, on 127.0.0.1; 0 takes a free port.",
)
@click.option(
    "--profiles",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|DIR",
    help="A ConfigMap or Helm values, or a folder with HUB.yaml. Default: what `hubstack profiles` would write now.",
)
@click.option(
    "--repositories",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    metavar="DIR",
    help="Build from git repositories DIR/OWNER/NAME instead of GitHub's.",
)
@click.option("--verbose", is_flag=True, help="Every line that the hub logs, on stderr.")
@click.pass_obj
def command(
    invocation: Invocation, hub: str, port: int, profiles: Path | None, repositories: Path | None, verbose: bool
) -> int:
    """A real JupyterHub on this machine with a hub's launcher, whose servers run on the local engine.

    It listens on 127.0.0.1 alone and ends with Ctrl-C; its servers end with it. What people save in one is gone.
    """
    from hubstack.preview.container import Containers
    from hubstack.preview.session import Listener, check_extra, ports, remove_left, run, state_folder

    check_extra()
    with state_folder() as state:
        options = _options(invocation, hub, ports(port), profiles, repositories, state)
        containers = Containers(project=options.project, state=options.state)
        why_not = containers.why_not()
        if left := remove_left(containers):
            click.echo(f"Removed {left} containers of a preview that was killed.", err=True)
        _show(options, why_not)
        run(
            options,
            Listener(
                on_ready=lambda: _show_address(options),
                on_report=lambda line: click.echo(line, err=True),
                on_log=lambda line: click.echo(line, err=True) if verbose else None,
            ),
        )
    return 0


def _options(
    invocation: Invocation,
    name: str,
    ports: tuple[int, int, int, int],
    profiles: Path | None,
    repositories: Path | None,
    state: Path,
) -> Options:
    from hubstack.cli.profiles import chosen
    from hubstack.graph import resolve
    from hubstack.hub.configmap import load_emitted
    from hubstack.preview.launcher import as_shown, find_combinations, stack_image
    from hubstack.preview.options import GITHUB, LOCAL_PREFIX, Options
    from hubstack.preview.session import new_password
    from hubstack.preview.stack import as_json, find_stacks

    (hub,) = chosen(invocation, [name])
    values = _values(invocation, hub, profiles)
    shown = as_shown(values)
    emitted = load_emitted(invocation.root, hub)
    stacks = find_stacks(hub, invocation.project, resolve(invocation.project), shown, emitted)
    port, hub_port, proxy_port, binder_port = ports
    return Options(
        project=str(invocation.root),
        state=str(state),
        password=new_password(),
        port=port,
        hub_port=hub_port,
        proxy_port=proxy_port,
        binder_port=binder_port,
        repositories=f"{repositories}/{{repo}}" if repositories else GITHUB,
        image_prefix=hub.image_prefix or LOCAL_PREFIX,
        ca_bundle=str(invocation.ca_bundle or ""),
        stack_image=stack_image(shown),
        stacks=tuple(map(as_json, stacks)),
        profiles=tuple(shown),
        combinations=find_combinations(values),
    )


def _values(invocation: Invocation, hub: Hub, profiles: Path | None) -> Mapping[str, Any]:
    from hubstack.cli.profiles import render
    from hubstack.errors import UsageError
    from hubstack.preview.launcher import parse_values

    if profiles is None:
        return parse_values(render(invocation, hub, None), f"hub {hub.name}")
    path = profiles / f"{hub.name}.yaml" if profiles.is_dir() else profiles
    if not path.is_file():
        hint = f"Write it: hubstack profiles {hub.name} --output {profiles}"
        raise UsageError(f"{profiles} has no {hub.name}.yaml", hint=hint)
    return parse_values(path.read_text(encoding="utf-8"), str(path))


def _show(options: Options, why_not: str) -> None:
    from hubstack.preview.launcher import describe, ignored

    for line in describe(options.profiles):
        click.echo(line)
    if lines := [*ignored(options.profiles)]:
        click.echo("Only a cluster follows:")
        for line in lines:
            click.echo(f"  {line}")
    click.echo(
        "Not here: volumes (a server's home is empty, and gone with it), quotas of namespaces, network policies."
    )
    if why_not:
        click.echo(f"People can look at the launcher, but no server starts: {why_not}.", err=True)


def _show_address(options: Options) -> None:
    click.echo(f"http://127.0.0.1:{options.port}/  log in with any name and the password {options.password}")
    click.echo("Ctrl-C ends it.", err=True)
