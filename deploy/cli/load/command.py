"""``cdp load``."""

from __future__ import annotations

import asyncio
import gc
import sys
import uuid
from pathlib import Path
from typing import Any, get_args

import click

from contracts.common import TABLES
from deploy.cli.load import options as short
from deploy.cli.load.emit import Emitter
from deploy.cli.load.errors import LoadError
from deploy.cli.load.mapping import Format, Mapping, bundled, read_mapping
from deploy.cli.load.opening import open_input
from deploy.cli.load.pipeline import Load, Summary, run
from deploy.cli.load.plan import compile_mapping
from deploy.cli.load.rejects import Rejects
from deploy.cli.load.report import Report, summarise
from deploy.cli.load.segment import SegmentEmitter
from deploy.cli.load.source import MAX_LINE_BYTES, Source, recognise
from deploy.cli.load.values import now_ms
from deploy.embedded import environment
from services.kit.clickhouse import ClickHouse
from services.kit.identity import reload_identity
from services.kit.settings import Settings


@click.command(epilog="Bundled mappings for --map: " + ", ".join(bundled()) + ". The manual is docs/loading.md.")
@click.argument("file", metavar="FILE")
@click.option("--workspace", "-w", required=True, type=click.UUID, help="UUID of the workspace.")
@click.option(
    "--map", "map_", metavar="MAPPING", help="How rows become events: a .toml or .json file, or a bundled name."
)
@click.option("--table", type=click.Choice(TABLES), help="Without a mapping file: each row is one event of this table.")
@click.option("--event", metavar="NAME", help="The event's (or page's) name, the same for every row.")
@click.option("--event-column", metavar="COLUMN", help="The column with the event's (or page's) name.")
@click.option("--user-column", metavar="COLUMN", help="The column with the user id.")
@click.option("--anonymous-column", metavar="COLUMN", help="The column with the anonymous id.")
@click.option("--group-column", metavar="COLUMN", help="The column with the group id, for --table group.")
@click.option("--timestamp-column", metavar="COLUMN", help="The column with the time.")
@click.option("--received-at-column", metavar="COLUMN", help="The column with the time of arrival; default: now.")
@click.option(
    "--message-id-column", metavar="COLUMN", help="The column with the message id; default: file hash and row."
)
@click.option(
    "--properties", metavar="COLUMNS", help="Columns that become properties, comma-separated; * for the rest."
)
@click.option("--traits", metavar="COLUMNS", help="Columns that become traits, comma-separated; * for the rest.")
@click.option("--context", metavar="COLUMNS", help="Columns that become the context, comma-separated.")
@click.option(
    "--type", "types", multiple=True, metavar="COLUMN=TYPE", help="string, number, boolean, time, json or auto."
)
@click.option("--format", "format_", type=click.Choice(get_args(Format)), help="Default: by name and content.")
@click.option("--timezone", metavar="ZONE", help="Time zone of times without an offset.  [default: UTC]")
@click.option("--timestamp-format", metavar="PATTERN", help="strptime pattern.  [default: ISO 8601 or Unix time]")
@click.option("--delimiter", metavar="CHAR", help="Of a CSV file.  [default: comma; tab for .tsv]")
@click.option(
    "--rejects",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Where rejected rows go.  [default: FILE.rejects.ndjson]",
)
@click.option(
    "--max-line-bytes",
    default=MAX_LINE_BYTES,
    show_default=True,
    type=click.IntRange(1024, 64 << 20),
    help="Longer lines are rejected.",
)
@click.option("--strict", is_flag=True, help="Fail when any row was rejected.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def load(
    file: str,
    workspace: uuid.UUID,
    map_: str | None,
    rejects: Path | None,
    max_line_bytes: int,
    strict: bool,
    quiet: bool,
    format_: Format | None,
    **given: Any,
) -> None:
    """Load FILE (CSV, NDJSON or Parquet, also gzip or zstd; - for standard input) into the event tables.

    Loading a file twice changes nothing: rows are told apart by their message id. Rows that cannot be loaded go to the
    reject file with their line and reason, and do not stop the others.
    """
    tune_memory()
    try:
        mapping = short.apply(short.Options(format=format_, **given), None if map_ is None else read_mapping(map_))
        settings = environment.settings()
        with open_input(file) as source:
            found = recognise(source, mapping, max_line_bytes)
            path = rejects or Path("stdin.rejects.ndjson" if file == "-" else f"{file}.rejects.ndjson")
            with Report(source.name, source.size, quiet=quiet) as report:
                summary = asyncio.run(load_source(found, mapping, settings, workspace, Rejects(path), report))
    except LoadError as error:
        sys.exit(f"cdp load: {error}")
    except KeyboardInterrupt:
        sys.exit("cdp load: interrupted; run it again, what is loaded already is not counted twice")
    click.echo(summarise(source.name, summary))
    if summary.rejected and (strict or not summary.loaded):
        sys.exit(1)


def tune_memory() -> None:
    """Look for reference cycles rarely: rows make none, and looking costs half as much again as reading them."""
    gc.set_threshold(200_000, 20, 50)


async def load_source(
    source: Source, mapping: Mapping | None, settings: Settings, workspace: uuid.UUID, rejects: Rejects, report: Report
) -> Summary:
    """Load a recognised file.

    Raises:
        LoadError: see pipeline.run; also an error of the mapping, before anything is loaded.
    """
    received = now_ms()
    plan = None if source.format == "segment" or mapping is None else compile_mapping(mapping, source.names)
    prefix = await asyncio.to_thread(source.input.content_hash)
    emitter = SegmentEmitter(prefix, received) if plan is None else Emitter(plan, prefix, received)
    return await load_chunks(
        Load(
            workspace=workspace,
            chunks=source.chunks(),
            emitter=emitter,
            rejects=rejects,
            position=lambda: source.input.position,
            load_id=f"load:{prefix}:{received}",
        ),
        settings,
        report,
    )


async def load_chunks(work: Load, settings: Settings, report: Report) -> Summary:
    """Run a load with a ClickHouse handle of its own for identity."""
    clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=1)
    await clickhouse.start()
    try:
        return await run(
            work, settings, report, lambda: reload_identity(clickhouse, cluster=settings.clickhouse_cluster)
        )
    finally:
        await clickhouse.close()
