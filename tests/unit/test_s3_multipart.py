"""shotmedia.s3.multipart: the plan of parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotmedia.s3.multipart import GIB, MIB, TIB, PartPlan, plan_parts


@pytest.mark.parametrize(
    ("size", "part_size", "count"),
    [
        (0, 16 * MIB, 1),
        (1, 16 * MIB, 1),
        (16 * MIB, 16 * MIB, 1),
        (16 * MIB + 1, 16 * MIB, 2),
        (160_000 * MIB, 16 * MIB, 10_000),
        (160_000 * MIB + 1, 17 * MIB, 9412),
        (5 * TIB, 525 * MIB, 9987),
    ],
)
def test_parts_grow_only_when_there_would_be_too_many(
    size: int, part_size: int, count: int
) -> None:
    assert plan_parts(size) == PartPlan(size, part_size, count)


def test_a_wished_part_size_is_brought_into_the_limits() -> None:
    assert plan_parts(100 * MIB, part_size=1).part_size == 5 * MIB
    assert plan_parts(100 * MIB, part_size=6 * GIB).part_size == 5 * GIB


def test_limits_are_arguments() -> None:
    plan = plan_parts(10, part_size=1, min_part=1, max_part=4, max_parts=3)
    assert list(plan.ranges()) == [(1, 0, 4), (2, 4, 4), (3, 8, 2)]
    assert plan.length(3) == 2


def test_an_empty_file_is_one_empty_part() -> None:
    assert list(plan_parts(0).ranges()) == [(1, 0, 0)]


@pytest.mark.parametrize("number", [0, 4, -1])
def test_there_is_no_other_part(number: int) -> None:
    with pytest.raises(ValueError, match="1 to 3"):
        plan_parts(11 * MIB, part_size=5 * MIB).length(number)


@pytest.mark.parametrize(
    ("size", "limits"),
    [(-1, {}), (5 * TIB + 1, {}), (13, {"max_part": 4, "min_part": 1, "max_parts": 3})],
)
def test_what_cannot_be_uploaded_is_refused(size: int, limits: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        plan_parts(size, **limits)


@given(
    size=st.integers(0, 400),
    part_size=st.integers(1, 60),
    min_part=st.integers(1, 10),
    max_part=st.integers(10, 50),
    max_parts=st.integers(8, 30),
)
def test_the_parts_are_the_file(
    size: int, part_size: int, min_part: int, max_part: int, max_parts: int
) -> None:
    limits = {"min_part": min_part, "max_part": max_part, "max_parts": max_parts}
    if size > max_part * max_parts:
        with pytest.raises(ValueError):
            plan_parts(size, part_size=part_size, **limits)
        return
    plan = plan_parts(size, part_size=part_size, **limits)
    ranges = list(plan.ranges())
    assert [number for number, _, _ in ranges] == list(range(1, plan.count + 1))
    assert plan.count <= max_parts
    assert min_part <= plan.part_size <= max_part
    position = 0
    for _, offset, length in ranges:
        assert offset == position
        position += length
    assert position == size
    assert all(length == plan.part_size for _, _, length in ranges[:-1])
    assert size == 0 or 0 < ranges[-1][2] <= plan.part_size


@given(size=st.integers(0, 5 * TIB))
def test_every_size_up_to_five_tebibytes_fits(size: int) -> None:
    plan = plan_parts(size)
    assert plan.count <= 10_000
    assert 5 * MIB <= plan.part_size <= 5 * GIB
    assert plan.part_size % MIB == 0
    assert (plan.count - 1) * plan.part_size < max(size, 1) <= plan.count * plan.part_size
