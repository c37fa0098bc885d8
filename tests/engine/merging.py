"""What tests of merges on a real engine share: the small project to be merged, copies of what is built, a look into images."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.workbench import Work

WHOLE = """
set -e
hello; python -c 'import six'; cat /opt/words
dpkg --audit; apt-get check
export PATH="$PATH:/usr/sbin:/sbin"; ldconfig -p >/tmp/merged; ldconfig; ldconfig -p >/tmp/own; cmp /tmp/merged /tmp/own
find / -xdev '(' -nouser -o -nogroup ')' -print
"""
TRIO = "title: Trio\ndescription: Three layers\nbase: debian\nlayers: [hello, numbers, words]\n"


def to_be_merged(work: Work) -> Work:
    """With a stack of three layers that know nothing of each other."""
    work.edit("hubstack.yaml", "base: debian\n", "base: debian\nassembly: merge\n")
    work.write("stacks/trio.yaml", TRIO)
    return work


def branch(work: Work, folder: Path, prefix: ImageRef, registry: Registry) -> Work:
    """A copy of the project, of its store and of the nodes that it has published, to go on from there.

    What is in the store is shared, by links, and so are blobs in the registry, by mounts.
    """
    for tag in registry.tags(work.prefix.child("build")):
        registry.copy_image(work.prefix.child("build").with_tag(tag), prefix.child("build").with_tag(tag))
    there = work.clone(folder)
    ignore = shutil.ignore_patterns("lock", "logs")  # what is written in place
    store = ".hubstack"
    shutil.copytree(work.folder / store, folder / store, symlinks=True, copy_function=os.link, ignore=ignore)
    return replace(there, prefix=prefix)


def inside(ref: object, script: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", "--interactive", "--user=0", "--network=none", "--entrypoint=sh", str(ref)]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


def image(work: Work, choice: str, digest: str) -> str:
    return f"{work.prefix.child(choice.partition('/')[0])}@{digest}"
