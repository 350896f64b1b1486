"""How fast profiles are made of events, and how soon: `python -m tests.bench.profiles [--rows 1000000] [--seconds 60]`.

Ten events a person, 15 % of them identify calls of five traits, 30 % anonymous with most devices linked, over 90 days.
Prints JSON:

- `backfill`: events/s of the first look at everything, beside a bare copy of the profiles it made (INSERT … SELECT into
  a table with the same indexes), and the projecting process's peak memory.
- `again`: the same once more, when nothing differs.
- `lag`: seconds from an insert's answer (the events are visible) to the profile, as 50 new events arrive every 0.3 s,
  one of them with a device that was not there before: of that one (`linked`) and of another (`known`). Found by
  looking, and with `events.ingested` published after each insert.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import statistics
import time
from typing import Any, Final
from uuid import UUID

import aiohttp

from contracts import subjects
from services.kit import sql
from services.kit.identity import reload_identity
from services.kit.settings import Settings
from services.profile.ids import profile_id
from services.profile.projection.follower import Follower
from services.profile.projection.projector import Projector
from services.profile.projection.rebuild import rebuild
from services.profile.resources import Resources
from tests.api import insert
from tests.infra import embedded_servers

WORKSPACE: Final = UUID("00000000-0000-4000-8000-00000000be56")
EVENTS_A_PERSON: Final = 10
SHARES: Final = {"track": 0.7, "identify": 0.15, "page": 0.15}
_CHUNK: Final = 1_000_000
_WRITING: Final = {"max_partitions_per_insert_block": 0}


def rows_sql(table: str, start: int, count: int, people: int) -> str:
    """Return SQL of `count` events of a table."""
    salt = list(SHARES).index(table) * 100
    own = {
        "track": ("event", "concat('Event ', toString(number % 20))", "properties", "'{}'"),
        "page": ("name", "concat('Page ', toString(number % 20))", "properties", "'{}'"),
        "identify": (
            "traits_null",
            "if(number % 20 = 0, ['plan'], [])",
            "traits",
            'concat(\'{"email":"person\', toString(person), \'@example.com","name":"Person \', toString(person), '
            "'\",\"plan\":\"', ['free', 'pro', 'team'][1 + number % 3], '\",\"score\":', toString(number % 1000), "
            '\',"address":{"city":"City \', toString(person % 500), \'","zip":\', toString(person % 99999), \'}}\')',
        ),
    }[table]
    return f"""INSERT INTO cdp.events_{table}
            (workspace_id, message_id, user_id, anonymous_id, timestamp, received_at, {own[0]}, {own[2]})
        SELECT {sql.uuid(WORKSPACE)}, concat('{table}', toString(number)) AS message_id,
            if(sipHash64(number, {salt} + 3) % 10 < 3, '', concat('user-', toString(person))) AS user_id,
            if(user_id != '' AND sipHash64(number, {salt} + 4) % 5 > 0, '', concat('device-', toString(person))),
            toDateTime64('2026-01-01', 3, 'UTC') + toIntervalSecond(sipHash64(number, {salt} + 2) % 7776000) AS t,
            t + toIntervalSecond(5), {own[1]}, {own[3]}
        FROM (SELECT number, sipHash64(number, {salt} + 1) % {people} AS person FROM numbers({start}, {count}))"""


async def fill(resources: Resources, rows: int) -> None:
    """Insert the events, and merge them."""
    people = max(rows // EVENTS_A_PERSON, 1)
    for table, share in SHARES.items():
        for start in range(0, int(rows * share), _CHUNK):
            statement = rows_sql(table, start, min(_CHUNK, int(rows * share) - start), people)
            await resources.clickhouse.execute(statement, settings=_WRITING, timeout=3_600)
        await resources.clickhouse.execute(f"OPTIMIZE TABLE cdp.events_{table} FINAL", timeout=3_600)
    await resources.clickhouse.execute("OPTIMIZE TABLE cdp.events_by_actor FINAL", timeout=3_600)
    await reload_identity(resources.clickhouse)


async def backfill(resources: Resources, rows: int) -> dict[str, Any]:
    """Measure the first look at everything, a copy of what it made, and a second time."""
    async with resources.postgres.connection() as connection:
        follower = Follower(resources)
        started = time.perf_counter()
        await follower.start(connection)
        seconds = time.perf_counter() - started
        people = await connection.fetchval("SELECT count(*) FROM profiles")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        await connection.execute("CREATE TABLE copied (LIKE profiles INCLUDING ALL)")
        started = time.perf_counter()
        await connection.execute("INSERT INTO copied SELECT * FROM profiles", timeout=3_600)
        copy_seconds = time.perf_counter() - started
        await connection.execute("DROP TABLE copied")
    started = time.perf_counter()
    await rebuild(resources, WORKSPACE)
    again = time.perf_counter() - started
    return {
        "events": rows,
        "profiles": people,
        "backfill": {
            "seconds": round(seconds, 1),
            "events_per_second": round(rows / seconds),
            "profiles_per_second": round(people / seconds),
            "times_a_bare_copy_of_the_profiles": round(seconds / copy_seconds, 2),
            "peak_memory_mb": memory,
            "goal": 30_000,
        },
        "again": {"seconds": round(again, 1), "events_per_second": round(rows / again)},
    }


async def lag(resources: Resources, rows: int, seconds: float, *, hint: bool) -> dict[str, Any]:
    """Measure how soon after an insert a profile shows it, while events keep arriving."""
    people = max(rows // EVENTS_A_PERSON, 2)
    rng, waiting = random.Random(hint), []
    lags: dict[str, list[float]] = {"known": [], "linked": []}
    # Nobody else writes to those who are watched: a later event would hide the mark.
    watched = rng.sample(range(0, people, 2), min(people // 2, 2 * round(seconds / 0.3) + 2))

    async def seen(user: str, mark: str, since: float, found: list[float]) -> None:
        while True:
            statement = "SELECT traits ->> 'mark' FROM profiles WHERE id = $1"
            row = await resources.postgres.fetchrow(statement, profile_id(WORKSPACE, "user", user))
            if row is not None and row[0] == mark:
                found.append(time.perf_counter() - since)
                return
            await asyncio.sleep(0.02)

    end = time.perf_counter() + seconds
    async with aiohttp.ClientSession() as http, Projector(resources).running():
        await asyncio.sleep(3)
        while time.perf_counter() < end and len(watched) >= len(lags):
            mark, now = f"{hint} {rng.random()}", round(time.time() * 1000)
            users = [f"user-{watched.pop()}" for _ in lags]
            events = [
                {
                    "table": "identify",
                    "message_id": f"{mark}-{number}",
                    "user_id": users[number] if number < 2 else f"user-{rng.randrange(1, people, 2)}",
                    "anonymous_id": f"new-{mark}" if number == 1 else "",
                    "timestamp": now,
                    "received_at": now,
                    "traits": {"mark": mark},
                }
                for number in range(50)
            ]
            await insert(resources.settings, http, {WORKSPACE: events}, reload=False)
            since = time.perf_counter()
            waiting += [
                asyncio.create_task(seen(user, mark, since, found))
                for user, found in zip(users, lags.values(), strict=True)
            ]
            if hint:
                await resources.bus.connection.publish(subjects.ingested(WORKSPACE), b"{}")
            await asyncio.sleep(0.3)
        async with asyncio.timeout(60):
            await asyncio.gather(*waiting)
    return {name: _summed_up(found) for name, found in lags.items()}


def _summed_up(seconds: list[float]) -> dict[str, float]:
    quantiles = statistics.quantiles(seconds, n=20)
    return {
        "p50": round(statistics.median(seconds), 2),
        "p95": round(quantiles[-1], 2),
        "most": round(max(seconds), 2),
    }


async def measure(settings: Settings, rows: int, seconds: float) -> dict[str, Any]:
    """Run everything and return the figures."""
    resources = Resources.of(settings)
    async with resources.opened():
        await fill(resources, rows)
        figures = await backfill(resources, rows)
        figures["lag"] = {
            "looking": await lag(resources, rows, seconds, hint=False),
            "told": await lag(resources, rows, seconds, hint=True),
            "goal_p95": 2.0,
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with embedded_servers() as servers:
        print(json.dumps(asyncio.run(measure(servers.settings, given.rows, given.seconds)), indent=2))


if __name__ == "__main__":
    main()
