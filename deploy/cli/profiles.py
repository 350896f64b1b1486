"""``cdp profiles``: making profiles anew."""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

import click

from contracts.errors import CdpError
from deploy.embedded import environment
from services.kit.clickhouse import ClickHouseError
from services.kit.settings import Settings
from services.profile.projection.rebuild import rebuild as rebuild_profiles
from services.profile.resources import Resources

_START_SECONDS = 10.0


@click.group()
def profiles() -> None:
    """The profiles that the projector makes from events."""


@profiles.command()
@click.option("--workspace", required=True, type=click.UUID, help="The workspace whose profiles to make.")
def rebuild(workspace: UUID) -> None:
    """Make all profiles of a workspace anew from its events.

    For when rows were removed from the event tables behind the platform's back, or to be sure. Profiles stay readable
    meanwhile, new events go on being followed, and others are told only of what differed. It may be broken off and
    begun again.
    """
    settings = environment.settings()
    if settings.profiles_source == "external":
        sys.exit("cdp: ingestion owns the profiles (ANALYTICS_PROFILES_SOURCE=external): there is nothing to rebuild")
    try:
        people = asyncio.run(_rebuild(settings, workspace))
    except (CdpError, ClickHouseError, TimeoutError) as error:
        reason = str(error) or "NATS does not answer"
        sys.exit(f"cdp: the profiles are not rebuilt, begin again: {reason}")
    click.echo(f"{people:,} profiles are as the events say")


async def _rebuild(settings: Settings, workspace: UUID) -> int:
    resources = Resources.of(settings)
    async with asyncio.timeout(_START_SECONDS) as waiting, resources.opened():
        waiting.reschedule(None)
        return await rebuild_profiles(resources, workspace)
