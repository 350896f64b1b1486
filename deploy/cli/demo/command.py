"""``cdp demo``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click
import msgspec
from nats.errors import Error as NatsError

from contracts.errors import CdpError
from contracts.workspace import WorkspaceSettings
from deploy.cli.demo.journeys import calls
from deploy.cli.demo.world import END, NAME, PEOPLE, TIMEZONE, WORKSPACE
from deploy.cli.load.announce import connect
from deploy.cli.load.chunk import Chunk
from deploy.cli.load.command import load_chunks, tune_memory
from deploy.cli.load.errors import LoadError
from deploy.cli.load.pipeline import Load
from deploy.cli.load.rejects import Rejects
from deploy.cli.load.report import Report, summarise
from deploy.cli.load.segment import Call, SegmentEmitter
from deploy.cli.load.values import now_ms
from deploy.embedded import environment
from services.kit.client import Client
from services.kit.settings import Settings

_CHUNK = 5_000
_EXPECTED_CALLS = 311_000
"""For the progress bar only."""
SETTINGS = WorkspaceSettings(name=NAME, timezone=TIMEZONE, clock=END)


@click.command()
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def demo(quiet: bool) -> None:
    """Fill the demo workspace: a generated shop, some 310,000 events of 20,000 people.

    The events are the same on every machine, so running it again changes nothing.
    """
    tune_memory()
    settings = environment.settings()
    try:
        with Report("demo", _EXPECTED_CALLS, quiet=quiet) as report:
            summary = asyncio.run(_load(settings, report))
    except LoadError as error:
        sys.exit(f"cdp demo: {error}")
    click.echo(summarise("demo", summary))
    problem = asyncio.run(put_settings(settings))
    if problem:
        click.echo(f"  warning     the workspace's settings were not written: {problem}\n{_by_hand(settings)}")
    click.echo(_hints(settings))


async def _load(settings: Settings, report: Report) -> Any:
    source = DemoSource()
    received = now_ms()
    work = Load(
        workspace=WORKSPACE,
        chunks=source.chunks(),
        emitter=SegmentEmitter("demo", received),
        rejects=Rejects(None),
        position=lambda: source.position,
        load_id=f"demo:{received}",
    )
    return await load_chunks(work, settings, report)


class DemoSource:
    """The generated calls as chunks; `position` counts them."""

    def __init__(self) -> None:
        self.position = 0

    def chunks(self) -> Iterator[Chunk]:
        """Yield all calls."""
        decoder = msgspec.json.Decoder(Call)
        lines = calls()
        while part := list(islice(lines, _CHUNK)):
            rows = range(self.position + 1, self.position + 1 + len(part))
            self.position += len(part)
            yield Chunk(rows=rows, lines=rows, sources=part, objects=decoder.decode_lines("\n".join(part)))


async def put_settings(settings: Settings) -> str:
    """Pin the workspace's clock to the end of the data; return why that failed, '' when it did not."""
    try:
        connection = await connect(settings.nats_url, "cdp-demo")
    except (NatsError, OSError, TimeoutError) as error:
        return f"NATS does not answer ({str(error) or type(error).__name__})"
    try:
        async with Client(connection, WORKSPACE, principal="cdp demo", timeout=10.0) as client:
            await client.call("query.workspace_put", SETTINGS)
    except CdpError as error:
        return f"the query service does not answer ({error})"
    finally:
        await connection.close()
    return ""


def _by_hand(settings: Settings) -> str:
    body = msgspec.json.encode(SETTINGS).decode()
    return f"  run `cdp demo` again when the services run, or\n{_curl(settings, 'PUT', '/workspace', body)}"


def _hints(settings: Settings) -> str:
    asks = (
        ("what is in it", "/query/catalog", '{"kind": "names"}'),
        (
            "the newest orders",
            "/query/events",
            '{"table": "track", "names": ["Order Completed"], '
            '"columns": ["timestamp", "actor", "properties.revenue"], "limit": 3}',
        ),
        (
            "page views of the last day from one campaign",
            "/query/events",
            '{"table": "page", "from": "-1d", "limit": 3, '
            '"where": {"op": "eq", "field": "context.campaign.name", "value": "newsletter"}}',
        ),
    )
    lines = [
        "",
        f"Workspace {WORKSPACE}: {NAME}, {PEOPLE:,} people, time zone {TIMEZONE}; its clock stands at {END:%Y-%m-%d}.",
        "Try",
    ]
    for title, path, body in asks:
        lines += (f"  # {title}", _curl(settings, "POST", path, body))
    return "\n".join(lines)


def _curl(settings: Settings, method: str, path: str, body: str) -> str:
    host = "127.0.0.1" if settings.api_host == "0.0.0.0" else settings.api_host  # noqa: S104 - compared, not bound
    verb = "" if method == "POST" else f"-X {method} "
    return (
        f"  curl -s {verb}http://{host}:{settings.api_port}{path} -H 'X-Workspace-Id: {WORKSPACE}' \\\n"
        f"    -H 'Content-Type: application/json' -d '{body}'"
    )
