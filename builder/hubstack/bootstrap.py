"""A base's root file system from Debian packages, by mmdebstrap(1): bit for bit the same for one archive state."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from hubstack import command
from hubstack.errors import EngineError
from hubstack.model import Bootstrap


def mmdebstrap_argv(bootstrap: Bootstrap, platform: str, target: Path) -> list[str]:
    """No mirror is named: mmdebstrap takes Debian's own, and the image gets the sources of that."""
    return [
        "mmdebstrap",
        f"--variant={bootstrap.variant}",
        f"--architectures={platform.split('/')[1]}",
        *([f"--include={','.join(bootstrap.include)}"] if bootstrap.include else []),
        "--format=tar",
        "--",
        bootstrap.suite,
        str(target),
    ]


def make_rootfs(
    bootstrap: Bootstrap,
    platform: str,
    target: Path,
    *,
    source_date_epoch: int,
    on_line: Callable[[str], None],
    cancel: threading.Event | None,
) -> None:
    """Write the root file system of ``platform`` (``linux/amd64``) to ``target``, a tar file."""
    argv = mmdebstrap_argv(bootstrap, platform, target)
    try:
        env = {**os.environ, "SOURCE_DATE_EPOCH": str(source_date_epoch)}
        command.run(argv, env=env, on_line=on_line, cancel=cancel, limits=command.Limits(deadline_s=3600))
    except EngineError as error:
        raise EngineError(error.message, hint="Install it with: apt-get install mmdebstrap") from None
