"""Everything on this machine: the servers, their migrations, the services, in one terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from deploy.embedded import environment, records, services
from deploy.embedded.home import EmbeddedError, Home, Lock
from deploy.embedded.output import Output
from deploy.embedded.ports import HOST, Ports, is_free
from deploy.embedded.process import fork
from deploy.embedded.stores.base import Store, answers
from deploy.embedded.stores.selection import embedded_stores
from deploy.embedded.supervisor import Stopped, Supervisor, Unit, describe
from services.kit.settings import PREFIX, Settings, load

_PATIENCE_SECONDS = 20.0
_STORE_SECONDS = 90.0
"""Long enough for PostgreSQL and ClickHouse to recover after a kill."""


def up(names: Sequence[str], report: Callable[[Settings, float], str]) -> int:
    """Run the servers and the named services until a signal; return the exit status.

    Servers whose URL the user has set are not started. `report` makes the text shown once all is ready, from the
    settings and the seconds it took.

    Raises:
        EmbeddedError: it cannot run here, or already runs.
        services.kit.settings.SettingsError: a setting is wrong.
    """
    begun = time.monotonic()
    own = environment.given()
    load(own)  # what is wrong is said before anything starts
    home = Home.at(environment.home_folder(own))
    lock = Lock(home)
    try:
        left = records.end_leftovers(home)
        stores, settings = _choose(home, own)
        environment.write(home, _variables(settings))
        output = Output(home.logs, sys.stdout, width=10)
        if left:
            output.say(f"the last run was killed; ended what it left: {', '.join(left)}")
        with Supervisor(output, partial(records.save, home)) as supervisor:
            run = _Run(supervisor, output, settings, stores, names)
            return run.until_signal(lambda: report(settings, time.monotonic() - begun))
    finally:
        environment.forget(home)
        lock.release()


def run(names: Sequence[str], replicas: int, settings: Settings) -> int:
    """Run services alone, against servers that run elsewhere, until a signal."""
    for name, port in (("gateway", settings.api_port), ("fleet", settings.workers_port)):
        if name in names and port and not is_free(port):
            raise EmbeddedError(f"port {port} is in use: the {name} runs already, or something else does")
    output = Output(None, sys.stdout, width=10)
    with Supervisor(output, lambda _records: None) as supervisor:
        with suppress(Stopped):
            for _ in services.preload(names):
                supervisor.turn(0)
        units = list(services.units(names, settings, replicas, supervisor.detach))
        supervisor.start(units)
        supervisor.serve()
        _stop(supervisor, [unit.name for unit in units])
    return 0


@dataclass(frozen=True)
class _Run:
    """One run of a home, from the first server's start to the last one's end."""

    supervisor: Supervisor
    output: Output
    settings: Settings
    stores: Sequence[Store]
    services: Sequence[str]

    def until_signal(self, report: Callable[[], str]) -> int:
        """Start all of it, say so, keep it running; return the exit status."""
        status = 0
        try:
            self._start()
            self.output.say(report())
            self.supervisor.serve()
        except Stopped:
            pass
        except EmbeddedError as error:
            self.output.say(str(error))
            status = 1
        self.output.say("stopping")
        _stop(self.supervisor, self.services)
        self.supervisor.stop([store.name for store in self.stores])
        self.output.say("stopped")
        self.output.close()
        return status

    def _start(self) -> None:
        self.supervisor.start(map(_store_unit, self.stores))
        # The imports cost more than the servers' start: both at once.
        for _ in services.preload(self.services):
            self.supervisor.turn(0)
        self.supervisor.wait([store.name for store in self.stores], _STORE_SECONDS)
        self._migrate()
        self.supervisor.start(services.units(self.services, self.settings, 1, self.supervisor.detach))
        if "gateway" in self.services:
            self._wait_for_gateway()

    def _migrate(self) -> None:
        start = partial(fork, partial(_migrate_here, self.settings), detach=self.supervisor.detach)
        status = self.supervisor.run_once(Unit(name="migrate", start=start))
        if status != 0:
            raise EmbeddedError(f"the migrations failed ({describe(status)})")

    def _wait_for_gateway(self) -> None:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while not answers(self.settings.api_port, "/ready"):
            self.supervisor.turn(0.05)
            if time.monotonic() > patience:
                patience = math.inf
                self.output.say(f"not ready yet: http://{HOST}:{self.settings.api_port}/ready says what is missing")


def _stop(supervisor: Supervisor, names: Sequence[str]) -> None:
    # The gateway first: what it has accepted still finds the services, and they their stores.
    for group in (["gateway"], [name for name in names if name != "gateway"]):
        supervisor.stop(group)


def _choose(home: Home, own: dict[str, str]) -> tuple[list[Store], Settings]:
    ports = Ports()
    external = {name.removeprefix(PREFIX).lower() for name in own}
    stores = embedded_stores(home, external, ports.choose)
    chosen = {name: value for store in stores for name, value in store.settings().items()}
    usual = load(own)
    for name in ("api_port", "workers_port"):
        wanted: int = getattr(usual, name)
        if name not in external:
            chosen[name] = str(ports.choose(wanted))
        elif wanted and not is_free(wanted):
            raise EmbeddedError(f"port {wanted} is in use. Set {PREFIX}{name.upper()} to another one, or to nothing.")
    chosen["home"] = str(home.root)
    return stores, load({**{f"{PREFIX}{name.upper()}": value for name, value in chosen.items()}, **own})


def _variables(settings: Settings) -> dict[str, str]:
    """Return the variables that make these settings: those that differ from the defaults, and where things are."""
    usual = Settings()
    always = {"home", "api_port", "workers_port", "clickhouse_http_url", *environment.STORE_URLS}
    return {
        f"{PREFIX}{name.upper()}": str(value)
        for name in Settings.__struct_fields__
        if (value := getattr(settings, name)) != getattr(usual, name) or name in always
    }


def _store_unit(store: Store) -> Unit:
    return Unit(
        name=store.name,
        start=lambda output: store.prepare().start(output),
        stop_signal=store.stop_signal,
        is_ready=store.is_ready,
    )


def _migrate_here(settings: Settings) -> None:
    # In a child, because it needs an event loop, and the supervisor may have none.
    import asyncio

    from deploy.migrations.dbmate import MigrationError
    from deploy.migrations.run import up as migrate_up

    try:
        asyncio.run(migrate_up(settings))
    except MigrationError as error:
        raise SystemExit(str(error)) from error
