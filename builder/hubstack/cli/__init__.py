"""The command line: one verb, one file; option → core call → print. The one place where errors become text.

Nothing but click is imported here: ``hubstack --help`` must answer at once, so each verb is loaded when it is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from hubstack.errors import HubstackError

SECTIONS: Mapping[str, Mapping[str, str]] = {  # what `hubstack --help` says of each verb; each stands in cli/<verb>.py
    "Look": {
        "check": "Everything that can be wrong without an engine; all faults at once.",
        "list": "Stacks, variants, layers, variables and hubs.",
        "graph": "The graph as text, Mermaid, SVG or JSON.",
        "render": "The Dockerfiles exactly as they will be built.",
        "plan": "What a build would do, and why.",
        "why": "What a fingerprint is made of, or what changed it.",
        "review": "What a change costs, and whom it touches.",
        "where": "Which images have a package.",
    },
    "Build": {
        "build": "Plan, build, test and push.",
        "test": "Run the layers' tests in images that are built.",
        "run": "JupyterLab, or a command, in an image.",
        "repo": "An image of a repository, on top of a stack.",
        "compose": "An image of any layers, put together instead of built.",
        "certify": "Whether merged layers are what builds make, pair by pair.",
        "rebase": "Newer bases below what stands on them, built only where it must be.",
    },
    "Publish": {
        "publish": "Names, channels and ConfigMaps for what is built; builds nothing.",
        "profiles": "The hubs' ConfigMaps.",
        "deliver": "Bring ConfigMaps into a GitOps repository.",
        "hub": "A folder with all that a GitOps repository needs for a hub.",
        "site": "A static catalogue of the images.",
        "preview": "A hub on this machine: the launcher, and servers on the local engine.",
    },
    "Write": {
        "init": "A project of one's own, with its workflows.",
        "new": "A layer, a stack or a repository to start from.",
        "import": "Layers proposed from what exists: images, Dockerfiles, environments.",
        "update": "Refresh hubstack.lock; no other verb looks into an index.",
        "owners": "CODEOWNERS, from the layers and the policy.",
        "schema": "JSON Schemas for editors.",
    },
    "CI and other engines": {
        "matrix": "What is to be built, as waves of CI jobs.",
        "export": "The plan for other engines: bake, Argo Workflows.",
        "simulate": "The scheduler on made-up trees: makespan beside its lower bound.",
    },
    "The registry": {
        "attest": "Bills of materials, provenance and signatures of what is published.",
        "verify": "Whether images are signed by whom the project trusts.",
        "prune": "What no hub, server or run needs any more.",
    },
}
VERBS: Mapping[str, str] = {verb: text for verbs in SECTIONS.values() for verb, text in verbs.items()}
_THE_MACHINE_S = {  # faults that are no bugs of ours: a full or broken disk, a path that can't be written
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.EISDIR,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENFILE,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


class Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*VERBS]  # not list(…): cli/list.py becomes this module's attribute of that name

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"hubstack.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            if close := difflib.get_close_matches(args[0], VERBS, n=1):
                raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            if not _reader_gone():
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more as it ends
            ctx.exit(141)  # as a shell says of who died by SIGPIPE

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([*verbs.items()], col_max=12)


_HELP = """\
Build families of container images for JupyterHub from a tree of layers.

\b
Examples:
  hubstack check                       what is wrong, with file and line
  hubstack plan                        what a build would do, and why
  hubstack build --push                build what changed, test it, push it
  hubstack run minimal                 JupyterLab in that image

\b
Exit codes: 0 done; 1 a build, a test or a push failed; 2 the command line
or the project's files are wrong.
"""


@click.group(cls=Verbs, help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-C",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="The project's folder, or one in it. Default: here.",
)
@click.option(
    "--ca-bundle",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    envvar="HUBSTACK_CA_BUNDLE",
    show_envvar=True,
    help="Certificates of an intercepting proxy: for builds (as a secret, never in an image) and registries.",
)
@click.option(
    "--registry",
    envvar="HUBSTACK_REGISTRY",
    show_envvar=True,
    metavar="REF",
    help="HOST/PREFIX instead of the project's own.",
)
@click.version_option(package_name="hubstack", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, folder: Path, ca_bundle: Path | None, registry: str | None) -> None:
    from hubstack.cli.invocation import Invocation

    ctx.obj = Invocation(folder=folder, ca_bundle=ca_bundle, registry=registry)
    ctx.call_on_close(ctx.obj.close)


class Terminated(BaseException):
    """SIGTERM came: as KeyboardInterrupt, for the other signal."""


def main() -> NoReturn:
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except Terminated:
        code = 143
    except click.NoSuchOption as error:
        if any(error.option_name in option.opts for option in cli.params):
            place = f"It stands before the verb: hubstack {error.option_name} ... VERB."
            error = click.NoSuchOption(error.option_name, f"{error.message} {place}", ctx=error.ctx)
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - the one error boundary; what is none of ours is raised again
        code = _report(error)
    if code in {130, 143}:
        _leave(code)
    sys.exit(code if isinstance(code, int) else 0)


def _leave(code: int) -> NoReturn:
    """End now: sys.exit would wait for threads that wait for a registry or an engine that doesn't answer."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _report(error: Exception) -> int:
    """Print an error of ours without a traceback; raise what is none of ours, for that is a bug."""
    from hubstack.cli.invocation import on_terminal
    from hubstack.errors import HubstackError, ProjectError

    if isinstance(error, OSError) and error.errno in _THE_MACHINE_S:
        error = HubstackError(f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror))
    if not isinstance(error, HubstackError):
        raise error
    if isinstance(error, ProjectError):
        for problem in error.problems:
            click.echo(str(problem), err=True)
    else:
        word = click.style("error:", fg="red") if on_terminal() else "error:"
        click.echo(f"{word} {error.message}", err=True)
        if hint := error.hint or _tip(error):
            click.echo(f"  {hint}", err=True)
    return error.exit_code


def _tip(error: HubstackError) -> str:
    """What to do about an error that can't say so itself, as it doesn't know what was asked for."""
    from hubstack.errors import RegistryUnreachable

    if isinstance(error, RegistryUnreachable):
        return "Start it, or name another: hubstack --registry HOST/PREFIX. `hubstack plan --offline` asks none."
    return ""


def _reader_gone() -> bool:
    """Whether who reads our stdout has left (`hubstack list | head -1`), and not a registry or an engine."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
