"""A node's slices of the lock that its build steps read: Debian packages, and user and group ids.

They lie beside run.sh, which is mounted in each step and so in no image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import resources

from hubstack.model import DEBS, IDS, Rendered, SourceFile
from hubstack.render.packages import RUN_SCRIPT

_ACCOUNT = ".hubstack/account.sh"


def with_slices(rendered: Rendered, debs: Mapping[str, str], ids: Mapping[str, int]) -> Rendered:
    """``rendered`` with its slices, in the context as well where a step of ours reads them."""
    if not (debs or ids):
        return rendered
    if all(one.path != RUN_SCRIPT for one in rendered.context):
        return replace(rendered, debs=debs)
    context = tuple(sorted((*rendered.context, *_files(debs, ids)), key=lambda file: file.path))
    return replace(rendered, debs=debs, ids=ids, context=context)


def _files(debs: Mapping[str, str], ids: Mapping[str, int]) -> Iterator[SourceFile]:
    if debs:
        text = "".join(f"{name} {version}\n" for name, version in sorted(debs.items()))
        yield SourceFile(path=DEBS, content=text.encode())
    if ids:
        yield SourceFile(
            path=IDS, content="".join(f"{name}:{number}\n" for name, number in sorted(ids.items())).encode()
        )
        script = resources.files("hubstack").joinpath("render", "templates", "account.sh").read_bytes()
        yield SourceFile(path=_ACCOUNT, content=script, executable=True)
