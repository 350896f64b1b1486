"""The same four servers from official images, for `--infra=containers`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

from services.kit.settings import Settings
from tests.infra import migrate

_PASSWORD = "cdp"
NATS, POSTGRES, REDIS, CLICKHOUSE = "nats:2", "postgres:18", "valkey/valkey:8", "clickhouse/clickhouse-server:26.9"


def unavailable() -> str | None:
    """Return why containers cannot run here, or None."""
    try:
        docker.from_env().ping()
    except DockerException as error:
        return f"no Docker: {error}"
    return None


@contextmanager
def servers() -> Iterator[Settings]:
    """Run the servers in containers, migrated, and yield settings that point at them."""
    nats = DockerContainer(NATS, command="--jetstream --http_port 8222").with_exposed_ports(4222, 8222)
    postgres = DockerContainer(POSTGRES, env={"POSTGRES_PASSWORD": _PASSWORD}).with_exposed_ports(5432)
    redis = DockerContainer(REDIS).with_exposed_ports(6379)
    # Its `default` may make users: custom SQL runs as one for each workspace.
    login = {"CLICKHOUSE_PASSWORD": _PASSWORD, "CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT": "1"}
    clickhouse = DockerContainer(CLICKHOUSE, env=login).with_exposed_ports(9000, 8123)
    # PostgreSQL's image starts once to create its data, then again to serve.
    postgres.waiting_for(LogMessageWaitStrategy("database system is ready to accept connections", times=2))
    nats.waiting_for(HttpWaitStrategy(8222, "/healthz").for_status_code(200))
    redis.waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    clickhouse.waiting_for(HttpWaitStrategy(8123, "/ping").for_status_code(200))
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="cdp-test-") as home:
        for container in (nats, postgres, redis, clickhouse):
            stack.enter_context(container)
        settings = Settings(
            home=home,
            nats_url=f"nats://{_address(nats, 4222)}",
            redis_url=f"redis://{_address(redis, 6379)}/0",
            postgres_url=f"postgresql://postgres:{_PASSWORD}@{_address(postgres, 5432)}/cdp",
            clickhouse_url=f"clickhouse://default:{_PASSWORD}@{_address(clickhouse, 9000)}/cdp",
            clickhouse_sql_admin_url=f"clickhouse://default:{_PASSWORD}@{_address(clickhouse, 9000)}/default",
            clickhouse_sql_secret="of the tests, as long as it has to be",
            clickhouse_dictionary_login=f"default:{_PASSWORD}",
            clickhouse_http_url=f"http://{_address(clickhouse, 8123)}",
        )
        migrate(settings)
        yield settings


def _address(container: DockerContainer, port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
