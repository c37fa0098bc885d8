"""Which day it is, for the ends of the policy's exceptions, without a clock: the same commit gives the same answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hubstack.errors import UsageError

today_option: Callable[[Any], Any] = click.option(
    "--today",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day on which the policy's exceptions must hold. Default: SOURCE_DATE_EPOCH, else the commit's day.",
)


def find_today(root: Path, given: datetime | None) -> str:
    """``given``, else ``$SOURCE_DATE_EPOCH``, else the day of the commit that is checked out, in UTC; empty without one."""
    if given is not None:
        return given.strftime("%Y-%m-%d")
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _committed(root)
    if not epoch:
        return ""
    try:
        return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH={epoch} is no number of seconds since 1970") from None


def _committed(root: Path) -> str:
    from hubstack import command
    from hubstack.errors import CommandFailed, EngineError

    try:
        return command.output(["git", "-C", str(root), "log", "-1", "--format=%ct"]).strip()
    except (CommandFailed, EngineError):
        return ""
