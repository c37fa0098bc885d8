"""Runs in a build step, with the image's own Python (3.9 or newer): compiles the modules that have no bytecode yet.

Usage: python -B bytecode.py (-B: what Python imports as it starts, by .pth files, is to be compiled here like the rest)

The same modules give the same bytes whatever the machine, and whatever else is installed beside them: two layers that
bring one distribution can be merged. CPython's marshal writes down which objects are shared, and a process shares more of
them with each module that it has read. Installers hand modules to processes as those get free; here a folder's modules
are compiled in a process of their own, in order of their names, by a Python that has imported nothing of the image's.
"""

import errno
import marshal
import os
import py_compile
import sys
import sysconfig
from importlib.util import cache_from_source
from pathlib import Path

NO_MODULE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG}  # folders, links to nowhere


def companies(folders: list[str]) -> list[list[str]]:
    """The modules below ``folders`` that have no bytecode yet: what layers below have brought has some.

    Those of one folder are together; at the top, where one distribution's are beside another's, each is alone.
    """
    found = []
    for top in folders:
        for folder, _, names in os.walk(top):
            modules = [f"{folder}/{name}" for name in sorted(names) if name.endswith(".py")]
            waiting = [path for path in modules if not os.path.lexists(cache_from_source(path))]
            found += [[path] for path in waiting] if folder == top else [waiting]
    return [paths for paths in found if paths]


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


def main(folders: list[str]) -> int:
    waiting = companies(folders)
    room = len(os.sched_getaffinity(0))
    failed = 0
    for paths in waiting:
        if room == 0:
            failed += os.wait()[1]
            room += 1
        if os.fork() == 0:
            compile_all(paths)
            os._exit(0)
        room -= 1
    for _ in range(len(os.sched_getaffinity(0)) - room):
        failed += os.wait()[1]
    check([path for paths in waiting for path in paths])
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.flags.no_site:
        sys.exit(main(sys.argv[1:]))
    known = {
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
    }  # -S: without it .pth files import what they like
    os.execv(sys.executable, [sys.executable, "-S", "-B", __file__, *sorted(known)])
