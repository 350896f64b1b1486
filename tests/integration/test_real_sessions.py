"""Sessions of a real shop's click stream and of readers of pages equal plain Python over the files."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from services.kit.settings import Settings
from tests.analyses import ask
from tests.api import Api
from tests.integration.test_load_files import DATA, load

TIMEOUT = 1_800
CLICKS = {"from": "2023-01-01", "to": "2025-06-01", "as_of": "2026-01-01"}
READS = {"from": "2014-01-01", "to": "2014-03-01", "as_of": "2015-01-01"}

pytestmark = [
    pytest.mark.skipif(not DATA, reason="CDP_TEST_DATA names no folder with the real files"),
    pytest.mark.timeout(300),
]


def rows(file: str) -> list[dict[str, str]]:
    text = gzip.decompress((Path(DATA) / file).read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def cut(times: Iterable[float], timeout: int) -> list[list[float]]:
    """Cut one reader's times where the next is more than `timeout` seconds later."""
    found: list[list[float]] = []
    for time in sorted(times):
        if found and time - found[-1][-1] <= timeout:
            found[-1].append(time)
        else:
            found.append([time])
    return found


async def every_session(api: Api, query: dict[str, Any]) -> list[tuple[str, float, float, int]]:
    listed: list[tuple[str, float, float, int]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await ask(
            api, api.workspace, "/query/session/list", {"query": query, "order": "oldest", "limit": 5_000, **cursor}
        )
        listed += [
            (
                one["actor"]["id"],
                datetime.fromisoformat(one["start"]).timestamp(),
                datetime.fromisoformat(one["end"]).timestamp(),
                one["events"],
            )
            for one in page["data"]
        ]
        if page["next_cursor"] is None:
            assert page["total"] == len(listed)
            return listed
        cursor = {"cursor": page["next_cursor"]}


async def test_half_an_hour_of_silence_finds_the_shops_own_sessions(infra: Settings, api: Api) -> None:
    load(infra, api.workspace, Path(DATA) / "ecom_synthetic.csv.gz", "--map", "ecom_synthetic", "--rejects", os.devnull)
    own: dict[tuple[str, str], list[float]] = {}
    for row in rows("ecom_synthetic.csv.gz"):
        own.setdefault((row["user_id"], row["session_id"]), []).append(seconds(row["timestamp"]))
    expected = sorted((user, min(times), max(times), len(times)) for (user, _), times in own.items())
    assert sorted(await every_session(api, CLICKS)) == expected
    (found,) = (await ask(api, api.workspace, "/query/session", CLICKS))["data"]
    lengths = [end - start for _, start, end, _ in expected]
    assert (found["sessions"], found["actors"]) == (len(expected), len({user for user, *_ in expected}))
    assert (found["events"], found["bounces"]) == (31_106, sum(count == 1 for *_, count in expected))
    assert found["mean_seconds"] == pytest.approx(sum(lengths) / len(lengths))
    assert found["median_seconds"] == pytest.approx(median(lengths))
    by_session = CLICKS | {"breakdown": {"by": ["properties.session_id"], "limit": 1_000}}
    groups = (await ask(api, api.workspace, "/query/session", by_session))["data"]
    assert {one["sessions"] for one in groups if not one["group"]["other"]} == {1}


async def test_the_sessions_of_readers_whose_gaps_are_exactly_half_an_hour(infra: Settings, api: Api) -> None:
    path = Path(DATA) / "wikipedia_reader_sessions.csv.gz"
    load(infra, api.workspace, path, "--map", "wikipedia_sessions", "--rejects", os.devnull)
    read: dict[str, list[float]] = {}
    for row in rows(path.name):
        read.setdefault(row["uuid"], []).append(seconds(row["timestamp"]))
    gaps = [
        later - time for times in read.values() for time, later in zip(sorted(times), sorted(times)[1:], strict=False)
    ]
    assert gaps.count(TIMEOUT) > 0, "the file has gaps of exactly half an hour"
    for timeout in (TIMEOUT - 1, TIMEOUT):
        expected = sorted(
            (reader, visit[0], visit[-1], len(visit)) for reader, times in read.items() for visit in cut(times, timeout)
        )
        longest = max(end - start for _, start, end, _ in expected)
        assert sorted(await every_session(api, READS | {"timeout": timeout})) == expected
        (found,) = (await ask(api, api.workspace, "/query/session", READS | {"timeout": timeout}))["data"]
        assert (found["sessions"], found["actors"]) == (len(expected), len(read))
        assert longest < 86_400, "no visit is cut by its duration"
