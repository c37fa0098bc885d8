"""What the options before the verb say, and the objects that verbs get from them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubstack.errors import Problem, UsageError
from hubstack.model import Project
from hubstack.reference import ImageRef

if TYPE_CHECKING:
    from hubstack.engine import Docker
    from hubstack.lock import Lock
    from hubstack.merge.shelf import Shelf
    from hubstack.names import Names
    from hubstack.pipeline import Inputs
    from hubstack.registry import Registry
    from hubstack.registry.credentials import Lookup
    from hubstack.store import Store

LOCK = "hubstack.lock"
SETTINGS = "hubstack.yaml"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's word → the registries'


@dataclass(kw_only=True)
class Invocation:
    folder: Path
    ca_bundle: Path | None
    registry: str | None
    _open: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def root(self) -> Path:
        """The project's folder: ``-C``, or the nearest one above that holds hubstack.yaml. Raises UsageError."""
        start = self.folder.resolve()
        for folder in (start, *start.parents):
            if (folder / SETTINGS).exists():
                return folder
        raise UsageError(
            f"no project: neither {start} nor a folder above it has a {SETTINGS}",
            hint=f"Go to a project's folder, or name it: hubstack -C DIR. To begin one, make an empty {SETTINGS}.",
        )

    @cached_property
    def project(self) -> Project:
        """The project, its warnings printed. Raises ProjectError with everything that is wrong in single files."""
        from hubstack.project import load_project

        project, warnings = load_project(self.root)
        show_warnings(warnings)
        if self.registry is None:
            return project
        return replace(project, settings=replace(project.settings, registry=parse_prefix(self.registry)))

    @cached_property
    def lock(self) -> Lock:
        from hubstack.lock import read_lock

        return read_lock(self.root / LOCK)

    @cached_property
    def names(self) -> Names:
        from hubstack.names import Names

        return Names.of(self.project.settings)

    def connect(self, *, publish: bool = False) -> Registry:
        """A client of the project's registry. ``publish`` asks for the right to push from the first request on."""
        return self.client(self.names.prefix.host, publish=publish)

    def client(self, host: str, *, look_up: Lookup | None = None, publish: bool = False) -> Registry:
        """A client of any registry; ``look_up`` gives other credentials than the docker config's."""
        from hubstack.registry import Registry

        registry = Registry(host, look_up=look_up, ca_bundle=self.ca_bundle, publish=publish)
        self._open.callback(registry.close)
        return registry

    def close(self) -> None:
        self._open.close()

    @property
    def platform(self) -> str:
        """What this machine runs natively."""
        import platform

        name = platform.machine().lower()
        return f"linux/{_ARCHITECTURES.get(name, name)}"

    @cached_property
    def store(self) -> Store:
        from hubstack.store import FOLDER, Store

        return Store(self.root / FOLDER)

    def shelf(self, inputs: Inputs, registry: Registry, *, push: bool) -> Shelf:
        """What merging needs to know of the nodes of ``inputs``."""
        from hubstack.merge.shelf import Shelf, Source

        nodes = (inputs.graph.nodes[node] for node in inputs.identities)
        return Shelf(
            sources={
                inputs.fingerprint(node.id): Source(
                    name=node.layer, parents=tuple(sorted(inputs.fingerprint(one) for one in node.parents))
                )
                for node in nodes
            },
            registry=registry,
            names=self.names,
            store=self.store,
            write=push,
            trust=self.project.settings.signing is None,
        )

    def engine(self, builders: Sequence[str] = ()) -> Docker:
        from hubstack.engine import Docker

        return Docker(scratch=self.store.folder / "tmp", ca_bundle=self.ca_bundle, builders=builders)


def parse_prefix(text: str) -> ImageRef:
    """``HOST/PREFIX`` as --registry takes it."""
    try:
        ref = ImageRef.parse(text)
    except ValueError:
        raise UsageError(
            f"--registry {text!r} is no HOST/PREFIX", hint="For example 127.0.0.1:5000/hubstack."
        ) from None
    if ref.tag or ref.digest:
        raise UsageError(f"--registry {text!r} has a tag or a digest", hint="Give HOST/PREFIX alone.")
    return ref


def show_warnings(problems: Iterable[Problem]) -> None:
    for problem in problems:
        click.echo(str(problem), err=True)


def echo_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def on_terminal(stream: Any = None) -> bool:
    """Whether colour and motion are welcome (https://no-color.org)."""
    return bool((stream or sys.stderr).isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


# --- options and arguments that several verbs share ----------------------------------------------------------------------


def complete_select(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """SELECT terms for the shell. As every completion silent where the project is broken: it is no place for errors."""
    from hubstack.graph.select import complete

    return [term for project in _project_to_complete(ctx) for term in complete(project, incomplete)]


def complete_hub(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for project in _project_to_complete(ctx) for name in project.hubs if name.startswith(incomplete)]


def complete_layer(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for project in _project_to_complete(ctx) for name in project.layers if name.startswith(incomplete)]


def _project_to_complete(ctx: click.Context) -> Iterator[Project]:
    from hubstack.errors import HubstackError
    from hubstack.project import load_project

    folder = ctx.find_root().params.get("folder") or Path()
    with suppress(HubstackError):
        yield load_project(Invocation(folder=folder, ca_bundle=None, registry=None).root)[0]


SELECT_HELP = """\b
SELECT is STACK, STACK/VARIANT, a glob, layer:NAME, or node:ID;
+X takes what it stands on too, X+ what stands on it."""


def select_argument(*, required: bool = False) -> Callable[[Any], Any]:
    metavar = "SELECT..." if required else "[SELECT]..."
    return click.argument("select", metavar=metavar, nargs=-1, required=required, shell_complete=complete_select)


pull_config_option = click.option(
    "--pull-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The hub's own credentials: the .dockerconfigjson of its pull secret.",
)


def since_option(text: str, *, required: bool = False) -> Callable[[Any], Any]:
    return click.option("--since", metavar="REF", required=required, help=text)


def prepare_selected(invocation: Invocation, select: Sequence[str], since: str | None) -> Inputs:
    """What ``select`` names; with ``since`` only what has changed since that commit. Raises ProjectError, UsageError."""
    from hubstack.pipeline import prepare

    if since is None:
        return prepare(invocation.project, invocation.lock, select)
    from hubstack.since import prepare_since, read_past

    past = read_past(invocation.root, since)
    if past.fault is not None:
        click.echo(f"note: {past.fault.message}, so everything counts as changed", err=True)
    inputs = prepare_since(invocation.project, invocation.lock, select, past)
    if not inputs.selection.nodes:
        click.echo(f"nothing changed since {since}", err=True)
    return inputs


json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable, on stdout.")


def examples(*commands: str) -> str:
    """A verb's epilog: commands, each with what it does behind two blanks."""
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))
