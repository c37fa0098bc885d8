"""Keys and slugs that were given out: nothing vanishes unsaid, and what is retired starts in a real KubeSpawner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hubstack.errors import Problem, ProjectError
from hubstack.files.hub import parse_hub
from hubstack.hub.check import check_hubs
from hubstack.hub.choice import offers
from hubstack.hub.configmap import Emitted, parse_configmap, render_configmap
from hubstack.hub.previous import settle_previous
from hubstack.hub.profiles import values
from hubstack.hub.retired import lines_to_write, vanished
from hubstack.offer import Hub, Resource, Retired
from hubstack.source import Source
from hubstack.yamlfile import Document, parse_yaml

from tests.fakes.hubs import EXAMPLE, hub, profile, reference
from tests.promises.test_promise_6_only_the_image import KUBECONFIG, changed_by, started

pytestmark = pytest.mark.slow  # whole runs of the command


@pytest.fixture(autouse=True)
def _no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubeconfig.yaml").write_text(KUBECONFIG, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig.yaml"))


def text_of(one: Hub, emitted: Emitted | None = None) -> str:
    """The ConfigMap, while the registry has every image that anybody was given."""
    found = offers(EXAMPLE.project(one), EXAMPLE.graph, one, emitted)
    return render_configmap(
        one, values(one, settle_previous(found, EXAMPLE.images, emitted, frozenset), EXAMPLE.images)
    )


def emitted_by(one: Hub, emitted: Emitted | None = None) -> Emitted:
    return parse_configmap(text_of(one, emitted), "profiles/emitted/demo.yaml")


def launcher(one: Hub, emitted: Emitted | None = None) -> list[dict[str, Any]]:
    data = yaml.safe_load(yaml.safe_load(text_of(one, emitted))["data"]["values.yaml"])
    found: list[dict[str, Any]] = data["singleuser"]["profileList"]
    return found


def problems(one: Hub, emitted: Emitted | None) -> list[Problem]:
    return check_hubs(EXAMPLE.project(one), EXAMPLE.graph, {one.name: emitted} if emitted else None)


def gone(one: Hub, emitted: Emitted) -> tuple[Retired, ...]:
    return vanished(one, offers(EXAMPLE.project(one), EXAMPLE.graph, one, emitted), emitted)


def image(name: str) -> str:
    return str(reference(name))


SMALL = Resource(key="small", title="2 GB", override={"mem_limit": "2G"})
LARGE = Resource(key="large", title="8 GB", override={"mem_limit": "8G"})
PYTHON = replace(profile("python", "scipy", "minimal"), resources=(SMALL,))
SCIENCE = replace(profile("science", "scipy", "base"), resources=(SMALL, LARGE), groups=("scientists",))
BEFORE = hub(PYTHON, SCIENCE)


def written(one: Hub, emitted: Emitted) -> Hub:
    """``one`` after its author wrote what hubstack says."""
    return replace(one, retired=(*one.retired, *gone(one, emitted)))


# --- choices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "after",
    [
        hub(replace(PYTHON, stacks=("scipy/trixie", "minimal")), SCIENCE),
        hub(replace(PYTHON, stacks=("minimal",)), SCIENCE),
        hub(PYTHON, replace(SCIENCE, stacks=("base",), resources=(LARGE,))),
        hub(PYTHON),
        hub(SCIENCE),
        hub(profile("new", "minimal")),
        hub(replace(profile("new", "minimal"), resources=(LARGE,))),
        replace(hub(PYTHON, SCIENCE), prefixed_keys=True),
    ],
    ids=["variant", "stack", "resource", "profile", "first profile", "both profiles", "options", "keys"],
)
def test_whatever_goes_the_lines_keep_every_saved_choice_starting(after: Hub) -> None:
    """A saved server names a profile and a choice of each option; KubeSpawner raises where one is not there."""
    emitted = emitted_by(BEFORE)
    assert any("will not start" in problem.what for problem in problems(after, emitted))
    after = written(after, emitted)
    assert problems(after, emitted) == []
    profiles, tried = launcher(after, emitted), 0
    for slug, options in emitted.profiles.items():
        for key in options["image"]:
            for size in options.get("resources", {"": None}):
                found = started(profiles, profile=slug, image=key, **({"resources": size} if size else {}))
                assert "@sha256:" in found.image
                tried += 1
    assert tried == 3 + 6


def test_without_the_lines_a_saved_choice_does_not_start() -> None:
    """The test above would show nothing if KubeSpawner took any key."""
    after = hub(replace(PYTHON, stacks=("scipy/trixie", "minimal")))
    with pytest.raises(KeyError):
        started(launcher(after), profile="python", image="scipy-bookworm")
    with pytest.raises(ValueError, match="No such profile"):
        started(launcher(after), profile="science", image="scipy-bookworm")


def test_what_is_retired_once_may_go_the_next_time() -> None:
    emitted = emitted_by(BEFORE)
    after = written(hub(PYTHON), emitted)
    again = emitted_by(after, emitted)
    assert problems(replace(after, retired=()), again) == []


def test_retired_twice_the_bytes_are_the_same() -> None:
    emitted = emitted_by(BEFORE)
    after = written(hub(PYTHON), emitted)
    assert text_of(after, emitted_by(after, emitted)) == text_of(after, emitted)


# --- profiles ----------------------------------------------------------------------------------------------------------


def test_a_retired_profile_is_its_successor_under_the_old_slug() -> None:
    after = hub(PYTHON)
    assert gone(after, emitted_by(BEFORE)) == (
        Retired(profile="science", successor="python"),
        Retired(profile="science", key="base", successor="scipy-bookworm"),
        Retired(profile="science", key="large", successor="small"),
    )
    python, science = launcher(written(after, emitted_by(BEFORE)), emitted_by(BEFORE))
    assert science["display_name"] == "science (retired, now Python)"
    assert "allowed_groups" not in science  # nor does it give anybody more than the successor gives
    assert science["profile_options"]["resources"]["display_name"] == "Resources"
    mine, theirs = (one["profile_options"]["image"]["choices"] for one in (science, python))
    assert {key: mine[key] for key in theirs} == theirs
    assert mine["base"]["display_name"].endswith("(retired, now Scientific Python, Python 3.11)")
    assert started([python, science], profile="science", image="minimal").image == image("minimal/default")


def test_a_retired_profile_sets_what_its_successor_sets() -> None:
    strict = replace(PYTHON, override={"mem_limit": "1G"}, groups=("students",))
    after = replace(hub(strict), retired=(Retired(profile="science", successor="python", until="2027-01-31"),))
    profiles = launcher(after)
    assert profiles[1]["allowed_groups"] == ["students"]
    assert profiles[1]["description"] == "Until 2027-01-31"
    assert changed_by(profiles, profile="science", image="minimal") == {"image", "mem_limit"}


def test_the_profile_with_the_most_of_its_keys_is_the_successor() -> None:
    after = hub(profile("other", "minimal"), PYTHON)
    assert gone(after, emitted_by(hub(PYTHON, profile("other", "minimal"), profile("science", "scipy"))))[0] == Retired(
        profile="science", successor="python"
    )


def test_a_previous_image_in_a_retired_profile_is_the_successor_s() -> None:
    older = image("minimal/default").rpartition(":")[0] + ":" + "7" * 64
    text = text_of(hub(PYTHON, SCIENCE)).replace(image("minimal/default"), older)
    emitted = parse_configmap(text, "profiles/emitted/demo.yaml")
    after = written(hub(replace(PYTHON, previous=True)), emitted)
    profiles = launcher(after, emitted)
    for slug in ("python", "science"):
        assert started(profiles, profile=slug, image="minimal-previous").image == older
        assert started(profiles, profile=slug, image="minimal").image == image("minimal/default")
        with pytest.raises(KeyError):
            started(profiles, profile=slug, image="scipy-trixie-previous")


# --- the lines ---------------------------------------------------------------------------------------------------------

FILE = """\
configmap: {name: jhub-profiles, namespace: jhub}
profiles:
  - slug: python
    title: Python
    stacks: [scipy/trixie, minimal]
"""
ENTRY = Retired(profile="python", key="scipy-bookworm", successor="scipy-trixie")
OLD = Retired(profile="python", key="old", successor="minimal")


def read(text: str, defaults: str = "") -> Hub:
    under = (
        parse_yaml(defaults.encode(), "profiles/_defaults.yaml")
        if defaults
        else Document(source=Source(path="x"), data=None)
    )
    found = parse_hub(parse_yaml(text.encode(), "profiles/demo.yaml"), name="demo", defaults=under)
    assert found is not None
    return found


def pasted(text: str, defaults: str = "") -> tuple[Retired, ...]:
    """The file's entries after somebody did what is printed."""
    said = lines_to_write(read(text, defaults), [ENTRY])
    where, _, lines = said.partition("\n\n")
    if where == "Write in place of `retired:` in profiles/demo.yaml:":
        text = text[: text.index("retired:")]
    elif where == "Write behind the last line of `retired:` in profiles/demo.yaml:":
        assert "retired:" not in lines
        text = text.rstrip("\n") + "\n"
    else:
        assert where == "Write into profiles/demo.yaml:"
    return read(text + lines, defaults).retired


@pytest.mark.parametrize(
    "before",
    [
        "",
        "retired:\n  - {profile: python, key: old, successor: minimal}\n",
        "retired:\n- profile: python\n  key: old\n  successor: minimal\n",
        "retired: [{profile: python, key: old, successor: minimal}]\n",
        "retired: []\n",
        "retired:\n",
    ],
)
def test_the_lines_can_be_pasted(before: str) -> None:
    assert pasted(FILE + before) == ((OLD, ENTRY) if "old" in before else (ENTRY,))


def test_lines_of_the_defaults_are_not_lost() -> None:
    """A hub's own list replaces theirs."""
    defaults = "retired:\n  - {profile: python, key: old, successor: minimal, until: 2027-01-31}\n"
    assert pasted(FILE, f"{FILE}{defaults}") == (replace(OLD, until="2027-01-31"), ENTRY)


STILL_THERE = (
    'profiles/demo.yaml:7:15: the retired profile "python" is still there. '
    "Remove this entry, or write the key of the choice that is gone."
)


def test_a_profile_that_is_there_is_not_retired_and_one_that_is_not_is_no_successor() -> None:
    text = "retired:\n  - {profile: python, successor: python}\n  - {profile: gone, successor: nothing}\n"
    with pytest.raises(ProjectError) as caught:
        read(FILE + text)
    assert [str(one) for one in caught.value.problems] == [
        STILL_THERE,
        'profiles/demo.yaml:8:32: no profile has the slug "nothing". It must be one of this hub\'s.',
    ]
