"""Which stack a repository stands on, and what its image is called."""

from __future__ import annotations

import pytest
from hubstack.graph import resolve
from hubstack.reference import ImageRef, Layout
from hubstack.repository.choice import Offer, choose
from hubstack.repository.condaspec import CondaSpec
from hubstack.repository.name import repository_image
from hubstack.repository.project import find_offers
from hubstack.repository.specification import CondaLine, Fault, Runtime, Specification

from tests.tree import tree

MINIMAL = Offer(name="minimal/default", image="m", python="3.13", provides=frozenset({"python"}))
OLD = Offer(name="scipy/bookworm", image="o", python="3.11", provides=frozenset({"python", "scipy"}))
NEW = Offer(name="scipy/trixie", image="n", python="3.13", provides=frozenset({"python", "scipy"}))
STATS = Offer(name="stats/default", image="s", python="3.13", provides=frozenset({"python", "r"}))
CONDA = Offer(name="conda/default", image="c", python="3.12", provides=frozenset({"python", "conda"}))
OFFERS = (MINIMAL, OLD, NEW, STATS, CONDA)


def runtime(name: str, version: str = "") -> Specification:
    return Specification(runtime=Runtime(name=name, version=version, where="runtime.txt:1"))


def conda(*names: str) -> Specification:
    lines = (CondaLine(text=name, where="", spec=CondaSpec(name=name)) for name in names)
    return Specification(conda=tuple(lines))


@pytest.mark.parametrize(
    ("wanted", "offer"),
    [
        (Specification(), MINIMAL),
        (Specification(stack="scipy/trixie"), NEW),
        (Specification(stack="scipy"), OLD),
        (Specification(stack="scipy", runtime=Runtime(name="python", version="3.13", where="")), NEW),
        (runtime("python", "3.11"), OLD),
        (runtime("python", "3"), MINIMAL),
        (runtime("r"), STATS),
        (Specification(install_r="install.R"), STATS),
        (conda("xarray"), CONDA),
        (conda("python", "pip"), MINIMAL),
    ],
)
def test_named_else_by_runtime_and_files_else_the_smallest(wanted: Specification, offer: Offer) -> None:
    assert choose(wanted, OFFERS) is offer


def test_the_default_is_taken_where_it_fits() -> None:
    assert choose(Specification(), OFFERS, "n") is NEW
    assert choose(runtime("python", "3.11"), OFFERS, "n") is OLD
    assert choose(Specification(), OFFERS, "another").image == "another"


def test_of_an_image_alone_nothing_is_known() -> None:
    wanted = Specification(stack="anything", runtime=Runtime(name="r", version="4", where=""))
    assert choose(wanted, (), "image").image == "image"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            Specification(folder="binder", stack="scipi"),
            "binder/stack:1: there is no stack 'scipi' (did you mean 'scipy'?)",
        ),
        (runtime("python", "3.9"), "no stack has Python 3.9. There are: minimal/default (Python 3.13), "),
        (
            Specification(folder="binder", stack="minimal", install_r="install.R"),
            "binder/stack:1: 'minimal' has not R.",
        ),
    ],
)
def test_what_can_not_be_given_is_refused(wanted: Specification, message: str) -> None:
    with pytest.raises(Fault) as caught:
        choose(wanted, OFFERS)
    assert str(caught.value).startswith(message)


def test_a_projects_stacks_the_smallest_first_and_no_drafts() -> None:
    project = tree(
        {
            "base/one": "",
            "layers/a": "provides: [r]",
            "layers/b": "requires: [a]",
            "layers/c": "draft: not yet",
            "stacks/large.yaml": "base: one\nlayers: [b]",
            "stacks/small.yaml": "base: one\nlayers: [a]",
            "stacks/none.yaml": "base: one\nlayers: [c]",
        }
    )
    offers = list(find_offers(project, resolve(project), "linux/amd64"))
    assert [one.name for one in offers] == ["small/default", "large/default"]
    assert offers[0].provides == {"one", "a", "r"}
    assert find_offers(project, resolve(project), "linux/arm64") == {}


def test_an_images_name_tells_repositories_commits_and_stacks_apart() -> None:
    prefix = ImageRef.parse("hub.example.org/x")

    def name(url: str, commit: str = "a" * 40, stack: str = "b" * 64, layout: Layout = Layout.NESTED) -> str:
        return str(repository_image(prefix, layout, url, commit, stack))

    one = name("https://github.com/Some_Body/The.Repo")
    assert one.startswith("hub.example.org/x/repository/some-body-the-repo-")
    assert one.endswith(f":{'a' * 12}-{'b' * 12}")
    assert name("https://github.com/some_body/the.repo.git/") == one  # GitHub's names know no case
    assert name("https://gitlab.com/Some_Body/The.Repo") != one
    assert name("https://github.com/Some_Body/The.Repo", commit="c" * 40) != one
    assert name("https://github.com/Some_Body/The.Repo", stack="c" * 64) != one
    assert name("https://x/" + "y" * 300, layout=Layout.SINGLE).startswith("hub.example.org/x:repository-y")
    for url in ("https://x/" + "y" * 300, "git@host:a/b", "/", "/tmp/データ"):
        assert str(ImageRef.parse(name(url, layout=Layout.SINGLE))) == name(url, layout=Layout.SINGLE)
