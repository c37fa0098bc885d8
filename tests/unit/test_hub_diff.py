"""What changes for people, in words and for machines. How it comes to the command line: test_cli_profiles.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hubstack.hub.choice import offers
from hubstack.hub.configmap import Emitted, Past, render_configmap
from hubstack.hub.diff import SHOWN, Change, Kind, compare, diff_json, package_changes, render_diff, with_packages
from hubstack.hub.profiles import values
from hubstack.hub.setting import SettingChange, setting_changes
from hubstack.offer import Hub, Resource
from hubstack.record import Record
from hubstack.reference import Fingerprint, ImageRef

from tests.fakes.hubs import EXAMPLE, EXAMPLE_HUB, hub, profile, reference


def record(versions: Mapping[str, str] | None = None, **packages: Mapping[str, str]) -> Record:
    return Record(
        node="lab",
        fingerprint=Fingerprint("0" * 64),
        facts=(),
        sources={},
        seconds=1,
        size_bytes=1,
        versions=versions or {},
        packages=packages,
    )


def emitted(**choices: Past) -> Emitted:
    return Emitted(profiles={"p": {"image": choices, "resources": {"small": Past(title="2 GB")}}})


def past(name: str, title: str = "Title", *, retired: bool = False) -> Past:
    return Past(title=title, image=str(reference(name)), retired=retired)


def kinds(before: Emitted | None, after: Emitted) -> dict[str, Kind]:
    return {change.id: change.kind for change in compare(before, after)}


def test_kinds() -> None:
    before = emitted(same=past("a/1"), gone=past("b/1"), image=past("c/1"), old=past("d/1"), name=past("e/1"))
    after = emitted(
        new=past("z/1"),
        same=past("a/1"),
        image=past("c/2"),
        old=past("c/2", retired=True),
        name=past("e/1", "Other"),
    )
    assert kinds(before, after) == {
        "p/new": Kind.ADDED,
        "p/image": Kind.IMAGE,
        "p/old": Kind.RETIRED,
        "p/name": Kind.TITLE,
        "p/gone": Kind.REMOVED,
    }
    assert kinds(None, emitted()) == {"p/resources/small": Kind.ADDED}
    assert kinds(after, after) == {}


def test_another_tag_of_the_same_content_is_no_new_image() -> None:
    one = past("a/1")
    assert kinds(emitted(a=one), emitted(a=replace(one, image=one.image.replace("a:1-", "a:2-")))) == {}


def test_an_image_that_successors_share_is_new_in_each() -> None:
    before = emitted(a=past("x/1"), b=past("x/1", retired=True))
    after = emitted(a=past("x/2"), b=past("x/2", retired=True))
    assert kinds(before, after) == {"p/a": Kind.IMAGE, "p/b": Kind.IMAGE}


def test_packages_by_manager_new_versions_first() -> None:
    before = record({"JupyterLab": "4.5.0"}, debian={"git": "1", "tzdata": "1"}, python={"abc": "1", "numpy": "2.1.0"})
    after = record(
        {"JupyterLab": "4.5.1"}, debian={"git": "2", "tzdata": "1"}, python={"numpy": "2.2.0", "polars": "1"}
    )
    found = [(one.manager, one.name, one.before, one.after) for one in package_changes(before, after)]
    assert found == [
        ("", "JupyterLab", "4.5.0", "4.5.1"),
        ("python", "numpy", "2.1.0", "2.2.0"),
        ("python", "polars", "", "1"),
        ("python", "abc", "1", ""),
        ("debian", "git", "1", "2"),
    ]
    assert package_changes(before, before) == ()


def test_a_manager_that_nobody_knows_is_told_as_well() -> None:
    assert [one.name for one in package_changes(record(), record(conda={"mamba": "2"}))] == ["mamba"]


RECORDS = {
    reference("c/1"): record(python={"numpy": "2.1.0"}),
    reference("c/2"): record(python={"numpy": "2.2.0"}),
    reference("m/1"): record(debian={f"lib{number}": "1" for number in range(SHOWN + 30)}),
    reference("m/2"): record(debian={f"lib{number}": "2" for number in range(SHOWN + 30)}, python={"numpy": "2"}),
}


def shown(before: Emitted, after: Emitted) -> list[str]:
    changes = with_packages(compare(before, after), RECORDS.get)
    return render_diff("demo", changes, (), "the file").splitlines()


def test_people_read_the_packages_once_for_an_image() -> None:
    lines = shown(emitted(a=past("c/1"), b=past("c/1")), emitted(a=past("c/2"), b=past("c/2")))
    assert lines[0] == "demo: 2 choices changed against the file"
    assert [line.strip() for line in lines if "numpy" in line] == ["python  numpy 2.1.0 → 2.2.0"]
    assert lines[-1].strip() == "as p/a"


def test_a_flood_of_packages_is_cut_and_hides_no_other_manager() -> None:
    lines = shown(emitted(a=past("m/1")), emitted(a=past("m/2")))
    assert len(lines) < SHOWN + 8
    assert lines[-1].strip() == "and 30 more"
    assert any("+ numpy 2" in line for line in lines)
    changes = with_packages(compare(emitted(a=past("m/1")), emitted(a=past("m/2"))), RECORDS.get)
    found: Any = diff_json("demo", changes, (), "the file")["changes"]
    assert len(found[0]["packages"]) == SHOWN + 31


def test_an_image_without_a_record_changes_all_the_same() -> None:
    lines = shown(emitted(a=past("c/1")), emitted(a=past("c/3")))
    assert "not known" in lines[-1]
    (change,) = with_packages(compare(emitted(a=past("c/1")), emitted(a=past("c/3"))), RECORDS.get)
    assert change.packages is None


def test_only_new_images_are_asked_for() -> None:
    asked: list[ImageRef] = []

    def look(ref: ImageRef) -> None:
        asked.append(ref)

    before = emitted(same=past("a/1"), gone=past("b/1"), image=past("c/1"))
    with_packages(compare(before, emitted(same=past("a/1"), image=past("c/2"), new=past("z/1"))), look)
    assert asked == [reference("c/1"), reference("c/2")]


def test_a_removed_choice_says_what_it_does() -> None:
    said = "".join(shown(emitted(a=past("a/1", "A"), b=past("b/1", "B", retired=True)), emitted()))
    assert "A, removed: servers that were saved with it will not start" in said
    assert said.endswith("- p/b  B, removed")


def test_a_terminal_is_not_moved_by_what_somebody_wrote() -> None:
    (_, line) = shown(emitted(), emitted(a=past("a/1", "A\x1b[31m")))
    assert "\x1b" not in line


# --- what is no choice -------------------------------------------------------------------------------------------------


def text(one: Hub) -> str:
    return render_configmap(one, values(one, offers(EXAMPLE.project(one), EXAMPLE.graph, one), EXAMPLE.images))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"groups": ()}, ['gpu: allowed_groups ["gpu-users"] → nothing']),
        ({"title": "Graphics"}, ["gpu: title GPU → Graphics"]),
        ({"unlisted": True}, ["gpu/image: unlisted_choice.enabled nothing → true"]),
        ({"override": {"start_timeout": 1}}, ["gpu: kubespawner_override.start_timeout 900 → 1"]),
        ({"stacks": ("scipy/trixie", "minimal")}, []),
        ({"resources": (Resource(key="small", title="S", override={}),)}, []),
    ],
)
def test_what_is_set_for_all_choices(change: dict[str, Any], expected: list[str]) -> None:
    after = replace(EXAMPLE_HUB, profiles=(EXAMPLE_HUB.profiles[0], replace(EXAMPLE_HUB.profiles[1], **change)))
    found = [str(one) for one in setting_changes(text(EXAMPLE_HUB), text(after))]
    assert [one for one in expected if one not in found] == []
    assert bool(found) == bool(expected)


def test_sizes_and_the_default() -> None:
    small, large = EXAMPLE_HUB.profiles[0].resources
    bigger = replace(large, override={"mem_limit": "16G", "cpu_limit": 4.0}, default=False)
    after = replace(EXAMPLE_HUB.profiles[0], resources=(replace(small, default=True), bigger))
    found = [
        str(one)
        for one in setting_changes(
            text(EXAMPLE_HUB), text(replace(EXAMPLE_HUB, profiles=(after, EXAMPLE_HUB.profiles[1])))
        )
    ]
    assert "python/resources/large: kubespawner_override.mem_limit 8G → 16G" in found
    assert "python/resources/small: default nothing → true" in found
    assert not any("image" in one for one in found)


def test_the_order_is_a_change() -> None:
    before, after = hub(profile("p", "minimal", "base")), hub(profile("p", "base", "minimal"))
    found = setting_changes(
        text(replace(before, profiles=(replace(before.profiles[0], default="base/default"),))), text(after)
    )
    assert [one.name for one in found] == ["order"]
    assert setting_changes(text(before), text(before)) == ()


def test_an_umbrella_chart_s_keys_change_nothing_for_people() -> None:
    assert setting_changes(text(EXAMPLE_HUB), text(replace(EXAMPLE_HUB, wrap=("jupyterhub",)))) == ()


def test_settings_are_cut_as_well() -> None:
    settings = [SettingChange(place="p", name=f"n{number}", after="x" * 99) for number in range(SHOWN + 3)]
    lines = render_diff("demo", (), settings, "the file").splitlines()
    assert lines[-1].strip() == "and 3 other settings"
    assert all(len(line) < 90 for line in lines)


def test_change_is_named_as_authors_name_it() -> None:
    one = Change(kind=Kind.ADDED, profile="p", option="image", key="k", title="")
    assert (one.id, replace(one, option="resources").id) == ("p/k", "p/resources/k")
