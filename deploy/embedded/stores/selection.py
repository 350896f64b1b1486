"""Which servers to embed, and on which ports: those the user has not pointed elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from deploy.embedded.home import Home
from deploy.embedded.ports import Ports
from deploy.embedded.stores.base import Store
from deploy.embedded.stores.clickhouse import ClickHouse
from deploy.embedded.stores.nats import Nats
from deploy.embedded.stores.postgres import Postgres
from deploy.embedded.stores.valkey import Valkey
from services.kit.settings import Settings

Choose = Callable[[int], int]
"""Takes the usual port of a server and returns the one it gets."""


def embedded_stores(home: Home, external: Collection[str], choose: Choose, *, durable: bool = True) -> list[Store]:
    """Return the servers to run here, slowest to start first.

    Args:
        home: where they keep their data.
        external: names of the settings the user has set; a server whose URL is among them is not embedded.
        choose: picks their ports.
        durable: False spares the waits for the disk, for tests.
    """
    usual = Settings()
    stores: list[Store] = []
    if "clickhouse_url" not in external:
        tcp, http = _port(usual.clickhouse_url), _port(usual.clickhouse_http_url)
        stores.append(ClickHouse(home=home, port=choose(tcp), http_port=choose(http)))
    if "postgres_url" not in external:
        stores.append(Postgres(home=home, port=choose(_port(usual.postgres_url)), durable=durable))
    if "nats_url" not in external:
        stores.append(Nats(home=home, port=choose(_port(usual.nats_url)), monitoring_port=choose(8222)))
    if "redis_url" not in external:
        stores.append(Valkey(home=home, port=choose(_port(usual.redis_url))))
    return stores


def spare_ports() -> Choose:
    """Return a chooser that ignores the usual ports: for tests beside a running fleet."""
    ports = Ports()
    return lambda _usual: ports.choose()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
