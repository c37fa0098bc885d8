"""Where the boxes of a picture stand."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hubstack.picture.placement import Edge, Gaps, Placement, Rectangle, place
from hypothesis import given, settings
from hypothesis import strategies as st

GAPS = Gaps(column=40, box=10, line=6)


def placed(edges: str, last: str = "", boxes: str = "") -> Placement:
    """``edges`` as ``ab bc``; boxes of 20 × 10 in the alphabet's order."""
    names = sorted(set(f"{edges}{last}{boxes}".replace(" ", "")))
    pairs = [(edge[0], edge[1]) for edge in edges.split()]
    return place(dict.fromkeys(names, (20.0, 10.0)), pairs, last.split(), GAPS)


def columns(placement: Placement) -> dict[str, int]:
    """Each box's column, from its left side."""
    lefts = sorted({box.left for box in placement.boxes.values()})
    return {name: lefts.index(box.left) for name, box in placement.boxes.items()}


def crossings(placement: Placement) -> int:
    """Of straight lines between the points at which lines leave and reach columns."""
    pieces = [piece for line in placement.lines.values() for piece in pairwise(line)]
    return sum(
        one[0][0] == other[0][0] and (one[0][1] - other[0][1]) * (one[1][1] - other[1][1]) < 0
        for one, other in combinations(pieces, 2)
    )


def test_a_box_stands_right_of_all_that_it_needs() -> None:
    assert columns(placed("ab bc ac cd")) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_the_last_column_is_for_those_that_are_told() -> None:
    assert columns(placed("ab bc ay cz", last="y z")) == {"a": 0, "b": 1, "c": 2, "y": 3, "z": 3}


def test_a_box_that_many_need_stands_near_them() -> None:
    """``b`` needs one box and is needed by two far away: two long lines are worse than one."""
    assert columns(placed("ab ac cd de ef eg bf bg"))["b"] == 3


def test_lines_do_not_cross_where_they_need_not() -> None:
    assert crossings(placed("ad bc ef ce de", boxes="f")) == 0
    assert crossings(placed("ag bf ch dg eh")) == 0


def test_a_line_over_several_columns_is_level_where_it_passes_one() -> None:
    line = placed("ab bc cd ad").lines["a", "d"]
    assert len(line) == 6
    assert [line[1][1], line[3][1]] == [line[2][1], line[4][1]]


def test_nothing_to_place() -> None:
    assert placed("").size == (0.0, 0.0)
    assert placed("", boxes="a").boxes["a"] == Rectangle(left=0.0, top=0.0, width=20.0, height=10.0)


NAMES = [f"b{number}" for number in range(12)]


@st.composite
def drawings(draw: st.DrawFn) -> tuple[dict[str, tuple[float, float]], list[Edge], list[str]]:
    sizes = {name: (float(draw(st.integers(10, 60))), float(draw(st.integers(10, 30)))) for name in NAMES}
    pairs = st.sampled_from(list(combinations(NAMES, 2)))
    edges = draw(st.lists(pairs, unique=True, max_size=30))
    leaves = [name for name in NAMES if not any(start == name for start, _ in edges)]
    return sizes, edges, draw(st.lists(st.sampled_from(leaves), unique=True))


@settings(deadline=None)
@given(drawings())
def test_boxes_and_lines_keep_their_distance_and_stay_inside(
    drawing: tuple[dict[str, tuple[float, float]], list[Edge], list[str]],
) -> None:
    sizes, edges, last = drawing
    placement = place(sizes, edges, last, GAPS)
    near = 1e-6
    for one, other in combinations(placement.boxes.values(), 2):
        if one.left == other.left:
            upper, lower = sorted((one, other), key=lambda box: box.top)
            assert lower.top - (upper.top + upper.height) > GAPS.box - near
        else:
            assert abs(one.left - other.left) > GAPS.column - near
    for (start, end), line in placement.lines.items():
        assert line[0][0] < line[-1][0]
        assert line[0][1] == pytest.approx(placement.boxes[start].top + placement.boxes[start].height / 2)
        assert line[-1][1] == pytest.approx(placement.boxes[end].top + placement.boxes[end].height / 2)
        for (x, y), (right, _) in list(pairwise(line))[1::2]:
            for box in placement.boxes.values():
                assert not (x < box.left + box.width and right > box.left and box.top < y < box.top + box.height)
    assert min(box.top for box in placement.boxes.values()) > -near
    assert all(box.left + box.width <= placement.size[0] + near for box in placement.boxes.values())
    assert all(box.top + box.height <= placement.size[1] + near for box in placement.boxes.values())
