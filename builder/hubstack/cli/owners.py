"""``hubstack owners``."""

from __future__ import annotations

from pathlib import Path

import click

from hubstack.cli.invocation import Invocation, examples, show_warnings


@click.command(
    "owners",
    help="A CODEOWNERS file, from the layers' `owners:` and the policy in hubstack.yaml.\n\nThe policy's maintainers own "
    "all that no layer's owner does, and in any case hubstack.yaml, the lock, profiles/ and .github/.",
    epilog=examples(
        "hubstack owners                                    print it",
        "hubstack owners --output .github/CODEOWNERS        write it",
        "hubstack owners --output .github/CODEOWNERS --check  exit code 1 if it would be another",
    ),
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there, if it changed."
)
@click.option("--check", is_flag=True, help="Write nothing: exit code 1 where the file is not what it should be.")
@click.pass_obj
def command(invocation: Invocation, output: Path | None, check: bool) -> int:
    from hubstack.hub.configmap import write_if_changed
    from hubstack.policy.codeowners import FILE, render_codeowners

    below = _below(invocation.root)
    text, problems = render_codeowners(invocation.project, below)
    show_warnings(problems)
    if check:
        path = output or invocation.root.joinpath(*[".."] * below.count("/"), FILE).resolve()
        if not path.is_file() or path.read_bytes() != text.encode():
            click.echo(f"{path} is not what the layers and the policy say: hubstack owners --output {path}", err=True)
            return 1
    elif output is None:
        click.echo(text, nl=False)
    elif write_if_changed(output, text):
        click.echo(str(output))
    return 0


def _below(root: Path) -> str:
    """Where in its git repository the project is; outside of any, at the top."""
    from hubstack import command as process
    from hubstack.errors import CommandFailed, EngineError

    try:
        return process.output(["git", "-C", str(root), "rev-parse", "--show-prefix"]).strip()
    except (CommandFailed, EngineError):
        return ""
