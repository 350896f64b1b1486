"""How fast profiles are found: ``python -m tests.bench.profiles_reads [--profiles 1000000] [--rounds 50]``.

The profiles are generated in PostgreSQL, their indexes made afterwards. `get`: one profile by its id over NATS,
uncached, in turn with the same walk and nothing else (`serve`: NATS request → SELECT by primary key → reply).
`search`: pages of 50 over HTTP, uncached, of values that are rare and common. `batch`: 1,000 references, half of them
emails. Medians and the ninth tenth in milliseconds. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
import asyncpg
import nats
from nats.aio.msg import Msg

from services.kit.settings import Settings, load
from services.profile.ids import profile_id
from tests.infra import embedded_servers
from tests.platform import Platform, running

WORKSPACE: Final = UUID("00000000-0000-4000-8000-00000000be0c")
HEADERS: Final = {"X-Workspace-Id": str(WORKSPACE), "Content-Type": "application/json", "Cache-Control": "no-cache"}
BARE: Final = "bench.profile"
_BLOCK: Final = 50_000
_FILL: Final = """
INSERT INTO profiles
SELECT id, $1, 'user-' || n, ARRAY['device-' || n], jsonb_build_object(
    'name', (ARRAY['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Linus', 'Ken'])[1 + n % 8] || ' '
        || left(md5((n / 7)::text), 8),
    'email', 'user' || n || '@example' || n % 500 || '.com', 'phone', '+49' || 1700000000 + n,
    'plan', (ARRAY['free', 'free', 'free', 'pro', 'team'])[1 + n % 5], 'city', 'city-' || n % 1000,
    'age', n % 90, 'vip', n % 100 = 0, 'company', jsonb_build_object('name', 'Company ' || n % 20000)
), now() - (n || ' seconds')::interval - interval '30 days',
    now() - (n::bigint * 7919 % 2000003 || ' seconds')::interval
FROM unnest($2::uuid[], $3::int[]) AS people (id, n)
"""
_INDEXES: Final = """
SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'profiles' AND indexname <> 'profiles_pkey'
"""
_EQ: Final = {"op": "eq"}
SEARCHES: Final[Mapping[str, dict[str, Any]]] = {
    "eq, one in all": {"where": _EQ | {"field": "traits.email", "value": "user77@example77.com"}},
    "eq, one in 1,000": {"where": _EQ | {"field": "traits.city", "value": "city-77"}},
    "eq, one in 100": {"where": _EQ | {"field": "traits.vip", "value": True}},
    "eq of a number, one in 90": {"where": _EQ | {"field": "traits.age", "value": 33}},
    "eq, three in five": {"where": _EQ | {"field": "traits.plan", "value": "free"}},
    "eq, none": {"where": _EQ | {"field": "traits.plan", "value": "gold"}},
    "eq, one in 1,000, by name": {
        "where": _EQ | {"field": "traits.city", "value": "city-77"},
        "sort": {"by": "traits.name", "order": "asc"},
    },
    "words, rare": {"text": "user77@ company"},
    "words, one in eight": {"text": "grace", "total": "none"},
    "all": {},
    "gt, no index, one in nine": {"where": {"op": "gt", "field": "traits.age", "value": 79}, "total": "none"},
    "matches, no index, one in nine": {
        "where": {"op": "matches", "field": "traits.name", "value": "^Ken [0-9a-f]"},
        "total": "none",
    },
}


async def fill(url: str, count: int) -> float:
    """Insert the profiles and make the indexes again; return the seconds that making them took."""
    connection = await asyncpg.connect(url)
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['indexname']}")
    for start in range(0, count, _BLOCK):
        numbers = range(start, min(start + _BLOCK, count))
        ids = [profile_id(WORKSPACE, "user", f"user-{n}") for n in numbers]
        await connection.execute(_FILL, WORKSPACE, ids, list(numbers), timeout=600)
    begun = time.perf_counter()
    for index in indexes:
        await connection.execute(index["indexdef"], timeout=1_800)
    taken = time.perf_counter() - begun
    await connection.execute("VACUUM ANALYZE profiles", timeout=1_800)
    await connection.close()
    return taken


async def serve(settings: Settings) -> None:
    """Answer each message, which is a profile's id, with the row: the baseline."""
    pool = await asyncpg.create_pool(settings.postgres_url, min_size=1, max_size=4)
    client = await nats.connect(settings.nats_url)

    async def answer(message: Msg) -> None:
        async with pool.acquire() as connection:
            row = await connection.fetchrow(
                "SELECT id, user_id, anonymous_ids, traits, first_seen_at, last_seen_at FROM profiles WHERE id = $1",
                UUID(message.data.decode()),
            )
        await message.respond(json.dumps(dict(row), default=str).encode())

    await client.subscribe(BARE, cb=answer)
    await asyncio.Event().wait()


async def timed(ask: Callable[[], Awaitable[None]]) -> float:
    """Return the milliseconds that one call takes."""
    begun = time.perf_counter()
    await ask()
    return (time.perf_counter() - begun) * 1000


def spread(times: list[float]) -> dict[str, float]:
    """Return the median and the ninth tenth."""
    return {"median_ms": round(statistics.median(times), 2), "p90_ms": round(statistics.quantiles(times, n=10)[-1], 2)}


async def measure_get(platform: Platform, count: int, rounds: int) -> dict[str, Any]:
    """Return the figures of one profile by id beside the baseline's."""
    platform.start("bare", "tests.bench.profiles_reads", arguments=["--serve"])
    client = await nats.connect(platform.settings.nats_url)
    headers = {"Cdp-Workspace": str(WORKSPACE)}
    ids = [str(profile_id(WORKSPACE, "user", f"user-{n * 7919 % count}")) for n in range(rounds + 20)]

    async def ours(id_: str) -> None:
        reply = await client.request(
            "cdp.profile.v1.get", json.dumps({"id": id_}).encode(), headers=headers, timeout=10
        )
        assert json.loads(reply.data)["id"] == id_

    async def bare(id_: str) -> None:
        assert id_.encode() in (await client.request(BARE, id_.encode(), timeout=10)).data

    for _ in range(100):
        try:
            await bare(ids[0])
            break
        except nats.errors.NoRespondersError:
            await asyncio.sleep(0.1)
    for id_ in ids[:20]:
        await ours(id_)
        await bare(id_)
    pairs = [(await timed(lambda i=i: ours(i)), await timed(lambda i=i: bare(i))) for i in ids[20:]]
    await client.close()
    platform.stop("bare")
    return {
        "ours": spread([pair[0] for pair in pairs]),
        "bare": spread([pair[1] for pair in pairs]),
        "ratio": round(statistics.median(pair[0] / pair[1] for pair in pairs), 2),
        "aim": "<= 2",
    }


async def measure(platform: Platform, count: int, rounds: int) -> dict[str, Any]:
    """Return the figures."""
    figures: dict[str, Any] = {
        "profiles": count,
        "index_seconds": round(await fill(platform.settings.postgres_url, count)),
    }
    figures["get"] = await measure_get(platform, count, rounds * 4)
    async with aiohttp.ClientSession(headers=HEADERS) as http:

        async def post(path: str, body: dict[str, Any]) -> None:
            async with http.post(f"{platform.url}/profiles/{path}", json=body) as reply:
                assert reply.status == 200, await reply.text()
                await reply.read()

        for name, body in SEARCHES.items():
            for _ in range(3):
                await post("search", body)
            figures[name] = spread([await timed(lambda body=body: post("search", body)) for _ in range(rounds)])
            print(name, figures[name], file=sys.stderr, flush=True)
        numbers = [n * 7919 % count for n in range(1_000)]
        ids = [f"user_id:user-{n}" if n % 2 else f"email:user{n}@example{n % 500}.com" for n in numbers]
        figures["batch of 1,000"] = spread([await timed(lambda: post("batch", {"ids": ids})) for _ in range(rounds)])
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--serve", action="store_true", help="be the baseline of `get`")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(load()))
        return
    with (
        embedded_servers() as servers,
        tempfile.TemporaryDirectory() as logs,
        running(servers.settings, Path(logs)) as platform,
    ):
        figures = asyncio.run(measure(platform, options.profiles, options.rounds))
    print(json.dumps({"bench": "profiles_reads", **figures}))


if __name__ == "__main__":
    main()
