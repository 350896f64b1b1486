"""`cdp load` against real servers: every format, twice, interrupted, with poison, equal to plain Python."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import nats
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from contracts import subjects
from contracts.base import decode
from contracts.durable import EventsIngested
from services.kit.clickhouse import ClickHouse
from services.kit.settings import Settings
from tests.lookalike import order_lines, segment_calls

URLS = ("nats_url", "clickhouse_url", "clickhouse_http_url", "postgres_url", "redis_url")
DATA = os.environ.get("CDP_TEST_DATA", "")
"""A folder with the real files, for the tests that want them."""


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    given = {name: getattr(settings, name) for name in URLS} | changes
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    return kept | {f"ANALYTICS_{name.upper()}": value for name, value in given.items()}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from deploy.cli.main import main; main()", *arguments]


def load(settings: Settings, workspace: UUID, path: Path | str, *options: str, fails: bool = False, **how: Any) -> str:
    done = subprocess.run(
        command("load", str(path), "--workspace", str(workspace), *options),
        env=environment(settings, **how.pop("changes", {})),
        capture_output=True,
        timeout=100,
        **how,
    )
    text = (done.stdout + done.stderr).decode()
    assert (done.returncode != 0) == fails, text
    return text


@pytest.fixture
async def clickhouse(infra: Settings) -> AsyncIterator[ClickHouse]:
    handle = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=2)
    await handle.start()
    yield handle
    await handle.close()


async def rows_of(clickhouse: ClickHouse, sql: str, workspace: UUID) -> list[tuple[Any, ...]]:
    result = await clickhouse.query(sql.replace("$W", f"toUUID('{workspace}')"), query_id=uuid4().hex, timeout=60)
    return [tuple(value.decode() if isinstance(value, bytes) else value for value in row) for row in result.rows()]


async def counts(clickhouse: ClickHouse, workspace: UUID) -> dict[str, int]:
    sql = " UNION ALL ".join(
        f"SELECT '{table}', toInt64(count()) FROM events_{table} FINAL WHERE workspace_id = $W"
        for table in ("track", "identify", "page", "group")
    )
    return {table: count for table, count in await rows_of(clickhouse, sql, workspace) if count}


ROWS = [
    {
        "id": f"m{i}",
        "who": f"u{i % 3}",
        "at": f"2024-05-{1 + i:02d}T10:00:00",
        "name": "Buy",
        "price": i / 4,
        "tag": 'ä,"\n',
    }
    for i in range(9)
]
OPTIONS = (
    "--table", "track", "--event-column", "name", "--user-column", "who", "--timestamp-column", "at",
    "--message-id-column", "id", "--properties", "*", "--type", "price=number", "--timezone", "Europe/Berlin",
)  # fmt: skip


def as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def as_ndjson(rows: Sequence[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def as_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("write", "pack"),
    [(as_csv, gzip.compress), (as_ndjson, bytes), (as_parquet, bytes), (as_ndjson, zstandard.compress)],
)
async def test_every_format_gives_the_same_events_compressed_or_not(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID, tmp_path: Path, write: Any, pack: Any
) -> None:
    path = tmp_path / "input"
    path.write_bytes(pack(write(ROWS)))
    assert "9 events" in load(infra, workspace, path, *OPTIONS)
    found = await rows_of(
        clickhouse,
        "SELECT message_id, user_id, event, toString(timestamp), properties.price.:Float64, properties.tag.:String "
        "FROM events_track FINAL WHERE workspace_id = $W ORDER BY message_id",
        workspace,
    )
    # 0.0 written without its point in CSV is still a number: 0 or 0.0.
    assert [(*row[:4], row[4] or 0.0, row[5]) for row in found] == [
        (row["id"], row["who"], "Buy", f"{str(row['at'])[:10]} 08:00:00.000", row["price"], row["tag"]) for row in ROWS
    ]


async def test_standard_input_is_a_file_like_any_other(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID, tmp_path: Path
) -> None:
    data = as_csv(ROWS)
    options = [option for option in OPTIONS if option not in ("--message-id-column", "id")]
    load(infra, workspace, "-", *options, "--rejects", str(tmp_path / "rejects"), input=gzip.compress(data))
    (tmp_path / "plain.csv").write_bytes(data)
    load(infra, workspace, tmp_path / "plain.csv", *options)
    assert await counts(clickhouse, workspace) == {"track": 9}, "the ids come from the content, not from how it came"


async def test_bad_lines_are_kept_with_their_number_and_cost_nothing_else(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID, tmp_path: Path
) -> None:
    good = list(segment_calls(300))
    poison = (
        b'{"type":"track","userId":"u","event":"E","timestamp":"2024-01-01","properties":{"a":'
        + b"[" * 900
        + b"]" * 900
        + b"}}"
    )
    lines = [*good[:100], b"not json", *good[100:200], poison, b'{"type":"track"}', b"\xff", *good[200:]]
    twin = b'{"type":"track","userId":"u","event":"E","timestamp":"2024-01-01","properties":{"a.b":1,"a":{"b":2}}}'
    path = tmp_path / "calls.ndjson"
    path.write_bytes(b"\n".join([*lines, twin]))
    text = load(infra, workspace, path)
    kept = [json.loads(line) for line in (tmp_path / "calls.ndjson.rejects.ndjson").read_text().splitlines()]
    by_line = {entry["line"]: entry["reason"] for entry in kept}
    assert set(by_line) - {202} == {101, 203, 204}, by_line
    assert by_line[204] == "not UTF-8"
    loaded = (await counts(clickhouse, workspace))["track"]
    assert loaded == len(lines) + 1 - len(kept)
    assert f"rejected    {len(kept)}" in text
    assert "rejected" in load(infra, workspace, path, "--strict", fails=True)
    path.write_bytes(b"\n".join(good))
    load(infra, workspace, path)
    assert not (tmp_path / "calls.ndjson.rejects.ndjson").exists(), "no rejects, no file of an earlier load"


async def test_times_and_texts_in_properties_stay_what_the_file_says(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID, tmp_path: Path
) -> None:
    path = tmp_path / "one.ndjson"
    properties = {"at": "2024-01-01T00:00:00+07:00", "day": "2024-01-01", "big": 2**63, "n": 1.5, "s": "1", "a.b": True}
    call = {"type": "track", "userId": "u", "event": "E", "timestamp": 1_700_000_000, "properties": properties}
    path.write_text(json.dumps(call) + "\n")
    load(infra, workspace, path)
    # The same through a mapping, which writes columns by path.
    mapping = tmp_path / "m.toml"
    mapping.write_text(
        'user_id = "userId"\ntimestamp = "timestamp"\n[[events]]\ntable = "track"\nevent = "\'Mapped\'"\n'
        "[events.properties]\n" + "\n".join(f'"{name}" = "`properties.{name}`"' for name in properties)
    )
    load(infra, workspace, path, "--map", str(mapping), "--format", "ndjson")
    found = await rows_of(
        clickhouse,
        "SELECT event, toJSONString(properties), toString(JSONAllPathsWithTypes(properties)) FROM events_track FINAL "
        "WHERE workspace_id = $W ORDER BY event",
        workspace,
    )
    assert [row[0] for row in found] == ["E", "Mapped"]
    assert found[0][1:] == found[1][1:]
    assert json.loads(found[0][1])["at"] == "2024-01-01T00:00:00+07:00"
    assert "'day':'String'" in found[0][2]


async def test_loading_again_after_a_kill_gives_what_one_load_gives(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID, tmp_path: Path
) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(b"\n".join(order_lines(80_000)))
    process = subprocess.Popen(
        command("load", str(path), "--workspace", str(workspace), "--map", "online_retail", "--quiet"),
        env=environment(infra), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if await counts(clickhouse, workspace):
            break
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert await counts(clickhouse, workspace), "it was killed after it had begun"
    load(infra, workspace, path, "--map", "online_retail")
    once = await counts(clickhouse, workspace)
    load(infra, workspace, path, "--map", "online_retail")
    assert await counts(clickhouse, workspace) == once
    await equals_plain_python(clickhouse, workspace, path.read_bytes())


async def equals_plain_python(clickhouse: ClickHouse, workspace: UUID, data: bytes) -> None:
    """Compare counts by event, customer and day, and the revenue of every order, with the csv module over the file."""
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    final = "FROM events_track FINAL WHERE workspace_id = $W"
    lines = f"{final} AND event = 'Order Line'"
    by_user = dict(await rows_of(clickhouse, f"SELECT user_id, toInt64(count()) {lines} GROUP BY 1", workspace))
    assert by_user == dict(Counter(row["customer_id"] for row in rows))
    by_day = dict(
        await rows_of(clickhouse, f"SELECT toString(toDate(timestamp)), toInt64(count()) {lines} GROUP BY 1", workspace)
    )
    assert by_day == dict(Counter(row["invoice_date"][:10] for row in rows))
    revenue: dict[str, float] = {}
    for row in rows:
        amount = int(row["quantity"]) * float(row["unit_price"])
        revenue[row["invoice_no"]] = revenue.get(row["invoice_no"], 0.0) + amount
    number = "coalesce(properties.revenue.:Float64, toFloat64(properties.revenue.:Int64))"
    orders = dict(
        await rows_of(
            clickhouse, f"SELECT properties.order_id.:String, {number} {final} AND event != 'Order Line'", workspace
        )
    )
    assert orders.keys() == revenue.keys()
    assert all(orders[number] == pytest.approx(revenue[number], abs=1e-6) for number in revenue)
    found = await rows_of(
        clickhouse,
        "SELECT user_id, traits.country.:String FROM events_identify FINAL WHERE workspace_id = $W",
        workspace,
    )
    countries = {row["customer_id"]: row["country"] for row in reversed(rows) if row["customer_id"]}
    assert dict(found) == countries


@pytest.mark.skipif(not DATA, reason="CDP_TEST_DATA names no folder with the real files")
@pytest.mark.timeout(600)
async def test_the_real_order_lines_equal_plain_python(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID
) -> None:
    path = Path(DATA) / "online_retail.csv.gz"
    for _ in range(2):
        load(infra, workspace, path, "--map", "online_retail", "--rejects", os.devnull)
    await equals_plain_python(clickhouse, workspace, gzip.decompress(path.read_bytes()))


@pytest.mark.skipif(not DATA, reason="CDP_TEST_DATA names no folder with the real files")
async def test_the_real_click_stream_equals_plain_python(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID, tmp_path: Path
) -> None:
    path = Path(DATA) / "ecom_synthetic.csv.gz"
    for _ in range(2):
        load(infra, workspace, path, "--map", "ecom_synthetic", "--rejects", str(tmp_path / "r"))
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline="")))
    for column, sql in (("event", "name"), ("user_id", "user"), ("timestamp", "day")):
        found = await rows_of(
            clickhouse,
            f"SELECT {sql}, toInt64(count()) FROM ("
            "SELECT event AS name, user_id AS user, toString(toDate(timestamp)) AS day FROM events_track FINAL "
            "WHERE workspace_id = $W UNION ALL "
            "SELECT name, user_id, toString(toDate(timestamp)) FROM events_page FINAL WHERE workspace_id = $W) "
            "GROUP BY 1",
            workspace,
        )
        assert dict(found) == dict(Counter(row[column][:10] if column == "timestamp" else row[column] for row in rows))


async def test_new_rows_are_announced_after_identity_knows_them(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID, tmp_path: Path
) -> None:
    path = tmp_path / "input.csv"
    path.write_bytes(as_csv(ROWS))
    connection = await nats.connect(infra.nats_url.split(",")[0])
    try:
        subscription = await connection.subscribe(subjects.ingested(workspace))
        await connection.flush()
        await asyncio.to_thread(load, infra, workspace, path, *OPTIONS)
        message = await subscription.next_msg(timeout=10)
        event = decode(message.data, EventsIngested)
        assert (event.workspace_id, event.tables, event.rows, event.source) == (workspace, ("track",), 9, "load")
        assert event.user_ids == ("u0", "u1", "u2")
        assert (event.from_.isoformat(), event.to.isoformat()) == (
            "2024-05-01T08:00:00+00:00",
            "2024-05-09T08:00:00+00:00",
        )
        stored = await connection.jetstream().get_last_msg(subjects.EVENTS_STREAM, subjects.ingested(workspace))
        assert stored.headers and stored.headers["Nats-Msg-Id"]
    finally:
        await connection.close()


async def test_a_load_without_nats_goes_on_and_says_so(
    infra: Settings, clickhouse: ClickHouse, workspace: UUID, tmp_path: Path
) -> None:
    path = tmp_path / "input.csv"
    path.write_bytes(as_csv(ROWS))
    text = load(infra, workspace, path, *OPTIONS, changes={"nats_url": "nats://127.0.0.1:1"})
    assert "found by polling" in text
    assert await counts(clickhouse, workspace) == {"track": 9}


def test_what_cannot_begin_fails_with_advice(infra: Settings, workspace: UUID, tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    path.write_bytes(as_csv(ROWS))
    assert "needs a mapping" in load(infra, workspace, path, fails=True)
    assert "no column nope" in load(infra, workspace, path, *OPTIONS[:-4], "--type", "nope=number", fails=True)
    assert "No such file" in load(infra, workspace, tmp_path / "missing", *OPTIONS, fails=True)
    away = {"clickhouse_http_url": "http://127.0.0.1:1"}
    assert "ClickHouse does not answer" in load(infra, workspace, path, *OPTIONS, fails=True, changes=away)
