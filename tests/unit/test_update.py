from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pytest
from hubstack.errors import HubstackError, ProjectError, RegistryUnreachable, UsageError
from hubstack.lock import Demand, Lock, Upstream, load_lock, pins_for, render_lock
from hubstack.lock.change import changes, changes_json, changes_table, holders
from hubstack.lock.update import Outside, Updated, epoch, update
from hubstack.model import Refresh
from hubstack.reference import Digest, ImageRef
from hubstack.source import Position

from tests.fakes.uv import HOST, FakeUv, Release, file_hash
from tests.handmade import Chain, handmade_graph, handmade_inputs, handmade_layer, handmade_project

OLD, NEW = (Digest(f"sha256:{digit * 64}") for digit in "ab")
PROJECT = handmade_project(
    handmade_layer("base-debian", default={"release": "3.13"}),
    handmade_layer("jupyterlab", default={"jupyterlab": "4.4"}),
    handmade_layer("scipy", requires=("jupyterlab",), refresh=Refresh.WEEKLY),
    handmade_layer("geo", requires=("scipy",), refresh=Refresh.MONTHLY),
)
CHAIN = ("base-debian", "jupyterlab", "scipy", "geo")
TEXTS = {"jupyterlab": "jupyterlab=={jupyterlab}.*", "scipy": "numpy\npandas", "geo": "numpy[io]\ngdal<4"}


def index() -> dict[str, dict[str, Release]]:
    return {
        "jupyterlab": {"4.4.1": Release(needs=("click<9",)), "4.5.0": Release(needs=("click",))},
        "click": {"8.1": Release(), "9.0": Release()},
        "numpy": {"2.1": Release(extras={"io": ("fsspec",)}), "1.26": Release(extras={"io": ("fsspec",)})},
        "pandas": {"3.0": Release(needs=("numpy>=1.20", "tzdata; sys_platform == 'win32'"))},
        "tzdata": {"2026.1": Release()},
        "fsspec": {"2026.9": Release()},
        "gdal": {"3.6": Release(), "4.0": Release()},
    }


@dataclass
class World:
    """A tree, an index and image registries, of which a test changes what it is about."""

    uv: FakeUv = field(default_factory=lambda: FakeUv(index=index()))
    texts: dict[str, str] = field(default_factory=lambda: dict(TEXTS))
    chains: Sequence[tuple[Chain, Mapping[str, str]]] = ((CHAIN, {}),)
    upstream: tuple[Upstream, ...] = ()
    images: dict[str, Digest] = field(default_factory=dict)
    today: date = date(2026, 11, 21)
    said: list[str] = field(default_factory=list)

    @property
    def demand(self) -> Demand:
        graph = handmade_graph(PROJECT, self.chains)
        inputs = handmade_inputs(graph, self.texts, "{release}")
        return Demand(project=PROJECT, graph=graph, inputs=inputs, upstream=self.upstream)

    @property
    def outside(self) -> Outside:
        return Outside(
            today=self.today,
            run=self.uv,
            resolve_image=self.resolve_image,
            env={"SSL_CERT_FILE": "/ca.pem"},
            say=self.said.append,
        )

    def update(self, lock: Lock | None = None, *only: str) -> Updated:
        return update(self.demand, lock or Lock(), self.outside, only)

    def resolve_image(self, ref: ImageRef) -> Digest | None:
        if ref.host == "gone.test":
            raise RegistryUnreachable(f"{ref.host} does not answer")
        return self.images.get(str(ref))


def versions(lock: Lock, scope: str = "3.13") -> str:
    return " ".join(f"{one.name}={one.version}" for one in lock.python[scope].packages.values())


# --- Python packages ---------------------------------------------------------------------------------------------------


def test_an_update_pins_all_that_the_tree_needs_and_then_nothing_is_missing() -> None:
    world = World()
    lock = world.update().lock
    assert versions(lock) == "click=8.1 fsspec=2026.9 gdal=3.6 jupyterlab=4.4.1 numpy=2.1 pandas=3.0"
    demand = world.demand
    cut = pins_for(PROJECT, demand.graph, load_lock(render_lock(lock)), demand.inputs)
    assert cut.problems == ()
    assert {demand.graph.nodes[node].layer: [pin.name for pin in pins] for node, pins in cut.pins.items()} == {
        "jupyterlab": ["click", "jupyterlab"],
        "scipy": ["numpy", "pandas"],
        "geo": ["fsspec", "gdal"],  # fsspec by an extra that only this layer asks for; tzdata is for another system
    }


def test_no_host_of_an_index_gets_into_the_lock() -> None:
    text = render_lock(World().update().lock)
    assert HOST not in text
    assert "://" not in text


def test_one_resolution_for_each_python_and_value_that_requirements_read() -> None:
    chains = [
        (CHAIN, {"release": release, "jupyterlab": lab}) for release in ("3.11", "3.13") for lab in ("4.4", "4.5")
    ]
    world = World(chains=chains)
    scopes = list(world.update().lock.python)
    assert scopes == ["3.11", "3.11 jupyterlab=4.5", "3.13", "3.13 jupyterlab=4.5"]
    assert world.said == [f"resolving Python {scope}" for scope in scopes]


def test_a_value_that_requirements_do_not_read_makes_no_resolution() -> None:
    world = World(chains=[(CHAIN, {}), (CHAIN, {"jupyterlab": "4.5"})], texts={"scipy": "numpy"})
    assert list(world.update().lock.python) == ["3.13"]


def test_resolutions_that_differ_by_a_value_differ_as_little_as_they_can() -> None:
    """JupyterLab 4.5 would take click 9, but has no need to."""
    lock = World(chains=[(CHAIN, {}), (CHAIN, {"jupyterlab": "4.5"})]).update().lock
    assert "click=8.1" in versions(lock)
    assert "click=8.1 " in versions(lock, "3.13 jupyterlab=4.5")
    assert "jupyterlab=4.5.0" in versions(lock, "3.13 jupyterlab=4.5")


def test_a_whole_update_moves_everything_and_a_limited_one_what_it_names() -> None:
    world = World()
    old = world.update().lock
    world.uv.index["numpy"]["2.2"] = world.uv.index["pandas"]["3.1"] = Release()
    assert "numpy=2.2 pandas=3.1" in versions(world.update(old).lock)
    assert "numpy=2.2 pandas=3.1" in versions(world.update(old, "python").lock)
    assert "numpy=2.1 pandas=3.1" in versions(world.update(old, "Pandas").lock)
    assert "numpy=2.2 pandas=3.1" in versions(world.update(old, "layer:scipy").lock)
    assert "numpy=2.1 pandas=3.0" in versions(world.update(old, "layer:geo").lock)  # numpy is scipy's to bring
    assert "numpy=2.1 pandas=3.0" in versions(world.update(old, "images", "epochs").lock)


def test_a_limited_update_adds_what_is_new_in_the_tree_and_drops_what_is_gone() -> None:
    world = World()
    old = world.update().lock
    world.uv.index["numpy"]["2.2"] = Release()
    world.texts |= {"jupyterlab": "jupyterlab=={jupyterlab}.*\nclick", "geo": "fsspec"}
    new = world.update(old, "pandas").lock
    assert versions(new) == "click=8.1 fsspec=2026.9 jupyterlab=4.4.1 numpy=2.1 pandas=3.0"
    assert list(new.python["3.13"].requirements) == ["geo", "jupyterlab", "scipy"]
    world.chains = [(CHAIN, {"release": "3.11"})]
    assert list(world.update(old, "pandas").lock.python) == ["3.11"]


def test_a_new_line_is_resolved_also_where_nothing_that_moves_is() -> None:
    world = World(texts={"scipy": "numpy"})
    old = world.update().lock
    world.texts["geo"] = "fsspec"
    assert versions(world.update(old, "fsspec").lock) == "fsspec=2026.9 numpy=2.1"


def test_uv_is_asked_only_about_what_may_move() -> None:
    world = World(chains=[(CHAIN, {}), (CHAIN[:2], {"release": "3.11"})])
    old = world.update().lock
    world.uv.calls.clear()
    for only, asked in ((["images"], 0), (["epochs"], 0), (["layer:jupyterlab"], 2), (["pandas"], 1), (["python"], 2)):
        world.uv.calls.clear()
        world.update(old, *only)
        assert (only, len(world.uv.calls)) == (only, asked)


def test_an_edited_lock_is_mended() -> None:
    world = World()
    text = render_lock(world.update().lock)
    edited = load_lock(text.replace("numpy 2.1:", "numpy 1.26:"), edited=True)
    assert render_lock(world.update(edited).lock) == text


def test_files_that_cannot_be_installed_are_left_out() -> None:
    """Other Pythons' and machines' wheels; and the source, unless no wheel is sure to fit."""
    world = World(texts={"scipy": "numpy\nclick\ngdal\npandas"})
    fit, newer = "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp313-cp313-manylinux_2_34_x86_64"
    other = ("cp311-cp311-manylinux_2_17_x86_64", "cp313-cp313-manylinux_2_17_aarch64", "cp313-cp313-win_amd64")
    world.uv.index |= {
        "numpy": {"2.1": Release(wheels=(fit, newer, *other, "cp313-cp313-musllinux_1_2_x86_64"))},
        "click": {"9.0": Release(wheels=("cp39-abi3-manylinux1_x86_64",))},
        "gdal": {"3.6": Release(wheels=(newer, *other))},
        "pandas": {"3.0": Release(wheels=())},
    }
    found = world.update().lock.python["3.13"].packages
    files = {
        "numpy": [f"numpy-2.1-{fit}.whl", f"numpy-2.1-{newer}.whl"],
        "click": ["click-9.0-cp39-abi3-manylinux1_x86_64.whl"],
        "gdal": [f"gdal-3.6-{newer}.whl", "gdal-3.6.tar.gz"],
        "pandas": ["pandas-3.0.tar.gz"],
    }
    assert {name: one.hashes for name, one in found.items()} == {
        name: tuple(sorted(map(file_hash, some))) for name, some in files.items()
    }


def test_a_package_without_a_file_that_fits_is_named() -> None:
    world = World(texts={"scipy": "numpy"})
    world.uv.index["numpy"] = {"2.1": Release(wheels=("cp313-cp313-win_amd64",), sdist=False)}
    with pytest.raises(HubstackError, match=r"^the package index has no file that fits for numpy 2.1 \(Python 3.13\)$"):
        world.update()


def test_uv_gets_the_environment_that_the_caller_decided() -> None:
    world = World()
    world.update()
    assert world.uv.calls == [{"SSL_CERT_FILE": "/ca.pem", "UV_NO_WRAP": "1"}]


CONFLICT = (
    'cannot be met for Python 3.13: layer "scipy" depends on numpy<2 and layer "geo" depends on numpy>=2. '
    "Loosen or change one of them, then run `hubstack update`."
)


def test_requirements_that_cannot_be_met_together_are_named_where_they_stand() -> None:
    world = World(texts={**TEXTS, "scipy": "# arrays\npandas\nnumpy<2", "geo": "numpy>=2\ngdal"})
    with pytest.raises(ProjectError) as caught:
        world.update()
    assert str(caught.value).splitlines() == [
        f'layers/geo/requirements.txt:1:1: "numpy>=2" {CONFLICT}',
        f'layers/scipy/requirements.txt:3:1: "numpy<2" {CONFLICT}',
    ]


def test_conflicts_of_all_resolutions_are_told_together() -> None:
    world = World(chains=[(CHAIN, {}), (CHAIN, {"release": "3.11"})], texts={"scipy": "nunpy", "geo": "gdal"})
    with pytest.raises(ProjectError) as caught:
        world.update()
    reason = 'nunpy was not found in the package registry and layer "scipy" depends on nunpy'
    assert str(caught.value).splitlines() == [
        f'layers/scipy/requirements.txt:1:1: "nunpy" cannot be met for Python {python}: {reason}. '
        "Loosen or change one of them, then run `hubstack update`."
        for python in ("3.11", "3.13")
    ]


def test_lines_that_no_lock_can_hold_are_all_refused_before_an_index_is_asked() -> None:
    world = World(texts={"scipy": "numpy=>2\n--pre\ngood", "geo": "x @ git+https://y/z"})
    with pytest.raises(ProjectError) as caught:
        world.update()
    found = [str(problem).partition(". ")[0] for problem in caught.value.problems]
    assert found == [
        'layers/geo/requirements.txt:1:1: "x @ git+https://y/z" names an address, and the lock holds versions and hashes only',
        'layers/scipy/requirements.txt:1:1: "numpy=>2" is not a requirement',
        'layers/scipy/requirements.txt:2:1: "--pre" is an option of pip',
    ]
    assert world.uv.calls == []


def test_an_index_that_cannot_be_asked_is_no_fault_of_the_project() -> None:
    world = World()
    world.uv.reachable = False
    with pytest.raises(HubstackError) as caught:
        world.update()
    assert "invalid peer certificate" in caught.value.message
    assert "--ca-bundle" in caught.value.hint
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nunpy", 'there is no package in the lock "nunpy" (did you mean "numpy"?)'),
        ("layer:scipi", 'there is no layer "scipi" (did you mean "scipy"?)'),
    ],
)
def test_what_only_names_must_be_there(word: str, message: str) -> None:
    world = World()
    with pytest.raises(UsageError) as caught:
        world.update(None, word)
    assert caught.value.message == message
    assert world.uv.calls == []


def test_a_package_that_a_line_newly_asks_for_may_be_named() -> None:
    assert "gdal" in versions(World().update(Lock(), "gdal").lock)


# --- images and epochs -------------------------------------------------------------------------------------------------


def upstream(*references: str) -> tuple[Upstream, ...]:
    at = Position(path="base/debian/layer.yaml", line=2, column=8)
    return tuple(Upstream(reference=one, layer="base-debian", position=at) for one in references)


def test_upstream_images_are_pinned_under_the_name_that_the_tree_writes() -> None:
    world = World(upstream=upstream("debian:trixie", f"debian@{OLD}"), images={"docker.io/library/debian:trixie": NEW})
    old = Lock(images={"debian:trixie": OLD, "no-longer-named": OLD})
    assert world.update(old).lock.images == {"debian:trixie": NEW}
    assert world.update(old, "layer:base-debian").lock.images == {"debian:trixie": NEW}
    assert world.update(old, "python").lock.images == old.images


def test_an_image_that_cannot_be_asked_for_keeps_its_digest_and_is_warned_of() -> None:
    world = World(upstream=upstream("gone.test/a:1", "here.test/b:1"))
    done = world.update(Lock(images={"gone.test/a:1": OLD}))
    assert done.lock.images == {"gone.test/a:1": OLD}
    where = "base/debian/layer.yaml:2:8: warning:"
    assert [str(one) for one in done.warnings] == [
        f"{where} gone.test/a:1 could not be asked for, so its digest stays {OLD[:19]}: gone.test does not answer.",
        f"{where} here.test/b:1 could not be asked for, so it has no digest: its registry has no such image.",
    ]


def test_asked_for_images_alone_it_fails_where_one_cannot_be_pinned() -> None:
    world = World(upstream=upstream("gone.test/a:1"))
    with pytest.raises(HubstackError, match=r"^base/debian/layer.yaml:2:8: gone.test/a:1 could not be asked for"):
        world.update(None, "images")


@pytest.mark.parametrize(
    ("refresh", "today", "first"),
    [
        (Refresh.WEEKLY, date(2026, 11, 16), "2026-11-16"),
        (Refresh.WEEKLY, date(2026, 11, 22), "2026-11-16"),
        (Refresh.WEEKLY, date(2027, 1, 1), "2026-12-28"),
        (Refresh.MONTHLY, date(2026, 11, 30), "2026-11-01"),
    ],
)
def test_an_epoch_is_the_first_day_of_its_week_or_month(refresh: Refresh, today: date, first: str) -> None:
    assert epoch(refresh, today) == first


def test_epochs_move_when_they_may_and_when_they_are_due() -> None:
    world = World()
    first = world.update().lock
    assert first.epochs == {"geo": "2026-11-01", "scipy": "2026-11-16"}
    world.today = date(2026, 11, 24)
    assert world.update(first, "python").lock.epochs == first.epochs
    assert world.update(first, "layer:geo").lock.epochs == first.epochs
    assert world.update(first, "layer:scipy").lock.epochs == {"geo": "2026-11-01", "scipy": "2026-11-23"}
    world.today = date(2026, 12, 1)
    assert world.update(first, "epochs").lock.epochs == {"geo": "2026-12-01", "scipy": "2026-11-30"}
    stale = Lock(epochs={"geo": "x", "gone": "y"})
    assert world.update(stale).lock.epochs == {"geo": "2026-12-01", "scipy": "2026-11-30"}


def test_the_same_day_and_index_give_the_same_bytes() -> None:
    world = World(chains=[(CHAIN, {}), (CHAIN, {"jupyterlab": "4.5"})])
    first = world.update().lock
    assert render_lock(world.update(first).lock) == render_lock(first)
    assert render_lock(World(chains=list(reversed(world.chains))).update().lock) == render_lock(first)


# --- what changed ------------------------------------------------------------------------------------------------------

TABLE = """\
PACKAGE  OLD  NEW          LAYERS      PYTHON
click    8.1  -            -           3.13 jupyterlab=4.5
numpy    2.1  2.2          scipy       3.13, 3.13 jupyterlab=4.5
pandas   3.0  other files  scipy       3.13, 3.13 jupyterlab=4.5
polars   -    1.9          geo, scipy  3.13, 3.13 jupyterlab=4.5

IMAGE          OLD                  NEW
debian:trixie  sha256:aaaaaaaaaaaa  sha256:bbbbbbbbbbbb

LAYER  OLD EPOCH   NEW EPOCH
geo    2026-11-01  2026-12-01
scipy  2026-11-16  2026-11-30
"""


def two_updates() -> tuple[Lock, Updated, World]:
    world = World(
        chains=[(CHAIN, {}), (CHAIN, {"jupyterlab": "4.5"})],
        upstream=upstream("debian:trixie"),
        images={"docker.io/library/debian:trixie": OLD},
    )
    old = world.update().lock
    world.uv.index["numpy"]["2.2"] = Release(extras={"io": ("fsspec",)})
    world.uv.index["polars"] = {"1.9": Release()}
    world.uv.index["pandas"]["3.0"] = Release(needs=("numpy", "polars"), wheels=("cp313-none-any",))
    world.uv.index["jupyterlab"]["4.5.0"] = Release()
    world.images["docker.io/library/debian:trixie"] = NEW
    world.today = date(2026, 12, 1)
    return old, world.update(old), world


def test_changes_are_a_table_for_people() -> None:
    old, done, world = two_updates()
    demand = world.demand
    held = holders(demand.graph, pins_for(PROJECT, demand.graph, done.lock, demand.inputs))
    held = {**held, ("3.13", "polars"): ("scipy", "geo")}
    assert changes_table(changes(old, done.lock, held)) == TABLE.rstrip()
    assert changes_table(changes(old, old)) == ""


def test_changes_are_data_for_programs() -> None:
    old, done, _ = two_updates()
    document = changes_json(changes(old, done.lock))
    assert document["format"] == 1
    rows = document["changes"]
    assert isinstance(rows, list)
    assert rows[1] == {
        "kind": "python",
        "name": "numpy",
        "old": "2.1",
        "new": "2.2",
        "layers": (),
        "scopes": ("3.13", "3.13 jupyterlab=4.5"),
    }
