"""A workspace with many property names: JSON with the limit of 64 paths in files of their own, and without one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from contracts.errors import LimitExceeded
from services.kit.clickhouse import ClickHouse, ClickHouseError

NAMES = (1_000, 5_000)
ROWS = 20_000
NAMES_A_ROW = 10
TYPES = {"64 paths": "JSON(max_dynamic_paths=64)", "no limit": "JSON(max_dynamic_paths=10000)"}
_SECONDS = 600.0


async def compare_names(clickhouse: ClickHouse, pid: int) -> dict[str, Any]:
    """Print and return the figures of each number of names and each type.

    Seconds to insert and to merge, the engine's peak memory above where it began, bytes on disk, seconds to read one
    name and whole objects; `failed` when the engine gave up. `pid` is its process.
    """
    figures: dict[str, Any] = {}
    for names in NAMES:
        for label, type_ in TYPES.items():
            case, table = f"{names:,} names, {label}", f"cdp.bench_names_{len(figures)}"
            await clickhouse.execute(f"CREATE TABLE {table} (n UInt64, p {type_}) ENGINE = MergeTree ORDER BY n")
            try:
                figures[case] = await _measure(clickhouse, pid, table, names)
            except (LimitExceeded, ClickHouseError) as error:
                figures[case] = {"failed": str(error)[:200]}
            await clickhouse.execute(f"DROP TABLE {table}")
            print(f"\n{case}, {ROWS:,} rows of {NAMES_A_ROW}")
            for figure, value in figures[case].items():
                print(f"  {figure:<20}{value if isinstance(value, str) else format(value, ',.3f'):>18}")
    return figures


async def _measure(clickhouse: ClickHouse, pid: int, table: str, names: int) -> dict[str, Any]:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak so far
    before, started = _resident(pid, "VmRSS"), time.perf_counter()
    await clickhouse.execute(f"INSERT INTO {table} {_rows(names)}", timeout=_SECONDS)
    inserted = time.perf_counter() - started
    await clickhouse.execute(f"OPTIMIZE TABLE {table} FINAL", timeout=_SECONDS)
    return {
        "insert": inserted,
        "insert and merge": time.perf_counter() - started,
        "peak MiB": (_resident(pid, "VmHWM") - before) / 1024,
        "bytes": (await _value(clickhouse, f"SELECT total_bytes FROM system.tables WHERE name = '{table[4:]}'"))[0],
        "read one name": (await _value(clickhouse, f"SELECT count(p.name_77) FROM {table}"))[1],
        "read objects": (await _value(clickhouse, f"SELECT sum(length(toJSONString(p))) FROM {table}"))[1],
    }


def _rows(names: int) -> str:
    name = f"concat('\"name_', toString(sipHash64(number, i) % {names}), '\":', toString(number % 100))"
    pairs = f"arrayStringConcat(arrayMap(i -> {name}, range({NAMES_A_ROW})), ',')"
    return (
        f"SELECT number, concat('{{', {pairs}, '}}') FROM numbers({ROWS}) SETTINGS type_json_skip_duplicated_paths = 1"
    )


async def _value(clickhouse: ClickHouse, statement: str) -> tuple[Any, float]:
    started = time.perf_counter()
    result = await clickhouse.query(statement, query_id=uuid4().hex, timeout=_SECONDS)
    return result.data[0][0], time.perf_counter() - started


def _resident(pid: int, field: str) -> int:
    """Return a line of a process's memory figures, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise KeyError(field)
