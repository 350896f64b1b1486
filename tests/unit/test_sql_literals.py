"""Literals read back exactly as the value they were made of, in the engine itself."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from chdb import connect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kit import sql

PRECISE = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)

CHARACTERS = st.characters(exclude_categories=["Cs"])


@cache
def engine() -> Any:
    """Return the engine inside this process: a literal needs no server to be read back."""
    return connect(":memory:")


def select(expression: str) -> object:
    """Evaluate one expression and return it as its JSON value."""
    return json.loads(engine().query(f"SELECT {expression}", "JSONCompactEachRow").bytes())[0]


@pytest.fixture(scope="module", autouse=True)
def _closed_afterwards() -> Iterator[None]:
    yield
    engine().close()
    engine.cache_clear()


@PRECISE
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0'\\`\"\n\r\t\b%{}$-/*#")), max_size=40
    )
)
def test_every_text_reads_back_exactly(texts: list[str]) -> None:
    lengths = select(f"arrayMap(x -> hex(x), {sql.array(map(sql.string, texts))})") if texts else []
    assert lengths == [text.encode().hex().upper() for text in texts]


@PRECISE
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
def test_every_name_reads_back_exactly(name: str) -> None:
    answer = engine().query(f"SELECT 1 AS {sql.identifier(name)}", "JSONCompactEachRowWithNames").bytes()
    assert json.loads(answer.split(b"\n")[0]) == [name]


@PRECISE
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=50))
def test_every_double_keeps_its_bits(values: list[float]) -> None:
    bits = select(f"arrayMap(x -> hex(reinterpretAsFixedString(x)), {sql.array(map(sql.number, values))})")
    assert bits == [struct.pack("<d", value).hex().upper() for value in values]


@pytest.mark.parametrize("value", [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1])
def test_integers_of_64_bits_are_exact(value: int) -> None:
    assert select(f"toString({sql.integer(value)})") == str(value)
    assert select(f"toString(0-{sql.integer(value)} = {sql.integer(value)})") in ("0", "1")


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        sql.integer(value)


@pytest.mark.parametrize(
    ("moment", "read"),
    [
        (datetime(2026, 1, 31, 9, 0, tzinfo=UTC), "2026-01-31 09:00:00.000000"),
        (datetime(2026, 1, 31, 9, 0, 0, 123000, tzinfo=UTC), "2026-01-31 09:00:00.123000"),
        (datetime(2026, 1, 31, 9, 0, 0, 123456, tzinfo=UTC), "2026-01-31 09:00:00.123456"),
        (datetime(2026, 1, 31, 9, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-01-31 03:30:00.000000"),
        (datetime(1900, 1, 1, tzinfo=UTC), "1900-01-01 00:00:00.000000"),
        (datetime(2299, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), "2299-12-31 23:59:59.999000"),
    ],
)
def test_a_moment_is_exact_to_the_microsecond_in_utc(moment: datetime, read: str) -> None:
    assert select(f"toString(toDateTime64({sql.datetime64(moment)}, 6))") == read


def test_a_moment_without_a_zone_or_beyond_the_type_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        sql.datetime64(datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="1900"):
        sql.datetime64(datetime(1899, 12, 31, tzinfo=UTC))
    with pytest.raises(ValueError, match="1900"):
        sql.datetime64(datetime(2300, 1, 1, tzinfo=UTC))


def test_a_lone_surrogate_and_an_empty_name_are_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        sql.string("\ud800")
    with pytest.raises(ValueError, match="empty"):
        sql.identifier("")
    with pytest.raises(ValueError, match="NaN"):
        sql.number(float("nan"))


def test_a_uuid_and_a_boolean_are_typed() -> None:
    assert select(f"toTypeName({sql.uuid(UUID(int=7))})") == "UUID"
    assert select(f"toTypeName({sql.boolean(True)})") == "Bool"


def test_a_json_path_is_read_whole_whatever_its_name() -> None:
    value = json.dumps({"a b": {"c`d": 7}})
    assert select(f"(SELECT {sql.json_path('p', 'a b.c`d')}.:Int64 FROM (SELECT {sql.string(value)}::JSON AS p))") == 7
