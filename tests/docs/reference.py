"""Prints docs/commands.md, from the command line's own help.

In a process of its own: a click command keeps the help option of the first context that it was used in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from hubstack.cli import VERBS, cli

_INTRODUCTION = """\
# Commands

<!-- Written from `hubstack --help` by tests/docs/reference.py; change the help in builder/hubstack/cli/. -->

Completion for bash: `eval "$(_HUBSTACK_COMPLETE=bash_source hubstack)"`; likewise for zsh and fish.
"""
_WIDTH = 100


def parts() -> Iterator[str]:
    yield _INTRODUCTION
    top = click.Context(cli, info_name="hubstack", terminal_width=_WIDTH, help_option_names=["-h", "--help"])
    yield _section("hubstack", cli, top, level=2)
    for verb in VERBS:
        command = cli.get_command(top, verb)
        assert command is not None
        context = click.Context(command, info_name=verb, parent=top, terminal_width=_WIDTH)
        yield _section(f"hubstack {verb}", command, context, level=2)
        for name, below in command.commands.items() if isinstance(command, click.Group) else ():
            inner = click.Context(below, info_name=name, parent=context, terminal_width=_WIDTH)
            yield _section(f"hubstack {verb} {name}", below, inner, level=3)


def _section(name: str, command: click.Command, context: click.Context, *, level: int) -> str:
    return f"{'#' * level} `{name}`\n\n```text\n{command.get_help(context).strip()}\n```\n"


if __name__ == "__main__":
    sys.stdout.write("\n".join(parts()))
