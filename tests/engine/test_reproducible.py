"""The same bytes again: nodes that are made with the macros alone have one digest, whenever and wherever they are built."""

from __future__ import annotations

from pathlib import Path

import pytest
from hubstack.registry import Registry

from tests.engine.workbench import Cold, Run, Work, published, wrap_buildx

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_two_cold_builds_have_the_same_digests(built: tuple[Work, Run], cold: Cold, registry: Registry) -> None:
    """Nine nodes: package files of apt and pip, copy(), run(), a layer that copies from another.

    They were built with different files of certificates, into different prefixes, in different folders.
    """
    assert cold.run.layers("building") == sorted(built[1].layers("building"))
    first, second = (nodes(registry, work) for work in (built[0], cold.work))
    assert len(second) == 9
    assert second.items() <= first.items()  # other tests have built more there
    assert cold.run.digests == built[1].digests


def nodes(registry: Registry, work: Work) -> dict[str, str]:
    start = f"{work.prefix.repository}/build:fp-"
    return {name.removeprefix(start): str(d) for name, d in published(registry, work.prefix).items() if start in name}


def test_what_is_not_reproducible_differs(settled: Work, tmp_path: Path) -> None:
    """The comparison above is good for something: a COPY and a RUN without the macros have the clock in them."""
    settled.write("layers/plain/layer.yaml", "summary: Without the macros\n")
    settled.write("layers/plain/note", "note\n")
    settled.write("layers/plain/Dockerfile.j2", "FROM parent\nUSER root\nRUN date >/opt/now\nUSER 1000:100\n")
    digests = []
    for number in ("1", "2"):
        clone = wrap_buildx(settled.clone(tmp_path / number), tmp_path / f"docker-{number}", "--no-cache")
        clone.run("build", "layer:plain")
        fingerprint = clone.nodes("layer:plain")["plain"]["fingerprint"]
        digests.append((clone.folder / ".hubstack" / "nodes" / fingerprint / "index.json").read_text())
    assert digests[0] != digests[1]
