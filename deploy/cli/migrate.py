"""``cdp migrate`` and ``cdp clickhouse``: forward, back, and where things stand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from deploy.embedded import environment
from deploy.migrations import run
from deploy.migrations.dbmate import MigrationError
from deploy.migrations.sets import MigrationSet, Store, discover

T = TypeVar("T")


@click.group()
def migrate() -> None:
    """PostgreSQL's migrations and the NATS streams."""


@click.group()
def clickhouse() -> None:
    """ClickHouse's migrations: the event tables and the services' own."""


@migrate.command("up")
def migrate_up() -> None:
    """Apply what is pending; nothing happens when there is nothing."""
    _do(run.up(environment.settings(), {"postgres", "nats"}))
    click.echo("PostgreSQL and the NATS streams are up to date")


@clickhouse.command("up")
def clickhouse_up() -> None:
    """Apply what is pending; nothing happens when there is nothing."""
    _do(run.up(environment.settings(), {"clickhouse"}))
    click.echo("ClickHouse is up to date")


_SET = click.argument("name", required=False, metavar="[SET]")
_STEPS = click.option("--steps", default=1, show_default=True, type=click.IntRange(1), help="How many to take back.")


@migrate.command("down")
@_SET
@_STEPS
def migrate_down(name: str | None, steps: int) -> None:
    """Take the newest migrations of a SET back ("query/postgres"); no SET is needed while there is only one."""
    _down("postgres", name, steps)


@clickhouse.command("down")
@_SET
@_STEPS
def clickhouse_down(name: str | None, steps: int) -> None:
    """Take the newest migrations of a SET back ("shared/clickhouse"); no SET is needed while there is only one."""
    _down("clickhouse", name, steps)


@migrate.command("status")
def migrate_status() -> None:
    """Show what is applied of every set; the exit status is 1 when something is pending."""
    _status("postgres")


@clickhouse.command("status")
def clickhouse_status() -> None:
    """Show what is applied of every set; the exit status is 1 when something is pending."""
    _status("clickhouse")


def _down(store: Store, name: str | None, steps: int) -> None:
    _do(run.down(environment.settings(), _find(discover(store), name), steps))


def _status(store: Store) -> None:
    pending = False
    for state in _do(run.status(environment.settings(), store)):
        for version in state.migrations.versions():
            done = version in state.applied
            pending = pending or not done
            click.echo(f"{state.migrations.name:<20} {version}  {'applied' if done else 'pending'}")
    sys.exit(1 if pending else 0)


def _find(sets: list[MigrationSet], name: str | None) -> MigrationSet:
    found = [each for each in sets if name in (None, each.name, each.owner)]
    if len(found) != 1:
        raise click.UsageError(f"name one set of: {', '.join(each.name for each in sets) or 'there are none'}")
    return found[0]


def _do(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except MigrationError as error:
        raise SystemExit(f"cdp: {error}") from error
