"""The common tree for `docker buildx bake`: one JSON file, a target an image."""

from __future__ import annotations

import json

from bench.place import Place, buildx
from bench.tree import Item, write_file, write_item


class Bake:
    name = "bake"

    def __init__(self, place: Place, tree: tuple[Item, ...]) -> None:
        self._place, self._tree = place, tree
        self._repository = f"bench/bake-{len(tree)}"
        self.folder = place.folder / f"bake-{len(tree)}"

    def write(self, nonce: str) -> None:
        base = f"{self._place.base}@{self._place.base_digest}"
        for item in self._tree:
            write_item(
                self.folder / item.name, item, name="Dockerfile", parent="parent" if item.parent else base, nonce=nonce
            )
        (self.folder / "bake.json").write_text(json.dumps(self._file(), indent=1))

    def touch(self, item: Item, nonce: str) -> None:
        write_file(self.folder / item.name, item, nonce)

    def build(self) -> list[str]:
        return [*self._command(), "--progress=plain"]

    def render(self) -> list[str]:
        return [*self._command(), "--print"]

    def environment(self) -> dict[str, str]:
        return {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}

    def digests(self) -> dict[str, str | None]:
        return {item.name: self._place.digest(f"{self._repository}/{item.name}", "1") for item in self._tree}

    def _command(self) -> list[str]:
        return [*buildx(), "bake", "--file", str(self.folder / "bake.json")]

    def _file(self) -> dict[str, object]:
        targets = {
            item.name: {
                "context": str(self.folder / item.name),
                "contexts": {"parent": f"target:{item.parent}"} if item.parent else {},
                "tags": [f"{self._place.host}/{self._repository}/{item.name}:1"],
                "output": ["type=image,push=true"],
            }
            for item in self._tree
        }
        return {"group": {"default": {"targets": list(targets)}}, "target": targets}
