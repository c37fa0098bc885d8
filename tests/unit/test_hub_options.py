"""A stack's options in a launcher: what the real KubeSpawner starts of every choice, and what it refuses."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hubstack.graph import resolve
from hubstack.hub.check import check_hubs
from hubstack.hub.choice import offers
from hubstack.hub.configmap import Emitted, changes, parse_configmap, render_configmap
from hubstack.hub.menu import COMBINATION
from hubstack.hub.profiles import ORDER_SNIPPET, values
from hubstack.hub.promotion import images_given
from hubstack.hub.retired import vanished
from hubstack.model import Graph, Project
from hubstack.names import Names
from hubstack.offer import Hub, Retired
from hubstack.preview.launcher import as_shown, helm_order
from hubstack.project import load_project
from tornado.web import HTTPError
from traitlets.config import Config

from tests.fakes.hubs import reference
from tests.tree import tree

OPTIONS = Path(__file__).parents[1] / "projects" / "good-options"
GOLDEN = Path(__file__).parents[1] / "golden" / "hub"
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: none, user: {}}]
"""
LANGUAGES = {"none": "", "r-kernel": "-r-kernel", "octave": "-octave"}
TOOLS = {"none": "", **{one: f"-{one}" for one in ("geo", "dask", "sql", "dask-geo", "geo-sql", "dask-sql")}}


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(OPTIONS)[0]


@pytest.fixture(scope="module")
def graph(project: Project) -> Graph:
    return resolve(project)


@pytest.fixture
def hub(project: Project) -> Hub:
    return project.hubs["menus"]


@pytest.fixture(autouse=True)
def _no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


def configmap(project: Project, graph: Graph, hub: Hub, emitted: Emitted | None = None) -> str:
    images = {(one.variant.stack, one.variant.name): reference(one.variant.id) for one in graph.images}
    return render_configmap(hub, values(hub, offers(project, graph, hub, emitted), images))


def chart_values(text: str) -> Any:
    """As Helm gives them to the hub: with every map's keys sorted."""
    return helm_order(yaml.safe_load(yaml.safe_load(text)["data"]["values.yaml"]))


class Spawned:
    """A hub's configuration after the chart has run ``hub.extraConfig``, the operator's own snippets among it."""

    def __init__(self, found: Any, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, str] | None = None) -> None:
        def get_config(path: str, default: object = None) -> object:
            here = found
            for key in path.split("."):
                if key not in here:
                    return default
                here = here[key]
            return here

        z2jh = ModuleType("z2jh")
        z2jh.get_config = get_config  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "z2jh", z2jh)
        self.config = Config()
        self.config.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
        self.config.KubeSpawner.profile_list = found["singleuser"]["profileList"]
        snippets = {"hubstack-1-order": ORDER_SNIPPET, **found["hub"]["extraConfig"], **(more or {})}
        names: dict[str, Any] = {"c": self.config}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _, snippet in sorted(snippets.items()):
                exec(snippet, names)

    def started(self, **posted: Any) -> Any:
        return self.one_after_another(posted)[0]

    def one_after_another(self, *starts: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """One spawner, and its image after each start."""

        async def run() -> tuple[Any, list[str]]:
            spawner = self.config.JupyterHub.spawner_class(_mock=True, config=self.config)
            images = []
            for posted in starts:
                spawner.user_options = {name.replace("__unlisted_", "--unlisted-"): one for name, one in posted.items()}
                await spawner.load_user_options()
                images.append(spawner.image)
            return spawner, images

        return asyncio.run(run())

    def posted(self, **fields: str) -> Any:
        """What a hub makes of a form that was sent, before it starts anything."""

        async def run() -> Any:
            spawner = self.config.JupyterHub.spawner_class(_mock=True, config=self.config)
            return await spawner.run_options_from_form(form(**fields)), await spawner.options_from_query(form(**fields))

        return asyncio.run(run())

    def refusal_of_form(self, **fields: str) -> str:
        with pytest.raises(HTTPError) as caught:
            self.posted(**fields)
        return str(caught.value.jupyterhub_message)  # type: ignore[attr-defined]

    def refusal(self, **posted: Any) -> str:
        with pytest.raises(HTTPError) as caught:
            self.started(**posted)
        assert caught.value.status_code == 400
        return str(caught.value.jupyterhub_message)  # type: ignore[attr-defined]


def form(*, profile: str = "", **choices: str) -> dict[str, list[str]]:
    """As JupyterHub gives the fields that KubeSpawner's own form and fancy-profiles name alike."""
    names = {name: f"profile-option-{profile}--{name.replace('__unlisted_', '--unlisted-')}" for name in choices}
    return {names[name]: [value] for name, value in choices.items()} | ({"profile": [profile]} if profile else {})


@pytest.fixture
def running(project: Project, graph: Graph, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Spawned:
    return Spawned(chart_values(configmap(project, graph, hub)), monkeypatch)


def image(variant: str, stack: str = "science") -> str:
    return str(reference(f"{stack}/{variant}"))


# --- what is started ---------------------------------------------------------------------------------------------------


def test_every_choice_starts_its_image_or_is_refused(running: Spawned) -> None:
    seen = 0
    for release, language, tools, size in product(("bookworm", "trixie"), LANGUAGES, TOOLS, ("small", "large")):
        posted = {"image": f"science-{release}", "language": f"language-{language}", "tools": f"tools-{tools}"}
        posted |= {"profile": "science", "resources": size}
        if language == "octave" and "sql" in tools:
            assert "is not offered with" in running.refusal(**posted)
            continue
        found = running.started(**posted)
        assert found.image == image(f"{release}{LANGUAGES[language]}{TOOLS[tools]}")
        assert found.mem_limit == {"small": 2 << 30, "large": 8 << 30}[size]
        assert found.environment["HUBSTACK_OPTION_LANGUAGE"] == language
        seen += 1
    assert seen == 2 * 2 * 18


def test_a_start_without_choices_takes_the_hubs_default(running: Spawned) -> None:
    assert running.started().image == image("trixie-r-kernel")
    assert running.started(profile="science").image == image("trixie-r-kernel")


def test_what_has_no_options_ignores_them(running: Spawned) -> None:
    found = running.started(profile="science", image="minimal", language="language-octave", tools="tools-sql")
    assert found.image == image("default", "minimal")


def test_an_image_that_people_name_or_have_built_ignores_them(running: Spawned) -> None:
    posted = {"profile": "science", "language": "language-octave", "tools": "tools-sql"}
    for name in ("quay.io/jupyter/scipy-notebook:2026-01-05", image("trixie-r-kernel")):
        assert running.started(**posted, image__unlisted_choice=name).image == name


def test_a_second_start_knows_nothing_of_the_first(running: Spawned) -> None:
    first = {"profile": "science", "image": "science-trixie", "language": "language-octave", "tools": "tools-geo"}
    second = {"profile": "science", "image": "science-trixie", "language": "language-none"}
    _, images = running.one_after_another(
        first, second, {"image__unlisted_choice": "x/y:1", "profile": "science"}, first
    )
    assert images == [image("trixie-octave-geo"), image("trixie"), "x/y:1", image("trixie-octave-geo")]


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_a_refusal_says_what_was_chosen_and_what_could_be(running: Spawned) -> None:
    said = running.refusal(
        profile="science", image="science-trixie", language="language-octave", tools="tools-dask-sql"
    )
    assert said.startswith("Science, Debian 13 is not offered with Language: Octave, Tools: dask, sql. ")
    assert "Choose another combination, as Language: " in said


@pytest.mark.parametrize("posted", ["gone", "language-cobol", "tools-geo", "{value}", "x" * 10_000])
def test_a_choice_that_is_not_there_is_refused_in_words(running: Spawned, posted: str) -> None:
    said = running.refusal(profile="science", image="science-trixie", language=posted)
    assert said.startswith("This hub has no choice")


@pytest.mark.parametrize("posted", [["language-octave"], {"a": 1}, 7, True])
def test_whatever_is_posted_starts_nothing(running: Spawned, posted: Any) -> None:
    with pytest.raises((HTTPError, TypeError)):
        running.started(profile="science", image="science-trixie", language=posted)


def test_an_unlisted_choice_of_an_option_is_refused_with_and_without_a_profile(running: Spawned) -> None:
    with pytest.raises(ValueError, match="without being enabled"):
        running.started(profile="science", language__unlisted_choice="evil")
    assert "Language: not chosen" in running.refusal(language__unlisted_choice="evil")


def test_nobody_sets_an_option_by_the_environment(running: Spawned) -> None:
    found = running.started(profile="science", environment={"HUBSTACK_OPTION_LANGUAGE": "octave"})
    assert found.image == image("trixie-r-kernel")


# --- before the start --------------------------------------------------------------------------------------------------


def test_a_form_is_refused_before_the_start_in_the_same_words(running: Spawned) -> None:
    """JupyterHub counts no failure there."""
    choices = {"profile": "science", "image": "science-trixie", "language": "language-octave", "tools": "tools-sql"}
    assert running.refusal_of_form(**choices) == running.refusal(**choices)
    gone = {"profile": "science", "language": "language-cobol"}
    assert running.refusal_of_form(**gone) == running.refusal(**gone) == "This hub has no choice 'language-cobol'."


def test_a_form_that_means_an_image_is_taken_as_it_is(running: Spawned) -> None:
    sql = {"profile": "science", "language": "language-octave", "tools": "tools-sql"}
    for chosen in (
        {"profile": "science", "image": "science-trixie", "language": "language-octave", "tools": "tools-geo"},
        {**sql, "image": "minimal"},
        {**sql, "image__unlisted_choice": "x/y:1"},
        {},
    ):
        kept = {name.replace("__unlisted_", "--unlisted-"): value for name, value in chosen.items()}
        assert running.posted(**chosen) == (kept, kept)


# --- several profiles --------------------------------------------------------------------------------------------------


@pytest.fixture
def classes(hub: Hub) -> Hub:
    """Beside all combinations: a profile with one of them and no menu, and one with few."""
    (science,) = hub.profiles
    one = replace(science, slug="class", title="Class", stacks=("science/trixie-r-kernel",), default="")
    few = replace(one, slug="few", title="Few", stacks=("science/trixie-r-kernel", "science/trixie-octave-geo"))
    return replace(hub, profiles=(one, science, few), retired=(Retired(profile="old", successor="few"),))


@pytest.mark.parametrize("filtered", [False, True])
def test_a_profile_offers_its_own_combinations_only(
    project: Project, graph: Graph, classes: Hub, monkeypatch: pytest.MonkeyPatch, *, filtered: bool
) -> None:
    found = chart_values(configmap(project, graph, classes))
    theirs = {"hubstack-9": "_l = c.KubeSpawner.profile_list\nc.KubeSpawner.profile_list = lambda _: _l"}
    running = Spawned(found, monkeypatch, theirs if filtered else {})
    octave = {"image": "science-trixie", "language": "language-octave", "tools": "tools-none"}
    assert running.started().image == running.started(profile="class").image == image("trixie-r-kernel")
    assert running.started(profile="science", **octave).image == image("trixie-octave")
    for slug in ("few", "old"):
        assert "is not offered with" in running.refusal(profile=slug, **octave)
        assert "is not offered with" in running.refusal_of_form(profile=slug, **octave)
        geo = {**octave, "tools": "tools-geo"}
        assert running.started(profile=slug, **geo).image == image("trixie-octave-geo")


def test_who_may_use_no_profile_gets_the_charts_image(
    project: Project, graph: Graph, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = chart_values(configmap(project, graph, hub))
    name = image("trixie-r-kernel")
    nobody = f"c.KubeSpawner.profile_list = lambda _: []\nc.KubeSpawner.image = {name!r}"
    running = Spawned(found, monkeypatch, {"hubstack-9": nobody})
    assert running.started().image == name


def test_a_retired_profile_gives_no_combinations_of_its_own_out(project: Project, graph: Graph, classes: Hub) -> None:
    past = parse_configmap(configmap(project, graph, classes), "x")
    assert len(past.choices("few", COMBINATION)) == 2
    assert past.choices("old", COMBINATION) == {}
    assert vanished(replace(classes, retired=()), offers(project, graph, replace(classes, retired=())), past) == ()


# --- beside what operators have ------------------------------------------------------------------------------------------

OPERATORS = """
class TheirSpawner(__import__("kubespawner").KubeSpawner):
    async def load_user_options(self):
        await super().load_user_options()
        self.cpu_limit = 3


c.JupyterHub.spawner_class = TheirSpawner
c.KubeSpawner.pre_spawn_hook = lambda spawner: None
c.KubeSpawner.profile_list = (lambda listed: lambda spawner: listed)(c.KubeSpawner.profile_list)
"""


@pytest.mark.parametrize("name", ["00-theirs", "hubstack-0-x"])
def test_an_operators_spawner_hooks_and_filter_stay(
    project: Project, graph: Graph, hub: Hub, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    found = chart_values(configmap(project, graph, hub))
    if name == "hubstack-0-x":  # behind ours
        theirs = OPERATORS.replace('__import__("kubespawner").KubeSpawner', "c.JupyterHub.spawner_class")
    else:
        theirs = OPERATORS
    found["hub"]["extraConfig"] |= {name: theirs}
    running = Spawned(found, monkeypatch, {"hubstack-1-order": ""})
    started = running.started(profile="science", image="science-trixie", language="language-octave")
    assert (started.image, started.cpu_limit) == (image("trixie-octave"), 3)
    assert started.pre_spawn_hook(started) is None


# --- what is written -----------------------------------------------------------------------------------------------------


def pulled(found: Any) -> list[str]:
    """What z2jh's image puller reads of the profiles (templates/image-puller/_helpers-daemonset.tpl)."""
    listed = [one.get("kubespawner_override", {}).get("image") for one in found["singleuser"]["profileList"]]
    for profile in found["singleuser"]["profileList"]:
        for option in profile.get("profile_options", {}).values():
            listed += [one.get("kubespawner_override", {}).get("image") for one in option["choices"].values()]
    fields = found["singleuser"]["image"]
    return sorted({*filter(None, listed), f"{fields['name']}:{fields['tag']}"})


def test_nodes_pull_no_combination_but_each_groups_default(project: Project, graph: Graph, hub: Hub) -> None:
    found = chart_values(configmap(project, graph, hub))
    wanted = [image("default", "minimal"), image("bookworm-r-kernel"), image("trixie-r-kernel")]
    assert pulled(found) == sorted(wanted)


def test_choices_of_options_set_only_their_variable(project: Project, graph: Graph, hub: Hub) -> None:
    (profile,) = chart_values(configmap(project, graph, hub))["singleuser"]["profileList"]
    for name in ("language", "tools"):
        for choice in profile["profile_options"][name]["choices"].values():
            assert choice["kubespawner_override"].keys() == {"environment"}
            assert choice["kubespawner_override"]["environment"].keys() == {f"HUBSTACK_OPTION_{name.upper()}"}


def test_menus_stand_in_the_hubs_order_between_image_and_resources(running: Spawned) -> None:
    (profile,) = running.config.KubeSpawner.profile_list
    options = profile["profile_options"]
    assert [*options] == ["image", "language", "tools", "resources"]
    assert [one["display_name"] for one in options["language"]["choices"].values()] == ["Python alone", "R", "Octave"]
    assert [one["display_name"] for one in options["tools"]["choices"].values()][-2:] == ["geo, sql", "dask, sql"]
    (preset,) = (key for key, one in options["language"]["choices"].items() if one.get("default"))
    assert preset == "language-r-kernel"


def test_a_preview_shows_the_same_order(project: Project, graph: Graph, hub: Hub, running: Spawned) -> None:
    shown = as_shown(chart_values(configmap(project, graph, hub)))
    meant = running.config.KubeSpawner.profile_list
    assert [[*one["profile_options"]] for one in shown] == [[*one["profile_options"]] for one in meant]


def test_the_whole_file(project: Project, graph: Graph, hub: Hub, golden: Any) -> None:
    few = replace(hub.profiles[0], stacks=("science/trixie", "science/trixie-r-kernel", "science/trixie-r-kernel-dask"))
    one = replace(hub, profiles=(replace(few, resources=(), unlisted=False, build=False),))
    golden(GOLDEN / "options.yaml", configmap(project, graph, one))


def test_a_variant_alone_is_a_choice_like_any_other(project: Project, graph: Graph, hub: Hub) -> None:
    alone = replace(hub.profiles[0], stacks=("science/trixie-octave-geo",), default="")
    found = chart_values(configmap(project, graph, replace(hub, profiles=(alone,))))
    (profile,) = found["singleuser"]["profileList"]
    assert [*profile["profile_options"]] == ["image", "resources"]
    ((key, choice),) = profile["profile_options"]["image"]["choices"].items()
    assert (key, choice["display_name"]) == (
        "science-trixie-octave-geo",
        "Science, Debian 13, Language: Octave, Tools: geo",
    )
    assert "hub" not in found


def test_a_list_needs_no_extra_config(project: Project, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    found = chart_values(configmap(project, graph, project.hubs["list"]))
    assert "hub" not in found
    assert "custom" not in found
    choices = found["singleuser"]["profileList"][0]["profile_options"]["image"]["choices"]
    assert {key: one["kubespawner_override"]["image"] for key, one in choices.items()} == {
        "010-science-trixie": image("trixie"),
        "020-science-trixie-dask": image("trixie-dask"),
        "030-science-trixie-r-kernel": image("trixie-r-kernel"),
        "040-science-trixie-octave": image("trixie-octave"),
    }
    with pytest.raises(KeyError):
        Spawned(found, monkeypatch)


def test_previous_images_are_offered_of_stacks_without_options(project: Project, graph: Graph, hub: Hub) -> None:
    one = replace(hub, profiles=(replace(hub.profiles[0], previous=True),))
    assert [found.key for found in offers(project, graph, one) if found.previous] == ["minimal-previous"]


# --- what was given out before -------------------------------------------------------------------------------------------


def test_what_was_written_is_read_again(project: Project, graph: Graph, hub: Hub) -> None:
    text = configmap(project, graph, hub)
    past = parse_configmap(text, "x")
    known = past.choices("science", COMBINATION)
    assert len(known) == 36
    assert known["science-trixie-octave-geo"].image == image("trixie-octave-geo")
    assert changes(past, past) == ()
    assert vanished(hub, offers(project, graph, hub, past), past) == ()
    assert text == configmap(project, graph, hub, past)


def test_a_choice_of_an_option_that_goes_is_retired_and_starts_its_successor(
    project: Project, graph: Graph, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = parse_configmap(configmap(project, graph, hub), "x")
    without = replace(hub.profiles[0], stacks=("minimal", "science/*-r-kernel*", "science/bookworm", "science/trixie"))
    less = replace(hub, profiles=(without,))
    gone = vanished(less, offers(project, graph, less, past), past)
    assert [one.key for one in gone] == ["language-octave"]
    entry = Retired(profile="science", key="language-octave", successor="language-none")
    mended = replace(less, retired=(entry,))
    assert vanished(mended, offers(project, graph, mended, past), past) == ()
    running = Spawned(chart_values(configmap(project, graph, mended, past)), monkeypatch)
    started = running.started(profile="science", image="science-trixie", language="language-octave")
    assert started.image == image("trixie")


def test_a_combination_that_goes_is_told_and_refused_in_words(
    project: Project, graph: Graph, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = parse_configmap(configmap(project, graph, hub), "x")
    octave = replace(project.layers["octave"], conflicts=("sql", "geo"))
    fewer = replace(project, layers={**project.layers, "octave": octave})
    left = resolve(fewer)
    text = configmap(fewer, left, hub, past)
    assert changes(past, parse_configmap(text, "x")) == tuple(
        f"- science/combination/science-{release}-octave{tools}"
        for release in ("bookworm", "trixie")
        for tools in ("-geo", "-dask-geo")
    )
    assert vanished(hub, offers(fewer, left, hub, past), past) == ()
    said = Spawned(chart_values(text), monkeypatch).refusal(
        profile="science", image="science-trixie", language="language-octave", tools="tools-geo"
    )
    assert said == (
        "Science, Debian 13 is not offered with Language: Octave, Tools: geo. "
        "Choose another combination, as Language: Python alone, Tools: geo."
    )


def test_a_promotion_gives_combinations_too(project: Project, graph: Graph, hub: Hub) -> None:
    past = parse_configmap(configmap(project, graph, hub), "x")
    given = images_given(past, Names.of(registry_of(project)), offers(project, graph, hub))
    assert len(given) == 37


def registry_of(project: Project) -> Any:
    one = reference("science/trixie")
    return replace(project.settings, registry=replace(one, repository="hub", tag="", digest=None))


def test_a_retired_profile_has_the_menus_of_its_successor(
    project: Project, graph: Graph, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = replace(hub, retired=(Retired(profile="old", successor="science"),))
    running = Spawned(chart_values(configmap(project, graph, one)), monkeypatch)
    assert running.started(profile="old", image="science-bookworm", language="language-octave").image == image(
        "bookworm-octave"
    )


def test_a_check_says_nothing_of_combinations(project: Project, graph: Graph) -> None:
    assert check_hubs(project, graph) == []


def test_two_ways_to_choose_of_one_key_are_told(hub: Hub) -> None:
    """Only one of them could be chosen: the other's images would be built for nobody."""
    project = tree(
        {
            "base/debian": "",
            **{f"layers/{name}": "" for name in ("lab", "dask", "sql", "dask-sql")},
            "stacks/one.yaml": "base: debian\nlayers: [lab]\noptions: [{name: tools, any_of: [dask, sql]}]\n",
            "stacks/two.yaml": "base: debian\nlayers: [lab]\noptions: [{name: tools, one_of: [none, dask-sql]}]\n",
        }
    )
    one = replace(hub.profiles[0], stacks=("one/*", "two/*"), default="")
    (problem,) = check_hubs(replace(project, hubs={"menus": replace(hub, profiles=(one,))}), resolve(project))
    assert problem.what == '"dask-sql" and "dask, sql" have the same key "tools-dask-sql" in profile "science"'


# --- what menus have chosen beforehand -----------------------------------------------------------------------------------


def test_layers_of_an_option_have_no_order(project: Project, hub: Hub) -> None:
    """Two stacks whose options list the same layers in another order share a menu, and it has its default."""
    science = project.stacks["science"]
    language, tools = science.options
    turned = replace(tools, any_of=tuple(reversed(tools.any_of)))
    other = replace(science, name="other", title="Other", options=(language, turned))
    both = replace(project, stacks={**project.stacks, "other": other})
    one = replace(hub.profiles[0], stacks=("science/*", "other/*"), default="other/trixie-dask-geo")
    found = offers(both, resolve(both), replace(hub, profiles=(one,)))
    assert [one.key for one in found if one.default and one.menu] == ["language-none", "tools-dask-geo"]
    assert {one.key: one.variant for one in found if one.group and one.option == "image"} == {
        f"{stack}-{release}": f"{release}-dask-geo"
        for stack in ("science", "other")
        for release in ("bookworm", "trixie")
    }


def test_an_image_that_no_preset_starts_is_told(project: Project, graph: Graph, hub: Hub) -> None:
    few = ("science/bookworm", "science/bookworm-octave", "science/trixie-r-kernel", "science/trixie-octave")
    one = replace(hub.profiles[0], stacks=few, default="science/trixie-r-kernel")
    hubs = {"menus": replace(hub, profiles=(one,))}
    (problem,) = check_hubs(replace(project, hubs=hubs), graph)
    assert str(problem.severity) == "warning"
    assert problem.what == (
        'Science, Debian 12 does not start as the menus of profile "science" have chosen beforehand '
        "(Language: R, Tools: none)"
    )
    good = {"menus": replace(hub, profiles=(replace(one, default="science/trixie-octave"),))}
    assert check_hubs(replace(project, hubs=good), graph) == []
