"""Promise 3: a changed layer rebuilds its own nodes and their descendants, and nothing else."""

from __future__ import annotations

from collections import Counter

import pytest
from hubstack.registry import Registry

from tests.engine.workbench import Work, layer_of, published

pytestmark = pytest.mark.engine

CHANGES = {  # a layer, and what is built when it changes
    "both": {"both": 2},
    "words": {"words": 2, "both": 2},
    "tool": {"tool": 1, "both": 2},  # copied from, not below
}


@pytest.mark.parametrize(("layer", "expected"), CHANGES.items(), ids=CHANGES)
def test_a_change_builds_its_layer_and_what_stands_on_it(
    settled: Work, registry: Registry, layer: str, expected: dict[str, int]
) -> None:
    """The folder has no store of its own: what has not changed is only in the registry."""
    before, tags = settled.build().digests, published(registry, settled.prefix)
    step = f"{{% call run() %}}\necho {layer} >/opt/changed\n{{% endcall %}}\n\nUSER 1000:100"
    settled.edit(f"layers/{layer}/Dockerfile.j2", "USER 1000:100", step)
    after = settled.build()
    assert Counter(after.layers("building")) == Counter(after.layers("pushing")) == expected
    assert Counter(layer_of(node) for node in built_nodes(after.of("finished"))) == expected
    changed = {name for name, digest in after.digests.items() if digest != before[name]}
    assert changed == {"both/plain", "both/loud"}
    there = published(registry, settled.prefix)
    moved = {name for name, digest in tags.items() if there[name] != digest}
    assert {name.rpartition(":")[2] for name in moved} == {"plain-latest", "loud-latest"}
    new = Counter(name.rpartition(":")[2].partition("-")[0] for name in there.keys() - tags.keys())
    built = sum(expected.values())
    assert new == {"fp": built, "ok": built, "info": built, "plain": 1, "loud": 1}


def built_nodes(finished: list[dict[str, str]]) -> list[str]:
    assert {one["result"] for one in finished} == {"built", "reused"}
    return [one["node"] for one in finished if one["result"] == "built"]
