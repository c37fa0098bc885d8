"""One leaf, built and pushed by buildx and nothing else: what our run with one changed leaf is compared with."""

from __future__ import annotations

from bench.ours import Hubstack
from bench.place import Place, buildx
from bench.tree import Item, write_item


class Leaf:
    name = "bare leaf"

    def __init__(self, place: Place, ours: Hubstack, item: Item) -> None:
        self._place, self._ours, self._item = place, ours, item
        self._target = f"{place.host}/bench/leaf:1"
        self._parent = ""

    def write(self, nonce: str) -> None:
        """Its parent is the one that hubstack has built."""
        self._parent = self._ours.pinned(self._item.parent)
        folder = self._place.reset("leaf")
        write_item(folder, self._item, name="Dockerfile", parent="parent", nonce=nonce)

    def touch(self, item: Item, nonce: str) -> None:
        self.write(nonce)

    def build(self) -> list[str]:
        return [
            *buildx(),
            *("build", str(self._place.folder / "leaf"), "--progress=plain"),
            f"--build-context=parent=docker-image://{self._parent}",
            f"--output=type=image,name={self._target},push=true",
        ]

    def render(self) -> list[str]:
        return ["true"]

    def environment(self) -> dict[str, str]:
        return {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}

    def digests(self) -> dict[str, str | None]:
        return {self._item.name: self._place.digest("bench/leaf", "1")}
