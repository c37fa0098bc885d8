"""The matrix of a stack, as GitHub Actions would expand it, and the values of its variants."""

from __future__ import annotations

import pytest
from hubstack.graph import resolve
from hubstack.model import Value, Variant

from tests.tree import faults, tree

TEXTS = "variables:\n" + "".join(
    f"  {name}: {{type: text, default: none}}\n" for name in ("fruit", "animal", "color", "shape")
)


def variants(matrix: str, *, variables: str = TEXTS, base: str = "base: debian", values: str = "") -> list[Variant]:
    """Of one stack over one layer."""
    stack = f"{base}\nlayers: [lab]\n{values}\nmatrix:\n{matrix}"
    files = {"base/debian": "", "base/cuda": "", "layers/lab": variables, "stacks/one.yaml": stack}
    return [image.variant for image in resolve(tree(files)).images]


def given(matrix: str, *, base: str = "base: debian") -> dict[str, dict[str, Value]]:
    return {variant.name: dict(variant.axes) for variant in variants(matrix, base=base)}


def test_no_matrix_gives_one_variant_called_default() -> None:
    (variant,) = variants("", values="values: {fruit: apple}")
    assert (variant.id, variant.axes, variant.values["fruit"]) == ("one/default", {}, "apple")


def test_axes_multiply_in_the_authors_order() -> None:
    """GitHub's first axis turns slowest."""
    assert list(given("  fruit: [pear, apple]\n  animal: [dog, cat]")) == [
        "pear-dog",
        "pear-cat",
        "apple-dog",
        "apple-cat",
    ]


def test_githubs_own_example_of_include() -> None:
    """docs.github.com, "Running variations of jobs in a workflow", "Expanding or adding matrix configurations"."""
    found = given(
        "  fruit: [apple, pear]\n  animal: [cat, dog]\n  include:\n    - {color: green}\n    - {color: pink, animal: cat}\n"
        "    - {fruit: apple, shape: circle}\n    - {fruit: banana}\n    - {fruit: banana, animal: cat}\n"
    )
    assert found == {
        "apple-cat": {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        "apple-dog": {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        "pear-cat": {"fruit": "pear", "animal": "cat", "color": "pink"},
        "pear-dog": {"fruit": "pear", "animal": "dog", "color": "green"},
        "banana": {"fruit": "banana"},
        "banana-cat": {"fruit": "banana", "animal": "cat"},
    }


def test_exclude_takes_out_every_point_that_has_all_its_values() -> None:
    matrix = "  fruit: [apple, pear]\n  animal: [cat, dog]\n  exclude: [{animal: cat}, {fruit: pear, animal: dog}]"
    assert list(given(matrix)) == ["apple-dog"]


def test_include_comes_after_exclude_and_can_bring_a_point_back() -> None:
    matrix = "  fruit: [apple, pear]\n  exclude: [{fruit: pear}]\n  include: [{fruit: pear, color: green}]"
    assert given(matrix) == {"apple": {"fruit": "apple"}, "pear": {"fruit": "pear", "color": "green"}}


def test_a_matrix_of_include_alone_names_its_points_by_all_their_values() -> None:
    assert list(given("  include: [{fruit: pear, color: green}, {fruit: apple}]")) == ["pear-green", "apple"]


def test_what_include_adds_goes_before_the_stacks_values_and_stays_out_of_the_name() -> None:
    apple, pear = variants(
        "  fruit: [apple, pear]\n  include: [{fruit: pear, color: green}]", values="values: {color: red}"
    )
    assert [(one.name, one.values["color"]) for one in (apple, pear)] == [("apple", "red"), ("pear", "green")]


def test_base_is_an_axis_like_any_other() -> None:
    found = variants("  fruit: [apple]\n  base: [debian, cuda]\n", base="")
    assert [(one.name, one.base, dict(one.axes)) for one in found] == [
        ("apple-debian", "debian", {"fruit": "apple", "base": "debian"}),
        ("apple-cuda", "cuda", {"fruit": "apple", "base": "cuda"}),
    ]
    assert all("base" not in one.values for one in found)


TYPED = "variables:\n" + "".join(
    f"  {name}: {{type: {name}, default: {default}}}\n"
    for name, default in (("text", "a"), ("int", "1"), ("bool", "no"), ("list", "[a]"), ("version", "1"))
)


@pytest.mark.parametrize(
    ("name", "written", "value", "text"),
    [
        ("text", "yes", "yes", "yes"),
        ("version", "1.10", "1.10", "1.10"),
        ("int", "12", 12, "12"),
        ("bool", "yes", True, "true"),
        ("bool", "OFF", False, "false"),
        ("list", "[b, c]", ("b", "c"), "b-c"),
    ],
)
def test_values_get_the_type_that_their_layer_declares(name: str, written: str, value: Value, text: str) -> None:
    (variant,) = variants(f"  {name}: [{written}]", variables=TYPED)
    assert (variant.values[name], variant.axes[name], variant.name) == (value, value, text)
    assert type(variant.values[name]) is type(value)


def test_every_variable_of_the_layers_has_a_value_and_they_are_sorted() -> None:
    (variant,) = variants("", variables=TYPED)
    assert list(variant.values.items()) == [
        ("bool", False),
        ("int", 1),
        ("list", ("a",)),
        ("text", "a"),
        ("version", "1"),
    ]


def test_exclude_and_include_compare_values_and_not_spellings() -> None:
    found = variants("  bool: [yes, no]\n  exclude: [{bool: false}]\n  include: [{bool: on, text: b}]", variables=TYPED)
    assert [(one.name, one.values["text"]) for one in found] == [("true", "b")]


def test_two_bases_may_declare_one_variable_in_two_types() -> None:
    files = {
        "base/debian": "variables: {release: {type: text, default: trixie}}",
        "base/cuda": "variables: {release: {type: int, default: 12}}",
        "layers/lab": "",
        "stacks/one.yaml": "layers: [lab]\nmatrix:\n  base: [debian, cuda]\n"
        "  include: [{base: debian, release: sid}, {base: cuda, release: 13}]",
    }
    found = [image.variant for image in resolve(tree(files)).images]
    assert [(one.base, one.values) for one in found] == [("debian", {"release": "sid"}), ("cuda", {"release": 13})]


def test_256_variants_are_allowed_and_one_more_is_not() -> None:
    files = {"base/debian": "", "layers/lab": "variables: {n: {type: int, default: 0}}"}
    matrix = "base: debian\nlayers: [lab]\nmatrix: {{n: [{}]}}"
    assert faults({**files, "stacks/one.yaml": matrix.format(", ".join(map(str, range(256))))}) == []
    (said,) = faults({**files, "stacks/one.yaml": matrix.format(", ".join(map(str, range(257))))})
    assert "the matrix gives 257 variants" in said


@pytest.mark.parametrize(
    ("settings", "room"),
    [
        ("", 115),  # 128 - "-" and 12 digits
        ("layout: single", 111),  # and "one-"
        (f"channels: [{'c' * 30}]", 97),
    ],
)
def test_a_variants_name_fits_into_every_tag_made_of_it(settings: str, room: int) -> None:
    files = {
        "hubstack.yaml": settings,
        "base/debian": "",
        "layers/lab": "variables: {motto: {type: text, default: a}}",
        "stacks/one.yaml": f"base: debian\nlayers: [lab]\nmatrix: {{motto: [{'x' * room}]}}",
    }
    assert faults(files) == []
    files["stacks/one.yaml"] = files["stacks/one.yaml"].replace("[x", "[xx")
    (said,) = faults(files)
    assert f"has {room + 1} characters, and {room} fit into a tag" in said


def test_equal_tags_matter_only_where_stacks_share_a_repository() -> None:
    stack = "base: debian\nlayers: [lab]\nmatrix: {{motto: [{}]}}"
    files = {
        "base/debian": "",
        "layers/lab": "variables: {motto: {type: text, default: a}}",
        "stacks/a.yaml": stack.format("b-c"),
        "stacks/a-b.yaml": stack.format("c"),
    }
    assert faults(files) == []
    assert len(faults({**files, "hubstack.yaml": "layout: single"})) == 1


def test_a_value_that_only_one_variant_lacks_is_missed_by_name() -> None:
    files = {
        "base/debian": "",
        "layers/lab": "variables: {wheels: {type: text}, fruit: {type: text, default: a}}",
        "stacks/one.yaml": "base: debian\nlayers: [lab]\nmatrix:\n  fruit: [apple, pear]\n  include: [{fruit: pear, wheels: b}]",
    }
    (said,) = faults(files)
    assert "one/apple gives no value to wheels" in said


def test_a_wrong_value_is_told_once_however_many_variants_have_it() -> None:
    files = {
        "base/debian": "",
        "layers/lab": TYPED,
        "stacks/one.yaml": "base: debian\nlayers: [lab]\nvalues: {int: four}\nmatrix: {text: [a, b], version: [1, 2]}",
    }
    assert len(faults(files)) == 1
