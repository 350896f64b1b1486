"""``cdp up``, ``cdp run`` and ``cdp status``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.cli.demo.world import WORKSPACE
from deploy.embedded import environment, records, services
from deploy.embedded import up as embedded
from deploy.embedded.home import Home
from deploy.embedded.stores.base import answers
from services.kit.settings import Settings


@click.command()
@click.option("--stores", is_flag=True, help="Servers and migrations only; start services with `cdp run`.")
def up(stores: bool) -> None:
    """Start everything on this machine: servers, migrations, services. Ctrl-C stops it."""
    sys.exit(embedded.up((), _report_stores) if stores else embedded.up(services.ALL, _report))


@click.command()
@click.argument("name", type=click.Choice([*services.GROUPS, *services.SERVICES]))
@click.option("--replicas", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes of each service.")
def run(name: str, replicas: int) -> None:
    """Run one service, or a group of them, against servers that run already.

    The servers are those of ANALYTICS_*, else those of a running `make up`. The gateway and the workers' endpoint own
    a port, so there is one of each whatever --replicas says.
    """
    sys.exit(embedded.run(services.resolve(name), replicas, environment.settings()))


@click.command()
def status() -> None:
    """Show what runs on this home, and whether it is ready."""
    settings = environment.settings()
    home = Home.named(settings.home)
    for record in records.load(home):
        click.echo(f"{record.name:<12} process {record.pid:<8} {_memory(record.pid)}")
    ready = answers(settings.api_port, "/ready")
    click.echo(f"{_api(settings)}/ready: {'ready' if ready else 'not ready'}")
    sys.exit(0 if ready else 1)


def _report(settings: Settings, seconds: float) -> str:
    api = _api(settings)
    return f"""\
ready after {seconds:.1f} s

  API        {api}   {api}/docs
  services   http://{settings.api_host}:{settings.workers_port}/health   /metrics
  NATS       {settings.nats_url}
  data       {settings.home}   logs in {Path(settings.home) / "logs"}

  `make demo` fills a workspace with generated events of a shop; then ask what is in it:
    curl -s {api}/query/catalog -H 'X-Workspace-Id: {WORKSPACE}' \\
      -H 'Content-Type: application/json' -d '{{"kind": "names"}}'

  Ctrl-C stops everything."""


def _report_stores(settings: Settings, seconds: float) -> str:
    return f"""\
the servers are ready after {seconds:.1f} s

  data       {settings.home}   logs in {Path(settings.home) / "logs"}
  services   `make run/api` and `make run/workers` in other terminals

  Ctrl-C stops the servers."""


def _api(settings: Settings) -> str:
    host = "127.0.0.1" if settings.api_host == "0.0.0.0" else settings.api_host  # noqa: S104
    return f"http://{host}:{settings.api_port}"


def _memory(pid: int) -> str:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""
    resident = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")), None)
    return "" if resident is None else f"{int(resident) / 1024:.0f} MB"
