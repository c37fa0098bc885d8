"""The common tree: one root, middles on it, leaves on the middles; each copies one small file and runs one command.

All tools get the same files and the same Dockerfiles; they differ in how a FROM names what is below.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = "base"  # kolla-build looks for a folder of this name
IMAGES_PER_MIDDLE = 6  # 30 images: 1 root, 5 middles, 24 leaves
USER = "1000:100"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image. ``parent`` is empty for the root, which stands on the base image."""

    name: str
    parent: str


def make_tree(count: int) -> tuple[Item, ...]:
    """``count`` items, parents before children."""
    middles = [f"middle-{number:03}" for number in range(count // IMAGES_PER_MIDDLE)]
    leaves = [f"leaf-{number:04}" for number in range(count - 1 - len(middles))]
    return (
        Item(name=ROOT, parent=""),
        *(Item(name=name, parent=ROOT) for name in middles),
        *(Item(name=name, parent=middles[number % len(middles)]) for number, name in enumerate(leaves)),
    )


def first(tree: tuple[Item, ...], kind: str) -> Item:
    """The first ``middle`` or ``leaf``."""
    return next(item for item in tree if item.name.startswith(kind))


def family(tree: tuple[Item, ...], name: str) -> set[str]:
    """``name`` and all that stands on it."""
    found = {name}
    for item in tree:
        if item.parent in found:
            found.add(item.name)
    return found


def dockerfile(item: Item, parent: str) -> str:
    lines = [
        f"FROM {parent}",
        f"COPY files/{item.name}.txt /opt/bench/{item.name}.txt",
        f"RUN cat /opt/bench/{item.name}.txt > /opt/bench/{item.name}.ran",
        *([] if item.parent else [f"USER {USER}"]),
    ]
    return "".join(f"{line}\n" for line in lines)


def write_item(folder: Path, item: Item, *, name: str, parent: str, nonce: str) -> None:
    """A build context in ``folder``: the Dockerfile under ``name``, and the file that is copied."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(dockerfile(item, parent))
    write_file(folder, item, nonce)


def write_file(folder: Path, item: Item, nonce: str) -> None:
    (folder / "files" / f"{item.name}.txt").write_text(f"{item.name} {nonce}\n")
