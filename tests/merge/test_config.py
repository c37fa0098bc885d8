"""Variables that are lists of folders: whose order stands, and what no order can be made of."""

from __future__ import annotations

from itertools import permutations

import pytest
from hubstack.merge.config import merge_configs
from hypothesis import given
from hypothesis import strategies as st


def path(base: str | None, *values: str | None) -> str:
    """What becomes of PATH, lowest part first; or what is said of it."""

    def config(value: str | None) -> dict[str, list[str]]:
        return {"Env": [] if value is None else [f"PATH={value}"]}

    merged, conflicts = merge_configs(config(base), [(f"p{number}", config(one)) for number, one in enumerate(values)])
    return "; ".join(map(str, conflicts)) or "".join(merged["Env"]).removeprefix("PATH=")


@pytest.mark.parametrize(
    ("base", "changed"),
    [
        ("/venv:/sbin:/bin", "/venv:/mid:/sbin:/bin"),
        ("/a:/b", "/b:/a:/b"),  # doubled on purpose
        ("/a:/b", "/b:/a"),
        ("/a:/b", "/a:/x:/a::/b:"),
        ("/a:/b:/a", "/x:/a:/b:/a"),
        ("/a:/b", ""),
        ("/a:/b", None),
        (None, "/x:/y:/x"),
        ("/a:/b:/a:", "/a:/b:/a:"),
    ],
)
def test_a_list_that_one_part_has_changed_is_as_that_says(base: str | None, changed: str | None) -> None:
    for values in ((changed, base), (base, changed), (base, changed, base, changed)):
        assert path(base, *values) == (changed or "")


@pytest.mark.parametrize(
    ("base", "values", "joint"),
    [
        ("/venv:/bin", ["/venv:/mid:/bin", "/top:/venv:/bin"], "/top:/venv:/mid:/bin"),
        (
            "/venv:/bin",
            ["/venv:/mid:/bin", "/venv:/top:/bin"],
            "/venv:/top:/mid:/bin",
        ),  # the topmost before those below
        ("/venv:/bin", ["/venv:/bin:/low", "/venv:/bin:/top"], "/venv:/bin:/low:/top"),
        ("/a:/b", ["/a:/b:/x", "/a:/y:/b", "/z:/a:/b"], "/z:/a:/y:/b:/x"),
        ("/a:/b:/a", ["/x:/a:/b:/a", "/y:/a:/b:/a"], "/y:/x:/a:/b"),
        (None, ["/opt/a:/local:/usr", "/opt/b:/local:/usr"], "/opt/a:/opt/b:/local:/usr"),
        (None, ["/a:", "/b:"], "/a:/b:"),  # the empty place last, as both have it
        (None, ["/y:/z", "/x:/y"], "/x:/y:/z"),
        (None, ["", ":"], ":"),
    ],
)
def test_a_joint_list_contradicts_nobody(base: str | None, values: list[str], joint: str) -> None:
    assert path(base, *values) == joint


@pytest.mark.parametrize(
    ("base", "values", "said"),
    [
        (None, ["/x:/y", "/y:/x"], "p0 and p1: set the variable PATH to '/x:/y' and '/y:/x'"),
        ("/b", ["/x:/b", "/q:/b", "/b:/x"], "p0 and p2: set the variable PATH to '/x:/b' and '/b:/x'"),
        ("/a:/b", ["/b:/a", "/n:/a:/b"], "p0 and p1: set the variable PATH to '/b:/a' and '/n:/a:/b'"),
        ("/a:/b", ["/b", "/n:/a:/b"], "p0 and p1: set the variable PATH to '/b' and '/n:/a:/b'"),
        ("/a", [None, "/n:/a"], "p0 and p1: set the variable PATH to nothing and '/n:/a'"),
        (
            None,
            ["/x:/y", "/y:/z", "/z:/x"],
            "p0 and p1 and p2: set the variable PATH to '/x:/y' and '/y:/z' and '/z:/x'",
        ),
    ],
)
def test_who_contradicts_whom_in_a_list(base: str | None, values: list[str | None], said: str) -> None:
    assert path(base, *values) == said


LISTS = st.lists(st.sampled_from(["/p", "/q", "/r", ""]), max_size=4, unique=True)


@pytest.mark.long
@given(st.sampled_from([None, "/a", "/a:/b"]), st.lists(st.tuples(LISTS, LISTS), min_size=2, max_size=3), st.data())
def test_laws_of_lists(base: str | None, parts: list[tuple[list[str], list[str]]], data: st.DataObject) -> None:
    folders = base.split(":") if base else []
    cut = data.draw(st.integers(0, len(folders)))
    values = [":".join((*front, *folders[:cut], *more, *folders[cut:])) for front, more in parts]
    together = path(base, *values)
    assert path(base, *values[:1] * 2) == values[0]
    assert path(base, values[0], base) == path(base, base, values[0]) == values[0]
    for several in permutations(values):
        other = path(base, *several)
        assert ("set the variable" in other) == ("set the variable" in together)
        assert "set the variable" in other or sorted(other.split(":")) == sorted(together.split(":"))
    if "set the variable" not in together and len({*values} - {base}) > 1:
        place = {folder: number for number, folder in enumerate(together.split(":"))}
        for value in values:
            own = [place[folder] for folder in dict.fromkeys(value.split(":")) if value]
            assert own == sorted(own)


@pytest.mark.long
@given(
    st.sampled_from(["/a", "/a:/b"]), st.lists(st.sampled_from(["front", "middle", "behind"]), min_size=3, max_size=3)
)
def test_which_two_lists_come_first_does_not_show(base: str, places: list[str]) -> None:
    """Of parts that put folders of their own into the list, each one of another name."""
    folders = base.split(":")
    at = {"front": 0, "middle": 1, "behind": len(folders)}
    values = [":".join((*folders[: at[one]], f"/{n}", *folders[at[one] :])) for n, one in enumerate(places)]
    together = path(base, *values)
    assert path(base, path(base, *values[:2]), values[2]) == together
    assert path(base, values[0], path(base, *values[1:])) == together


@pytest.mark.parametrize("name", ["ExposedPorts", "Volumes"])
def test_a_port_or_volume_that_one_part_has_no_more_is_gone(name: str) -> None:
    """As where a newer base has dropped it, and the layer has it from the old one."""

    def found(base: list[str], *parts: list[str]) -> list[str]:
        def config(keys: list[str]) -> dict[str, dict[str, object]]:
            return {name: {key: {} for key in keys}}

        merged, conflicts = merge_configs(
            config(base), [(str(number), config(one)) for number, one in enumerate(parts)]
        )
        assert conflicts == []
        return list(merged.get(name, {}))

    assert found(["8888"], [], ["8888"]) == found(["8888"], ["8888"], []) == []
    assert found(["8888"], ["9999"], ["8888", "1"]) == ["9999", "1"]
    assert found(["8888"], ["8888", "2"], ["1", "2", "8888"]) == ["8888", "2", "1"]
    assert found([], ["2"], []) == ["2"]
