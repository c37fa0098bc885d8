from __future__ import annotations

import difflib
import hashlib
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.errors import ProjectError, Severity
from hubstack.lock import Lock, Upstream, load_lock, missing, pins_for, read_lock, render_lock
from hubstack.lock.resolution import Package, PythonInput, Resolution, Scope, scopes
from hubstack.model import Refresh, Value
from hubstack.reference import Digest
from hubstack.source import Position
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handmade import Chain, handmade_graph, handmade_inputs, handmade_layer, handmade_project

DIGEST = Digest("sha256:" + "0" * 64)


def packages(**needs: str) -> dict[str, Package]:
    """``numpy="2.1: dep dep[extra]"``; ``dask__array="…"`` adds an extra. Hashes are made up."""
    found: dict[str, Package] = {}
    for key, text in needs.items():
        name, _, extra = key.partition("__")
        version, _, some = text.partition(":")
        if extra:
            found[name] = replace(found[name], extras={**found[name].extras, extra: tuple(some.split())})
        else:
            found[name] = Package(name=name, version=version, needs=tuple(some.split()), hashes=(f"{len(found):064x}",))
    return found


def resolution(text: str, **needs: str) -> Resolution:
    """``text``: a layer and its lines, separated by blanks; a layer a line."""
    lines = dict(line.split(maxsplit=1) for line in text.strip().splitlines())
    return Resolution(
        requirements={layer: tuple(some.split()) for layer, some in lines.items()}, packages=packages(**needs)
    )


LOCK = Lock(
    images={"quay.io/jupyter/base-notebook:latest": DIGEST, "debian": DIGEST},
    epochs={"r": "2026-11-01", "on": "2026-11-16"},
    python={
        "3.13": resolution(
            "scipy numpy>=2;python_version>'3' dask[array]",
            numpy="2.1:",
            dask="2026.8.0: click",
            dask__array="x: numpy",
            click="1!8.5+local:",
        ),
        '3.13 name="a b"': resolution("no six", six="1.17:"),
    },
)


# --- the file ----------------------------------------------------------------------------------------------------------


def test_what_is_written_is_what_is_read() -> None:
    assert load_lock(render_lock(LOCK)) == LOCK
    assert load_lock(render_lock(Lock())) == Lock()


def test_equal_locks_are_equal_bytes_whatever_their_order() -> None:
    shuffled = replace(
        LOCK,
        images=dict(reversed([*LOCK.images.items()])),
        python={
            scope: replace(found, packages=dict(reversed([*found.packages.items()])))
            for scope, found in reversed([*LOCK.python.items()])
        },
    )
    assert render_lock(shuffled) == render_lock(LOCK)


def test_a_new_version_is_a_diff_of_three_lines() -> None:
    found = LOCK.python["3.13"]
    newer = replace(found.packages["numpy"], version="2.2", hashes=("f" * 64, "e" * 64))
    bumped = replace(LOCK, python={**LOCK.python, "3.13": replace(found, packages={**found.packages, "numpy": newer})})
    diff = difflib.unified_diff(render_lock(LOCK).splitlines(), render_lock(bumped).splitlines(), n=0)
    added = [line for line in diff if line.startswith("+") and not line.startswith("+++")]
    assert [line.split()[0] for line in added] == ["+checksum:", "+", "+"]
    assert added[1:] == ["+      numpy 2.2:", f"+    numpy: {'f' * 64} {'e' * 64}"]


def test_line_ends_of_windows_are_no_edit() -> None:
    assert load_lock(render_lock(LOCK).replace("\n", "\r\n")) == LOCK


def message(text: str) -> str:
    with pytest.raises(ProjectError) as caught:
        load_lock(text)
    return str(caught.value)


def test_an_edited_lock_is_refused_and_an_update_may_still_read_it() -> None:
    edited = render_lock(LOCK).replace("numpy 2.1", "numpy 2.0")
    assert message(edited) == (
        "hubstack.lock:3:1: its checksum is not that of its text: it was edited, or merged line by line. "
        "Run `hubstack update`."
    )
    assert load_lock(edited, edited=True).python["3.13"].packages["numpy"].version == "2.0"


def test_marks_of_a_merge_conflict_are_named() -> None:
    lines = render_lock(LOCK).splitlines()
    lines[3:3] = ["<<<<<<< HEAD", "=======", ">>>>>>> branch"]
    assert message("\n".join(lines)) == (
        "hubstack.lock:4:1: git left the marks of a merge conflict. "
        "Take either side whole (`git checkout --ours hubstack.lock`), then run `hubstack update`."
    )


def test_a_newer_format_is_refused_before_anything_else_is_read() -> None:
    assert message("# Written by a newer one\nformat: 3\nseal: x\n") == (
        "hubstack.lock:2:1: a newer hubstack wrote this lock (format 3; this one reads 2). Upgrade hubstack."
    )


@pytest.mark.parametrize("text", ["", "images: {}\n", "format: 1\n", "{"])
def test_what_is_no_lock_is_refused(text: str) -> None:
    assert message(text) == (
        "hubstack.lock:1:1: this is no lock that hubstack wrote. "
        "Restore it from git, or delete it. Run `hubstack update`."
    )


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("epochs:\n", "epochs: [\n", 11),
        ("    packages:\n", "", 1),
        ("\nsha256:\n", "\nhashes:\n", 1),
        (f'"debian": {DIGEST}', '"debian": latest', 1),
    ],
)
def test_an_edited_lock_that_makes_no_sense_is_refused_by_an_update_too(old: str, new: str, line: int) -> None:
    text = render_lock(LOCK)
    assert old in text
    with pytest.raises(ProjectError, match=rf"^hubstack.lock:{line}:1: this is no lock that hubstack wrote"):
        load_lock(text.replace(old, new), edited=True)


@pytest.mark.parametrize(("old", "new", "line"), [(b"epochs:\n", b"epochs:\x01\n", 1), (b"epochs:\n", b"\xff\n", 9)])
@pytest.mark.parametrize("edited", [True, False])
def test_bytes_that_are_no_text_are_no_lock(tmp_path: Path, old: bytes, new: bytes, line: int, *, edited: bool) -> None:
    file = tmp_path / "hubstack.lock"
    file.write_bytes(_sealed(render_lock(LOCK).encode().replace(old, new)))
    with pytest.raises(ProjectError, match=rf"^hubstack.lock:{line}:1: this is no lock that hubstack wrote"):
        read_lock(file, edited=edited)


def _sealed(lock: bytes) -> bytes:
    """With the checksum of its text."""
    head, _, body = lock.partition(b"\nchecksum: ")
    body = body[65:]
    return b"\n".join((head, b"checksum: " + hashlib.sha256(body).hexdigest().encode(), body))


def test_a_lock_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "hubstack.lock") == Lock()


# --- slices ------------------------------------------------------------------------------------------------------------

PROJECT = handmade_project(
    handmade_layer("base"),
    handmade_layer("python", provides=("interpreter",)),
    handmade_layer("jupyterlab", requires=("interpreter",), default={"jupyterlab": "4.4"}),
    handmade_layer("scipy", requires=("jupyterlab",)),
    handmade_layer("dask", requires=("scipy",)),
    handmade_layer("sql"),
)
RESOLUTION = resolution(
    """
    python    pip
    jupyterlab jupyterlab
    scipy     numpy dask
    dask      dask[array]
    sql       duckdb click
    """,
    pip="26.3:",
    jupyterlab="4.4: click pip",
    click="8.5:",
    numpy="2.1:",
    dask="2026.8.0: click yaml",
    dask__array="x: numpy chest",
    chest="1.0: yaml",
    yaml="6.0:",
    duckdb="2.0: numpy",
)
TEXTS = {
    "python": "pip",
    "jupyterlab": "jupyterlab",
    "scipy": "# arrays\nnumpy\n\ndask  # plain",
    "dask": "dask[array]",
    "sql": "duckdb\nclick",
}
OPTION = (
    'layers/sql/requirements.txt:2:1: "-r more.txt" is an option of pip. '
    "Write packages only; which index is asked is each machine's setting."
)
ADDRESS = (
    'layers/sql/requirements.txt:3:1: "foo @ https://x/y.whl" names an address, and the lock holds versions and '
    "hashes only. Name a version that an index has."
)
NO_PYTHON = (
    'layers/sql/requirements.txt:2:1: neither "sql" nor a layer below it says for which Python it is. '
    "Write `python:` in the layer.yaml that brings Python."
)
CHAIN = ("base", "python", "jupyterlab", "scipy", "dask", "sql")


def slices(
    lock: Lock,
    chains: Mapping[Chain, Mapping[str, Value]] | None = None,
    texts: Mapping[str, str] = TEXTS,
    changed: PythonInput | None = None,
) -> tuple[dict[str, str], list[str]]:
    """Node → its packages, of all but the base; and the problems."""
    graph = handmade_graph(PROJECT, list((chains or {CHAIN: {}}).items()))
    inputs = {**handmade_inputs(graph, texts), **({changed.node: changed} if changed else {})}
    cut = pins_for(PROJECT, graph, lock, inputs)
    shown = {node: " ".join(f"{pin.name}={pin.version}" for pin in pins) for node, pins in cut.pins.items()}
    return {node.rpartition("base>")[2]: text for node, text in shown.items()}, [str(one) for one in cut.problems]


def test_a_layer_installs_what_the_layers_that_it_requires_do_not_bring() -> None:
    cut, problems = slices(Lock(python={"3.13": RESOLUTION}))
    assert problems == []
    assert cut == {
        "python": "pip=26.3",
        "python>jupyterlab": "click=8.5 jupyterlab=4.4",
        "python>jupyterlab>scipy": "dask=2026.8.0 numpy=2.1 yaml=6.0",
        "python>jupyterlab>scipy>dask": "chest=1.0",
        "python>jupyterlab>scipy>dask>sql": "click=8.5 duckdb=2.0 numpy=2.1",  # it requires none of those below it
    }


def test_a_slice_does_not_depend_on_the_stack_that_the_layer_stands_in() -> None:
    cut, _ = slices(Lock(python={"3.13": RESOLUTION}), {("base", "sql"): {}, CHAIN: {}})
    assert cut["sql"] == cut["python>jupyterlab>scipy>dask>sql"]


def test_what_the_base_brings_is_there_for_all() -> None:
    cut, _ = slices(Lock(python={"3.13": RESOLUTION}), {("base", "sql"): {}}, {**TEXTS, "base": "click"})
    assert cut["sql"] == "duckdb=2.0 numpy=2.1"


def test_pins_carry_their_hashes_as_pip_writes_them() -> None:
    graph = handmade_graph(PROJECT, [(("base", "python"), {})])
    cut = pins_for(PROJECT, graph, Lock(python={"3.13": RESOLUTION}), handmade_inputs(graph, TEXTS))
    assert cut.pins["base>python"][0].hashes == (f"sha256:{0:064x}",)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("Num_Py ; python_version < '3.12'", ""),
        ("Num_Py>=2;python_full_version>='3.13' and platform_machine=='x86_64'", "num-py=2.1"),
        ("dask [ARRAY, nosuch] >= 2026", "chest=1.0 dask=1"),
        ("coffea", "chest=1.0 coffea=1 dask=1"),
        ("chest; implementation_version == '3.13.0' and platform_release == ''", "chest=1.0"),
    ],
)
def test_names_extras_and_markers_of_a_line(line: str, wanted: str) -> None:
    found = packages(dask="1:", dask__array="x: chest", chest="1.0:", coffea="1: dask[array]")
    found["num-py"] = Package(name="num-py", version="2.1", hashes=("0" * 64,))
    lock = Lock(python={"3.13": Resolution(requirements={"sql": (line,)}, packages=found)})
    assert slices(lock, {("base", "sql"): {}}, {"sql": line}) == ({"sql": wanted}, [])


def test_lines_that_the_lock_does_not_have_are_all_named() -> None:
    texts = {
        **TEXTS,
        "scipy": "# arrays\nnumpy\npandas\ndask\npolars>=1",
        "sql": "duckdb\n-r more.txt\nfoo @ https://x/y.whl",
    }
    cut, problems = slices(Lock(python={"3.13": RESOLUTION}), {CHAIN: {}, (*CHAIN[:4], "sql"): {}}, texts)
    assert cut["python>jupyterlab>scipy"] == ""
    assert problems == [
        'layers/scipy/requirements.txt:3:1: "pandas" is not in hubstack.lock. Run `hubstack update`.',
        'layers/scipy/requirements.txt:5:1: "polars>=1" is not in hubstack.lock. Run `hubstack update`.',
        OPTION,
        ADDRESS,
    ]


def test_a_line_that_went_away_or_moved_to_another_layer_needs_no_update() -> None:
    cut, problems = slices(
        Lock(python={"3.13": RESOLUTION}), texts={**TEXTS, "scipy": "numpy", "jupyterlab": "jupyterlab\ndask"}
    )
    assert (cut["python>jupyterlab>scipy"], problems) == ("numpy=2.1", [])


def test_a_python_that_nothing_was_resolved_for_is_one_problem_a_layer() -> None:
    _, problems = slices(Lock(), {("base", "sql"): {}})
    assert problems == [
        "layers/sql/requirements.txt:1:1: hubstack.lock has no packages for Python 3.13. Run `hubstack update`."
    ]


def test_requirements_above_no_python_are_a_problem() -> None:
    asked = PythonInput(node="base>sql", layer="sql", python="", platform="linux/amd64", lines=("", "duckdb"))
    _, problems = slices(Lock(), {("base", "sql"): {}}, {}, asked)
    assert problems == [NO_PYTHON]


def test_what_stands_below_follows_where_the_scope_changes() -> None:
    """Both JupyterLabs stand on the same python node, which was resolved without either."""
    newer = {
        **RESOLUTION.packages,
        **packages(jupyterlab="4.5: click pip", click="9.0:", pip="27.0:"),
    }
    lock = Lock(python={"3.13": RESOLUTION, "3.13 jupyterlab=4.5": replace(RESOLUTION, packages=newer)})
    texts = {**TEXTS, "jupyterlab": "jupyterlab=={jupyterlab}.*"}
    asked = {"jupyterlab": ("jupyterlab==4.4.*", "jupyterlab==4.5.*")}
    lock = replace(
        lock,
        python={k: replace(v, requirements={**v.requirements, **asked}) for k, v in lock.python.items()},
    )
    cut, problems = slices(lock, {CHAIN: {}, CHAIN[:4]: {"jupyterlab": "4.5"}}, texts)
    assert problems == []
    assert cut["python>jupyterlab"] == "click=8.5 jupyterlab=4.4"
    assert cut["python>jupyterlab=4.5"] == "click=9.0 jupyterlab=4.5 pip=27.0"
    assert cut["python>jupyterlab=4.5>scipy"] == "dask=2026.8.0 numpy=2.1 yaml=6.0"


def test_another_python_shares_nothing_with_the_one_below() -> None:
    lock = Lock(python={"3.13": RESOLUTION, "3.11": RESOLUTION})
    asked = PythonInput(
        node="base>python>jupyterlab>scipy", layer="scipy", python="3.11", platform="linux/amd64", lines=("dask",)
    )
    cut, _ = slices(lock, {CHAIN[:4]: {}}, changed=asked)
    assert cut["python>jupyterlab>scipy"] == "click=8.5 dask=2026.8.0 yaml=6.0"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), moved=st.booleans())
def test_the_slices_of_an_image_are_one_whole_resolution(seed: int, moved: bool) -> None:  # noqa: FBT001 - hypothesis fills it
    """Installed one after the other, they leave exactly what the topmost scope says of its lines and those below."""
    dice = random.Random(seed)
    names = [f"p{index}" for index in range(12)]

    def resolved() -> dict[str, Package]:
        return {
            name: Package(
                name=name,
                version=str(dice.randrange(3)),
                needs=tuple(dice.sample(names[index + 1 :], min(2, len(names) - index - 1))),
                hashes=("0" * 64,),
            )
            for index, name in enumerate(names)
        }

    texts = {layer: "\n".join(dice.sample(names, 2)) for layer in CHAIN[1:]}
    texts[dice.choice(CHAIN[2:])] += "\n# {jupyterlab}" if moved else ""
    everything = {"all": tuple(names)}
    lock = Lock(
        python={
            scope: Resolution(requirements=everything, packages=resolved()) for scope in ("3.13", "3.13 jupyterlab=4.5")
        }
    )
    graph = handmade_graph(PROJECT, [(CHAIN, {"jupyterlab": "4.5"})])
    cut = pins_for(PROJECT, graph, lock, handmade_inputs(graph, texts))
    installed = {pin.name: pin.version for node in graph.nodes if node in cut.pins for pin in cut.pins[node]}
    whole = lock.python[str(cut.scopes[[*graph.nodes][-1]])].packages
    needed = {line for text in texts.values() for line in text.splitlines() if line.startswith("p")}
    for name in names:  # a package needs only later ones
        needed.update(whole[name].needs if name in needed else ())
    assert {name: installed.get(name) for name in needed} == {name: whole[name].version for name in needed}
    assert moved or set(installed) == needed  # where the scope changes, what only the lower one needed stays behind


def test_a_scope_says_what_is_special() -> None:
    project = handmade_project(handmade_layer("base", default={"a": "1", "b": "2", "c": "3"}), handmade_layer("low"))
    graph = handmade_graph(project, [(("base", "low"), {"a": "x y", "b": "2", "c": "4"})])
    found = scopes(project, graph, handmade_inputs(graph, {"low": "{a} {b}"}))
    assert [str(scope) for scope in found.values()] == ['3.13 a="x y"']
    assert str(Scope(python="3.13", platform="linux/arm64", values=(("c", "4"),))) == "3.13 linux/arm64 c=4"


# --- images and epochs -------------------------------------------------------------------------------------------------


def test_images_and_epochs_that_are_missing_are_named_and_drafts_only_warned_of() -> None:
    project = handmade_project(
        handmade_layer("base", image="debian:{{ release }}"),
        handmade_layer("r", refresh=Refresh.MONTHLY),
        handmade_layer("julia", refresh=Refresh.WEEKLY, draft="no package"),
        handmade_layer("still"),
    )
    at = Position(path="base/base/layer.yaml", line=2, column=8)
    upstream = [
        Upstream(reference=reference, layer="base", position=at)
        for reference in ("debian:trixie", "debian:bookworm", f"debian@{DIGEST}")
    ]
    found = missing(project, Lock(images={"debian:bookworm": DIGEST}), upstream)
    assert [(str(one), one.severity) for one in found] == [
        (
            "base/base/layer.yaml:2:8: debian:trixie has no digest in hubstack.lock. Run `hubstack update`.",
            Severity.ERROR,
        ),
        ('layers/r/layer.yaml:1:1: "r" has no epoch in hubstack.lock. Run `hubstack update`.', Severity.ERROR),
        (
            'layers/julia/layer.yaml:1:1: warning: "julia" has no epoch in hubstack.lock. Run `hubstack update`.',
            Severity.WARNING,
        ),
    ]
    whole = Lock(images={"debian:bookworm": DIGEST, "debian:trixie": DIGEST}, epochs={"r": "x", "julia": "y"})
    assert missing(project, whole, upstream) == ()
