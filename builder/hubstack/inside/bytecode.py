"""Runs in a build step, with the image's own Python (3.9 or newer): compiles the modules that have no bytecode yet.

Usage: python -B bytecode.py (-B: what Python imports as it starts, by .pth files, is to be compiled here like the rest)

The same modules give the same bytes whatever the machine. CPython's marshal writes down which objects are shared, and a
process shares more of them with each module that it has compiled; installers hand modules to processes as those get free.
Here a module's company is decided by the list of modules alone: CHUNK of them go to one process, in the list's order.
"""

import errno
import marshal
import os
import py_compile
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

CHUNK = 32  # a process for each module would take half as long again
NO_MODULE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG}  # folders, links to nowhere


def modules() -> Iterator[str]:
    """Those below site-packages, sorted, that have no bytecode yet: what layers below have brought has some."""
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    for path in sorted({str(path) for folder in folders for path in Path(folder).rglob("*.py")}):
        if not os.path.lexists(cache_from_source(path)):
            yield path


def compile_all(paths: list[str]) -> None:
    for path in paths:
        try:  # with a sum over the source: a time stamp would be the installer's
            py_compile.compile(path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        except py_compile.PyCompileError:
            continue  # templates, and modules for other releases of Python: installers leave them alone, too
        except OSError as error:
            if error.errno not in NO_MODULE:
                sys.exit(f"{path} can't be compiled: {error}")


def check(paths: list[str]) -> None:
    """Read what was written: Python has not always noticed a full disk. Not where modules are compiled, which it would show in."""
    for cached in filter(os.path.isfile, map(cache_from_source, paths)):
        try:
            marshal.loads(Path(cached).read_bytes()[16:])
        except (EOFError, ValueError, TypeError) as error:
            sys.exit(f"{cached} is not whole: {error}")


def main() -> int:
    waiting = list(modules())
    chunks = [waiting[start : start + CHUNK] for start in range(0, len(waiting), CHUNK)]
    room = len(os.sched_getaffinity(0))
    failed = 0
    for chunk in chunks:
        if room == 0:
            failed += os.wait()[1]
            room += 1
        if os.fork() == 0:
            compile_all(chunk)
            os._exit(0)
        room -= 1
    for _ in range(len(os.sched_getaffinity(0)) - room):
        failed += os.wait()[1]
    check(waiting)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
