"""``hubstack where``: which images have a package, from the records in a registry."""

from __future__ import annotations

import pytest

from tests.catalogue.market import MINIMAL, SCIPY, Market


def rows(out: str) -> list[list[str]]:
    """The table's cells, without its head."""
    head, *lines = out.splitlines()
    starts = [head.index(word) for word in ("IMAGE", "PACKAGE", "VERSION", "LAYER", "HUBS")]
    return [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines]


def test_images_versions_layers_and_hubs(published: Market) -> None:
    done = published.type("where", "numpy")
    assert done.code == 0
    assert rows(done.out) == [
        ["scipy/default", "numpy (Python)", "2.3.5", "scipy", "demo (python)"],
        ["tools/default", "numpy (Python)", "2.3.5", "scipy", "none"],
    ]


def test_a_package_that_another_one_needs_comes_with_the_layer_whose_slice_has_it(published: Market) -> None:
    (first, _) = published.type("where", "Python_DateUtil", "--json").json["found"]
    assert (first["package"], first["layers"], first["asked"]) == ("python-dateutil", ["scipy"], False)


def test_a_layer_that_lists_it_brings_it(published: Market) -> None:
    (hit,) = published.type("where", "deb:git", "--json").json["found"]
    assert (hit["layers"], hit["asked"], hit["manager"]) == (["tools"], True, "debian")
    (hit,) = published.type("where", "@jupyterlab/builder", "--json").json["found"]
    assert (hit["layers"], hit["manager"]) == (["tools"], "npm")


def test_what_nobody_lists_came_between_two_images(published: Market) -> None:
    """Only images that people choose tell what is in them: below the lowest of those any layer may have brought it."""
    found = published.type("where", "bash", "--json").json["found"]
    assert [hit["layers"] for hit in found] == [["debian", "python"]] * 3
    (hit,) = published.type("where", "libcurl4", "--json").json["found"]
    assert hit["layers"] == ["tools"]


def test_an_r_package_of_debians_comes_with_the_layer_that_lists_that(published: Market) -> None:
    found = published.type("where", "r-ggplot2", "--json").json["found"]
    assert [(hit["package"], hit["manager"], hit["layers"]) for hit in found] == [("ggplot2", "r", ["tools"])]
    assert published.type("where", "r:GGPLOT2", "--json").json["found"] == found


@pytest.mark.parametrize(
    ("asked", "images"),
    [
        ("numpy>=2", ["scipy/default", "tools/default"]),
        ("numpy >= 2, < 3", ["scipy/default", "tools/default"]),
        ("numpy~=2.3", ["scipy/default", "tools/default"]),
        ("jupyterlab==4.5.*", ["minimal/default", "scipy/default", "tools/default"]),
        ("deb:git>=1:2.40", ["tools/default"]),
        ("git>=1:2.40", ["tools/default"]),
        ("deb:lib*", ["minimal/default", "scipy/default", "tools/default", "tools/default"]),
        ("r:base>4.4.3", ["tools/default"]),
        ("pypi:nbgitpuller", ["tools/default"]),
    ],
)
def test_what_people_ask(published: Market, asked: str, images: list[str]) -> None:
    assert [hit["image"] for hit in published.type("where", asked, "--json").json["found"]] == images


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ("numpi", 1, 'error: no image has "numpi" (did you mean "numpy"?)\n'),
        (
            "numpy<2",
            1,
            "error: no image has numpy<2\n  There is numpy 2.3.5 (Python) in scipy/default and tools/default.\n",
        ),
        (
            "deb:libcurl",
            1,
            "error: no image has \"libcurl\"\n  'deb:libcurl*' finds all whose names begin like that.\n",
        ),
        ("deb:libgdal*", 1, 'error: no image has "libgdal*"\n'),
        ("npm:numpy", 1, 'error: no image has "numpy"\n'),
        ("pyton:numpy", 2, 'error: there is no package manager "pyton" (did you mean "python"?)\n'),
        ("numpy>>2", 2, 'error: ">>2" is no version that one can look for\n'),
        ("", 2, 'error: "" is no package\n'),
    ],
)
def test_what_is_not_there(published: Market, asked: str, code: int, said: str) -> None:
    done = published.type("where", asked)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(said)


def test_nothing_published(market: Market) -> None:
    done = market.type("where", "numpy")
    assert done.code == 1
    assert done.err.startswith(f"error: nothing is published in {market.registry.host}/x")
    assert "`hubstack build --push`" in done.err


def test_an_image_without_a_list_of_packages(market: Market) -> None:
    market.publish("minimal", {})
    done = market.type("where", "numpy")
    assert done.code == 1
    assert done.err.endswith("What is in the images was not recorded when they were built.\n")


def test_an_image_that_is_older_than_the_tree_is_told_as_it_is(market: Market) -> None:
    """The layer has given pandas up since: who brought it is in the image's own record."""
    market.publish("minimal", MINIMAL)
    market.publish("scipy", SCIPY)
    market.write("layers/scipy/requirements.txt", "numpy>=2\n")
    (hit,) = market.type("where", "pandas", "--json").json["found"]
    assert (hit["layers"], hit["asked"]) == (["scipy"], False)


def test_every_channel_that_a_hub_follows_is_looked_behind(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    market.write("layers/python/apt.txt", "python3\n")
    market.write("profiles/demo.yaml", (market.folder / "profiles/demo.yaml").read_text() + "follow: next\n")
    market.publish("minimal", {"python": {"pip": "26.0"}}, channel="next")
    found = market.type("where", "pip", "--json").json["found"]
    assert [(hit["version"], hit["channels"], [hub["hub"] for hub in hit["hubs"]]) for hit in found] == [
        ("26.0", ["next"], ["demo", "demo"]),
        ("25.1", ["latest"], []),
    ]
    assert "minimal/default (next)" in market.type("where", "pip").out
