"""What built layers have made, as the registry's indexes tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hubstack.lock import Lock, load_lock, render_lock
from hubstack.lock.ledger import FIRST, Account
from hubstack.merge.built import Built
from hubstack.merge.census import Census, accounts
from hubstack.merge.entry import Index
from hubstack.merge.record import MEDIA_TYPE, render_built
from hubstack.merge.shelf import Shelf
from hubstack.pipeline import Inputs

from tests.fakes.registry import FakeRegistry
from tests.family import DIAMOND
from tests.site import Site

BASE = "root:x:0:0::/root:/bin/sh\n_apt:x:100:65534::/:/bin/false\n"
BUS = "messagebus:x:700:700::/:/bin/false\n"
TABLES = {
    "debian": BASE,
    "lab": BASE + BUS + "jovyan:x:1000:100::/home/jovyan:/bin/sh\n",
    "r": "",
    "scipy": BASE + BUS + "sshd:x:101:65534::/:/bin/false\nold:x:70:70::/:/bin/false\n",
}


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def empty(tmp_path: Path, fake: FakeRegistry) -> Iterator[Site]:
    site = Site.at(tmp_path, fake)
    yield site
    site.close()


@pytest.fixture
def site(empty: Site) -> Site:
    assert empty.build(DIAMOND.inputs())
    return empty


def counted(site: Site, tables: Mapping[str, str]) -> dict[str, list[str]]:
    """The census, when the registry has indexes of the nodes in ``tables``."""
    inputs, registry = DIAMOND.inputs(), site.connect()
    for node, text in tables.items():
        _shelve(site, inputs, node, Index(entries={}, contents={"etc/passwd": text.encode()} if text else {}))
    store = site.invocation(inputs.project).store
    shelf = Shelf(sources={}, registry=registry, names=site.names, store=store, write=False)
    made = Census(shelf=shelf).made(inputs.graph)
    return {layer: sorted(names) for layer, names in made.items()}


def _shelve(site: Site, inputs: Inputs, node: str, index: Index) -> None:
    registry, fingerprint = site.connect(publish=True), inputs.fingerprint(node)
    digest = registry.head(site.names.node(fingerprint))
    assert digest is not None
    parents = tuple(inputs.fingerprint(one) for one in inputs.graph.nodes[node].parents)
    built = Built(
        name=node, parents=parents, index=index, config={}, machine={}, layers=(), diff_ids=(), digest=digest, below=()
    )
    registry.write_artifact(site.names.index(fingerprint), render_built(built), artifact_type=MEDIA_TYPE)


def test_a_layer_has_made_what_it_has_and_those_below_it_have_not(site: Site) -> None:
    assert counted(site, TABLES) == {"lab": ["messagebus"], "scipy": ["sshd"]}


def test_what_was_built_here_alone_counts_too(empty: Site) -> None:
    inputs = DIAMOND.inputs()
    assert empty.build(inputs, push=False)
    store = empty.invocation(inputs.project).store
    for node, text in TABLES.items():
        fingerprint, parents = inputs.fingerprint(node), inputs.graph.nodes[node].parents
        layout = store.part(fingerprint)
        assert layout is not None
        built = Built(
            name=node,
            parents=tuple(map(inputs.fingerprint, parents)),
            index=Index(entries={}, contents={"etc/passwd": text.encode()}),
            config={},
            machine={},
            layers=(),
            diff_ids=(),
            digest=layout.manifest.digest,
            below=(),
        )
        store.write_index(fingerprint, render_built(built))
    shelf = Shelf(sources={}, registry=empty.connect(), names=empty.names, store=store, write=False)
    made = Census(shelf=shelf).made(inputs.graph)
    assert {layer: sorted(names) for layer, names in made.items()} == {"lab": ["messagebus"], "scipy": ["sshd"]}


def test_what_stands_on_something_unknown_is_left_out(site: Site) -> None:
    assert counted(site, {"debian": BASE, "scipy": TABLES["scipy"]}) == {}


def test_nothing_is_known_of_what_was_never_built(empty: Site) -> None:
    assert counted(empty, {}) == {}


def test_a_name_that_is_none_never_gets_into_a_lock() -> None:
    """An image's tables hold whatever its builder wrote, and the ledger's names are keys of YAML."""
    names = ["my svc", "#x", "[x", "a: b", "'x", "- a", "&a", "*x", "DOM\\user", "-x", "", "\x01", "1st", "$"]
    good = ["_ssh", "Debian-exim", "s.d", "host$"]
    table = "".join(f"{name}:x:500:\n" for name in [*names, *good])
    assert list(accounts(table.encode())) == good
    lock = Lock(ids={name: Account(id=FIRST + number) for number, name in enumerate(good)})
    assert load_lock(render_lock(lock)) == lock


def test_only_dynamic_ids_are_of_interest() -> None:
    table = b"root:x:0:\nstatic:x:99:\nfirst:x:100:\nlast:x:999:\nperson:x:1000:\n\n+::::\nbroken\n"
    assert list(accounts(table)) == ["first", "last"]
