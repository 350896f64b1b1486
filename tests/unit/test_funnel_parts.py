"""The small parts of funnels: values packed, histograms, what the engine computes by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.funnel import FunnelRequest
from services.query.analysis.funnel import untied
from services.query.analysis.funnel.disjoint import suits
from services.query.analysis.funnel.summary import bins_of, histogram, quantile, seconds
from services.query.analysis.funnel.values import group_of, order, pack, unpack

ABC = [{"names": ["a"]}, {"names": ["b"]}, {"names": ["c"]}]


def request(**body: Any) -> FunnelRequest:
    return msgspec.convert({"steps": ABC} | body, FunnelRequest)


@pytest.mark.parametrize("values", [(None,), ("",), ("-", None), ("3:abc", "é:"), (None, None, "1:1")])
def test_packed_values_are_read_back(values: tuple[str | None, ...]) -> None:
    packed = pack(values)
    assert unpack(packed) == tuple(None if value is None else value.encode() for value in values)
    assert group_of(packed).values == values


def test_packed_values_sort_by_value_null_first_whatever_their_length() -> None:
    values: list[tuple[str | None]] = [("b",), ("aaaaaaaaaaaa",), (None,), ("",)]
    assert sorted(map(pack, values), key=order) == [pack((value,)) for value in (None, "", "aaaaaaaaaaaa", "b")]


def test_quantiles_interpolate_between_the_nearest_two() -> None:
    assert quantile([0, 10, 20, 40, 50], 0.9) == pytest.approx(46.0)
    assert quantile([7], 0.5) == 7
    assert seconds([]) is None
    both = seconds([1_000, 2_000])
    assert both is not None
    assert (both.mean, both.median, both.p90) == (1.5, 1.5, pytest.approx(1.9))


@pytest.mark.parametrize(("count", "bins"), [(1, 1), (8, 2), (9, 3), (27, 3), (28, 4), (1_000_000, 100)])
def test_there_are_as_many_bins_as_the_cube_root_says(count: int, bins: int) -> None:
    assert bins_of(count, 0, 1, None)[0] == bins


def test_bins_are_whole_seconds_wide_and_one_more_closes() -> None:
    assert histogram([], 3) == ()
    found = histogram([1_500, 1_500, 4_499, 4_500], 1)
    assert [(one.start, one.end, one.count) for one in found] == [(1.5, 4.5, 3), (4.5, 7.5, 1)]
    assert [(one.start, one.end, one.count) for one in histogram([2_000], None)] == [(2, 62, 1), (62, 122, 0)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"times": True, "trend": "day"},
        {"order": "any"},
        {"holding": ["event"]},
        {"steps": [{"names": ["a"]}, {"table": "page"}, {"table": "identify"}]},
        {"steps": [{"names": [f"n{number}"]} for number in range(20)]},
        {"breakdown": {"by": ["event"], "attribution": "all_events"}},
    ],
)
def test_steps_that_share_no_events_are_left_to_the_engine(body: dict[str, Any]) -> None:
    assert suits(request(**body))


@pytest.mark.parametrize(
    "body",
    [
        {"order": "strict"},
        {"exclusions": [{"names": ["x"]}]},
        {"steps": [{"names": ["a"]}, {"names": ["b"], "optional": True}]},
        {"steps": [{"names": ["a", "b"]}, {"names": ["b"]}]},
        {"steps": [{"names": ["a"]}, {"table": ["track", "page"], "where": {"op": "and", "items": []}}]},
        {"steps": [{"table": "identify"}, {"table": "any", "names": ["a"]}]},
        {"steps": [{"names": [f"n{number}"]} for number in range(20)], "times": True},
        {"breakdown": {"by": ["event"], "attribution": "step", "step": 1}},
        {"breakdown": {"by": ["event"]}, "holding": ["event"]},
    ],
)
def test_what_the_arrays_cannot_tell_is_judged_exactly(body: dict[str, Any]) -> None:
    assert not suits(request(**body))


def test_counts_by_order_are_left_to_the_engine_but_for_ties() -> None:
    shared = {"steps": [{"names": ["a"]}, {"names": ["a"]}]}
    assert untied.suits(request(**shared))
    assert untied.suits(request(order="strict"))
    excluding = {"exclusions": [{"names": ["x"]}]}
    assert untied.suits(request(**excluding))
    for more in ({"times": True}, {"order": "any"}, {"holding": ["event"]}, excluding | {"effect": "disqualify"}):
        assert not untied.suits(request(**shared, **more))
