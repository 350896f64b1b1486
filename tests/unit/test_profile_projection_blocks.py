"""What is read of the event tables, by the numbers of their blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.profile.projection.blocks import Blocks, Gap, Part, Place, Read, look

HERE = Place("", "events_track", "202401")
THERE = Place("", "events_track", "202402")
MINUTE = 60.0


def parts(*numbers: tuple[int, int], place: Place = HERE) -> list[Part]:
    return [Part(place, first, last) for first, last in numbers]


def test_what_is_there_is_read_once_whatever_is_merged() -> None:
    blocks, read = look({}, parts((1, 1), (2, 2)), now=0, patience=0)
    assert blocks == [Blocks(HERE, 1, 2)]
    assert look(read, parts((1, 2)), now=1, patience=0) == ([], read)
    assert look(read, parts((1, 3)), now=2, patience=0) == ([Blocks(HERE, 3, 3)], {HERE: Read(3)})


def test_numbers_missing_in_a_plain_table_are_those_of_other_partitions() -> None:
    blocks, read = look({}, parts((1, 1), (4, 4)) + parts((3, 3), place=THERE), now=0, patience=0)
    assert blocks == [Blocks(HERE, 1, 4), Blocks(THERE, 1, 3)]
    assert read == {HERE: Read(4), THERE: Read(3)}


def test_a_gap_is_read_when_it_fills_and_only_what_is_below_is_kept_until_then() -> None:
    _, read = look({}, parts((1, 1), (4, 5)), now=0, patience=MINUTE)
    assert read[HERE] == Read(5, (Gap(2, 3, 0),))
    assert read[HERE].contiguous == 1
    blocks, read = look(read, parts((1, 1), (3, 3), (4, 5)), now=10, patience=MINUTE)
    assert blocks == [Blocks(HERE, 2, 3)]
    assert read[HERE] == Read(5, (Gap(2, 2, 0),))
    blocks, read = look(read, parts((1, 5)), now=20, patience=MINUTE)
    assert blocks == [Blocks(HERE, 2, 2)]
    assert read[HERE].contiguous == 5


def test_a_gap_that_nothing_fills_is_given_up_after_a_minute() -> None:
    _, read = look({}, parts((2, 2)), now=0, patience=MINUTE)
    _, read = look(read, parts((2, 2)), now=59, patience=MINUTE)
    assert read[HERE].contiguous == 0
    _, read = look(read, parts((2, 2)), now=60, patience=MINUTE)
    assert read[HERE].contiguous == 2


def test_who_begins_again_reads_what_is_behind_the_gap_again() -> None:
    _, read = look({}, parts((1, 1), (3, 3)), now=0, patience=MINUTE)
    blocks, _ = look({HERE: Read(read[HERE].contiguous)}, parts((1, 1), (3, 3)), now=1, patience=MINUTE)
    assert blocks == [Blocks(HERE, 2, 3)]


def test_a_partition_that_was_emptied_and_numbered_anew_is_read_from_the_beginning() -> None:
    blocks, read = look({HERE: Read(9)}, parts((3, 3)), now=0, patience=0)
    assert (blocks, read) == ([Blocks(HERE, 1, 3)], {HERE: Read(3)})
    assert look({HERE: Read(9)}, [], now=0, patience=0) == ([], {})


@given(st.permutations(range(1, 9)), st.lists(st.integers(0, 8), min_size=1, max_size=6), st.sampled_from([1, 2, 4]))
def test_every_block_is_read_in_whatever_order_they_become_visible(
    order: list[int], looks: list[int], width: int
) -> None:
    read: dict[Place, Read] = {}
    seen: set[int] = set()
    for now, count in enumerate([*sorted(looks), 8]):
        visible = set(order[:count])
        merged = [
            (first, first + width - 1)
            for first in range(1, 9, width)
            if visible.issuperset(range(first, first + width))
        ]
        alone = [(each, each) for each in visible if not any(first <= each <= last for first, last in merged)]
        blocks, read = look(read, parts(*merged, *alone), now=now, patience=MINUTE)
        for each in blocks:
            seen |= visible.intersection(range(each.first, each.last + 1))
        assert seen == visible
    assert read[HERE] == Read(8)
