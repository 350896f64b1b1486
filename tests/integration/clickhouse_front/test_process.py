"""The process: start, stop, kill, memory, dictionaries."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from asynch.connection import Connection

from .server import ROOT, Front, fetch
from .test_cancel import ENDLESS

BOUND = 800 << 20


async def test_what_was_acknowledged_survives_kill_minus_nine(tmp_path: Path) -> None:
    server = Front(tmp_path).start()
    acknowledged = 0
    async with server.connection() as connected:
        await fetch(connected, "CREATE TABLE kept (id UInt64, s String) ENGINE = MergeTree ORDER BY id")
        for batch in range(30):
            async with connected.cursor() as cursor:
                rows = [(batch * 1000 + n, "x" * 20) for n in range(1000)]
                await cursor.execute("INSERT INTO kept (id, s) VALUES", rows)
            acknowledged += 1000
        server.kill()
    server.start()
    async with server.connection() as connected:
        assert await fetch(connected, "SELECT count(), sum(id) FROM kept") == [(acknowledged, sum(range(acknowledged)))]
    assert server.stop() == 0


async def test_a_second_process_on_the_same_folder_is_told_so(front: Front) -> None:
    other = Front(front.folder)
    command = other.command
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "is in use by another process" in done.stderr
    assert "Traceback" not in done.stderr


async def test_sigterm_ends_running_queries_and_exits_cleanly(tmp_path: Path) -> None:
    server = Front(tmp_path).start()
    connected = server.connection()
    await connected.connect()
    task = asyncio.create_task(fetch(connected, ENDLESS))
    await asyncio.sleep(0.5)
    assert await asyncio.to_thread(server.stop) == 0
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], Exception)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is signalled by Linux only")
def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    server = Front(tmp_path)
    (tmp_path / "users.json").write_text('[{"name": "cdp", "password": "x"}]')
    code = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); p.wait()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *server.command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    child = Path(f"/proc/{int(parent.stdout.readline())}")
    server.wait()  # only then has it asked to be told of its parent's end
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(300):
        if not child.exists() or "Z" in (child / "stat").read_text().rpartition(")")[2].split()[0]:
            return
        time.sleep(0.1)
    pytest.fail("the server outlived its parent")


async def test_a_slow_reader_of_a_large_result_costs_bounded_memory(front: Front, plain: Connection) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await fetch(plain, f"CREATE TABLE {table} (id UInt64, s String, v Float64) ENGINE = MergeTree ORDER BY id")
    await fetch(plain, f"INSERT INTO {table} SELECT number, hex(cityHash64(number)), number / 3 FROM numbers(5000000)")
    result = await plain._connection.execute_iter(f"SELECT * FROM {table}", settings={"strings_as_bytes": True})
    rows = peak = blocks = 0
    async for packet in result.packet_generator:
        rows += packet.block.num_rows
        blocks += 1
        if blocks < 20:
            await asyncio.sleep(0.1)
        peak = max(peak, front.resident())
    assert rows == 5_000_000
    assert peak < BOUND, f"{peak >> 20} MiB"
    await fetch(plain, f"DROP TABLE {table} SYNC")


async def test_a_large_block_is_inserted_in_bounded_memory(front: Front, plain: Connection) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await fetch(plain, f"CREATE TABLE {table} (id UInt64, s String) ENGINE = MergeTree ORDER BY id")
    peak = 0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, front.resident())
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    async with plain.cursor() as cursor:
        await cursor.execute(f"INSERT INTO {table} (id, s) VALUES", [(n, "y" * 100) for n in range(600_000)])
    watching.cancel()
    assert await fetch(plain, f"SELECT count() FROM {table}") == [(600_000,)]
    assert peak < BOUND, f"{peak >> 20} MiB"
    await fetch(plain, f"DROP TABLE {table} SYNC")


async def test_dictionaries_reload_after_their_lifetime(plain: Connection) -> None:
    name = uuid.uuid4().hex
    await fetch(plain, f"CREATE TABLE s_{name} (id UInt64, v String) ENGINE = MergeTree ORDER BY id")
    await fetch(
        plain,
        f"CREATE DICTIONARY d_{name} (id UInt64, v String) PRIMARY KEY id "
        f"SOURCE(CLICKHOUSE(QUERY 'SELECT id, v FROM default.s_{name}')) LAYOUT(HASHED()) LIFETIME(MIN 1 MAX 2)",
    )
    asked = f"SELECT dictGet('d_{name}', 'v', toUInt64(1))"
    assert await fetch(plain, asked) == [("",)]
    await fetch(plain, f"INSERT INTO s_{name} VALUES (1, 'new')")
    for _ in range(60):
        if await fetch(plain, asked) == [("new",)]:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the dictionary was not reloaded")
    await fetch(plain, f"INSERT INTO s_{name} VALUES (2, 'now')")
    await fetch(plain, f"SYSTEM RELOAD DICTIONARY default.d_{name}")
    assert await fetch(plain, f"SELECT dictGet('d_{name}', 'v', toUInt64(2))") == [("now",)]


async def test_idle_connections_are_cheap(front: Front) -> None:
    before = front.resident()
    connections = [front.connection() for _ in range(100)]
    for connected in connections:
        await connected.connect()
        await fetch(connected, "SELECT 1")
    assert front.resident() - before < 60 << 20
    for connected in connections:
        await connected.close()
