"""Which layer brings a package, by what is recorded of an image's lineage and what the layers list."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hubstack.catalogue.origin import Lists, Origins, lists
from hubstack.model import Bootstrap, Rendered, SourceFile
from hubstack.record import Fact, Record

from tests.catalogue.shelf import record

LAYERS = ("debian", "python", "lab", "science")


def lineage(
    pins: Mapping[str, Mapping[str, str]] = {}, packages: Mapping[str, Mapping[str, Mapping[str, str]]] = {}
) -> list[Record]:
    """By layer."""
    return [
        record(
            packages.get(layer, {}),
            node=f"{layer}-0a1b2c3d",
            facts=tuple(Fact(kind="pin", name=name, value=f"{v} 00") for name, v in pins.get(layer, {}).items()),
        )
        for layer in LAYERS
    ]


def asking(manager: str, **names: str) -> dict[str, Lists]:
    return {f"{layer}-0a1b2c3d": Lists(names={manager: frozenset(some.split())}) for layer, some in names.items()}


def test_the_lowest_slice_that_has_the_version() -> None:
    """A layer with another resolution brings the package anew: what is installed is its version."""
    some = lineage({"lab": {"NumPy": "2.3", "six": "1"}, "science": {"numpy": "2.4", "six": "1"}})
    origins = Origins.of(some, {})
    assert origins.find("python", "numpy", "2.4").layers == ("science",)
    assert origins.find("python", "NUMPY", "2.3").layers == ("lab",)
    assert origins.find("python", "six", "1").layers == ("lab",)
    assert origins.find("python", "numpy", "9").layers == ("lab",)  # upgraded by a postBuild, say


def test_a_slice_and_not_who_asks() -> None:
    origins = Origins.of(lineage({"lab": {"six": "1"}}), asking("python", science="six"))
    origin = origins.find("python", "six", "1")
    assert (origin.layers, origin.asked) == (("lab",), True)


def test_among_those_that_can_have_brought_it_the_one_that_lists_it() -> None:
    some = lineage(
        packages={"lab": {"debian": {"bash": "5"}}, "science": {"debian": {"bash": "5", "git": "2", "curl": "8"}}}
    )
    origins = Origins.of(some, asking("debian", python="bash", science="git bash", lab="git"))
    assert origins.find("debian", "bash", "5").layers == ("python",)
    assert origins.find("debian", "git", "2").layers == (
        "science",
    )  # the image of lab has none, whatever its layer lists
    assert origins.find("debian", "curl", "8").layers == ("science",)
    assert not origins.find("debian", "curl", "8").asked


def test_a_slice_of_the_lock_says_which_layer_brings_a_debian_package() -> None:
    some = [
        record({}, node="lab-0a1b2c3d", facts=(Fact(kind="deb", name="git", value="2"),)),
        record({"debian": {"git": "2"}}, node="science-0a1b2c3d"),
    ]
    assert Origins.of(some, {}).find("debian", "git", "2").layers == ("lab",)


def test_layers_beside_each_other_are_not_above_each_other() -> None:
    """`lab` has no bash, and stands below the merge; `science` beside it may have brought it."""
    some = [
        record({}, node="science-0a1b2c3d"),
        record({"debian": {"curl": "8"}}, node="lab-0a1b2c3d"),
        record(
            {"debian": {"curl": "8", "bash": "5"}}, node="m-0a1b2c3d", facts=(Fact(kind="merge", name="", value="1"),)
        ),
    ]
    assert Origins.of(some, asking("debian", science="bash")).find("debian", "bash", "5").layers == ("science",)


def test_what_was_there_already_is_brought_by_no_layer_above() -> None:
    some = lineage(packages={"python": {"debian": {"git": "2"}}, "science": {"debian": {"git": "2"}}})
    origin = Origins.of(some, asking("debian", science="git")).find("debian", "git", "2")
    assert (origin.layers, origin.asked) == (("debian", "python"), True)


def test_many_layers_are_said_in_short() -> None:
    some = lineage(packages={"science": {"debian": {"curl": "8"}}})
    assert Origins.of(some, {}).find("debian", "curl", "8").text == "one of debian … science"


def test_without_a_record_who_lists_it() -> None:
    origins = Origins.of(lineage(), asking("npm", lab="typescript"))
    assert origins.find("npm", "typescript", "5").layers == ("lab",)
    assert origins.find("npm", "other", "5").layers == ()


@pytest.mark.parametrize(
    ("dockerfile", "debian", "npm"),
    [
        ("RUN apt-get install -y --no-install-recommends \\\n    git \\\n    libgdal-dev=3.* \\\n    r-base-core/trixie\nRUN ls curl\n", "git libgdal-dev r-base-core", ""),
        ("RUN apt-get update && apt-get install git:amd64 && ls curl; ls vim\n", "git", ""),
        ("RUN npm install --global --prefix /usr/local \\\n @a/b@1.2.3 typescript@5.0.0\n", "", "@a/b typescript"),
        ("RUN echo apt-get; ls\n", "", ""),
    ],
)  # fmt: skip
def test_what_a_dockerfile_installs_by_name(dockerfile: str, debian: str, npm: str) -> None:
    found = lists(Rendered(dockerfile=dockerfile, origins=(), context=()), [])
    assert found.names["debian"] == set(debian.split())
    assert found.names["npm"] == set(npm.split())


def test_what_a_base_and_a_requirements_txt_ask_for() -> None:
    bootstrap = Bootstrap(suite="trixie", include=("locales", "tini"))
    found = lists(
        Rendered(dockerfile="", origins=(), context=(), bootstrap=bootstrap),
        ["Dask[array]>=2025.1 ; python_version > '3'", "jupyter_server-proxy", "??"],
    )
    assert found.names["debian"] == {"locales", "tini"}
    assert found.names["python"] == {"dask", "jupyter-server-proxy"}


def test_what_conda_and_r_install_by_name() -> None:
    files = {
        "environment.yml": "channels: [conda-forge]\ndependencies:\n  - python=3.13\n  - Xarray>=2025\n  - r-ggplot2\n",
        "install.R": 'install.packages(c("dplyr", \'data.table\'), repos = "x")\nlibrary("methods")\n',
    }
    context = tuple(SourceFile(path=path, content=text.encode()) for path, text in files.items())
    found = lists(Rendered(dockerfile="", origins=(), context=context), [])
    assert found.names["python"] >= {"python", "xarray"}
    assert found.names["r"] == {"ggplot2", "dplyr", "data.table"}
