"""How the server's codes become the platform's errors."""

from __future__ import annotations

import pytest

from contracts.errors import LimitExceeded, TooManyRequests, Unavailable
from services.kit.clickhouse.errors import ClickHouseError, from_code


@pytest.mark.parametrize("code", [158, 159, 160, 241, 307, 396])
def test_limits_are_the_callers_to_know_without_the_text_of_the_server(code: int) -> None:
    error = from_code(code, "Code: 241. DB::Exception: secret table")
    assert isinstance(error, LimitExceeded)
    assert "secret" not in str(error)


@pytest.mark.parametrize("code", [210, 209, 236, 394, 735])
def test_a_server_that_stops_is_unavailable(code: int) -> None:
    assert isinstance(from_code(code, ""), Unavailable)


def test_too_many_queries_may_be_asked_again() -> None:
    error = from_code(202, "")
    assert isinstance(error, TooManyRequests)
    assert error.retry_after


def test_every_other_code_keeps_its_name_and_text() -> None:
    error = from_code(62, "Syntax error: failed at position 8 (SYNTAX_ERROR) (version 26.9.2.1)")
    assert isinstance(error, ClickHouseError)
    assert (error.code, error.name) == (62, "SYNTAX_ERROR")
    assert isinstance(unnamed := from_code(60, "no name here"), ClickHouseError)
    assert unnamed.name == "UNKNOWN_TABLE"
