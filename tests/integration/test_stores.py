"""The embedded servers one by one: their data, their passwords, what they leave behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest
import redis.asyncio as redis
from nats.js.api import StreamConfig
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from deploy.embedded.home import PROJECT, Home
from deploy.embedded.stores.selection import embedded_stores, spare_ports
from services.kit.settings import Settings
from tests.infra import EmbeddedServers

ALL = {"nats_url", "postgres_url", "clickhouse_url", "redis_url"}


def only(folder: Path, *urls: str) -> EmbeddedServers:
    home = Home.at(folder)
    return EmbeddedServers(home, embedded_stores(home, ALL - set(urls), spare_ports(), durable=False))


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedServers]:
    """A PostgreSQL of its own, running."""
    servers = only(tmp_path / "home", "postgres_url")
    servers.start()
    try:
        yield servers
    finally:
        servers.stop()


async def value(settings: Settings, statement: str) -> object:
    connection = await asyncpg.connect(settings.postgres_url, database="postgres")
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def test_a_server_whose_url_is_set_is_not_embedded(tmp_path: Path) -> None:
    names = [store.name for store in only(tmp_path, "nats_url", "redis_url").stores]
    assert names == ["nats", "redis"]


def test_servers_listen_on_the_loopback_address_only(servers: EmbeddedServers) -> None:
    listening = set()
    pids = {servers.pid(store.name) for store in servers.stores}
    sockets = {str(path.readlink()) for pid in pids for path in Path(f"/proc/{pid}/fd").iterdir()}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.add(fields[1].partition(":")[0])
    assert listening == {"0100007F"}


def test_passwords_are_not_on_any_command_line(servers: EmbeddedServers) -> None:
    secrets = {
        urlsplit(url).password
        for url in (servers.settings.postgres_url, servers.settings.redis_url, servers.settings.clickhouse_url)
    }
    assert len(secrets) == 3
    for store in servers.stores:
        line = Path(f"/proc/{servers.pid(store.name)}/cmdline").read_text()
        assert not any(str(secret) in line for secret in secrets)


async def test_postgres_wants_the_password(postgres: EmbeddedServers) -> None:
    parts = urlsplit(postgres.settings.postgres_url)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host=parts.hostname, port=parts.port, user="cdp", password="guess", database="postgres")


async def test_redis_wants_the_password(servers: EmbeddedServers) -> None:
    parts = urlsplit(servers.settings.redis_url)
    async with redis.Redis(host=str(parts.hostname), port=parts.port or 0, retry=Retry(NoBackoff(), 0)) as client:
        with pytest.raises(redis.AuthenticationError):
            await client.get("key")


async def test_redis_forgets_the_least_used_when_full(servers: EmbeddedServers) -> None:
    async with redis.Redis.from_url(servers.settings.redis_url) as client:
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "allkeys-lru"
        assert (await client.config_get("maxmemory"))["maxmemory"] not in (None, "0")


async def test_postgres_gets_a_new_password_when_run_was_deleted(postgres: EmbeddedServers) -> None:
    await value(postgres.settings, "SELECT 1")
    before = postgres.settings.postgres_url
    await value(postgres.settings, "CREATE TABLE kept AS SELECT 7 AS seven")
    postgres.stop()
    shutil.rmtree(postgres.home.run)
    again = only(postgres.home.root, "postgres_url")
    again.start()
    try:
        assert urlsplit(again.settings.postgres_url).password != urlsplit(before).password
        assert await value(again.settings, "SELECT seven FROM kept") == 7
    finally:
        again.stop()


async def test_postgres_starts_although_its_old_id_is_another_process_now(postgres: EmbeddedServers) -> None:
    await value(postgres.settings, "CREATE TABLE kept AS SELECT 7 AS seven")
    os.kill(postgres.pid("postgres"), 9)
    pid_file = postgres.home.root / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.stop()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        postgres.start()
        assert await value(postgres.settings, "SELECT seven FROM kept") == 7
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_an_interrupted_creation_of_postgres_is_begun_again(tmp_path: Path) -> None:
    half = tmp_path / "home" / "postgres" / "data.new" / "base"
    half.mkdir(parents=True)
    servers = only(tmp_path / "home", "postgres_url")
    servers.start()
    try:
        assert await value(servers.settings, "SELECT 1") == 1
    finally:
        servers.stop()


async def test_nats_keeps_what_it_acknowledged_when_killed(tmp_path: Path) -> None:
    servers = only(tmp_path / "home", "nats_url")
    servers.start()
    try:
        connection = await nats.connect(servers.settings.nats_url)
        await connection.jsm().add_stream(StreamConfig(name="KEEP", subjects=["keep.>"]))
        for number in range(100):
            await connection.jetstream().publish("keep.it", str(number).encode())
        await connection.close()
        os.kill(servers.pid("nats"), 9)
        servers.stop()
        servers.start()
        connection = await nats.connect(servers.settings.nats_url)
        assert (await connection.jsm().stream_info("KEEP")).state.messages == 100
        await connection.close()
    finally:
        servers.stop()


def test_nothing_is_left_outside_the_home(tmp_path: Path) -> None:
    places = [Path("/tmp"), Path("/dev/shm"), Path("/run"), Path.home()]
    before = {place: set(place.iterdir()) for place in places if place.is_dir()}
    servers = only(tmp_path / "home", "postgres_url", "nats_url", "redis_url")
    servers.start()
    owned = {
        path
        for place, paths in before.items()
        for path in set(place.iterdir()) - paths
        if any(word in path.name.lower() for word in ("postgres", "pg", ".s.", "nats", "redis", "valkey"))
    }
    servers.stop()
    assert owned == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs no namespace")
def test_a_system_without_user_namespaces_is_told_what_to_do(tmp_path: Path) -> None:
    # In a namespace of its own, root may forbid further ones without touching the system.
    start = f"echo 0 > /proc/sys/user/max_user_namespaces && exec {sys.executable} -m deploy.cli.main up"
    environ = {**os.environ, "PYTHONPATH": str(PROJECT), "ANALYTICS_HOME": str(tmp_path / "home")}
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", start]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Start as an ordinary user, or set ANALYTICS_POSTGRES_URL" in done.stdout, done.stdout + done.stderr


ORDINARY = 65_534


def _interpreter_for_everybody() -> str | None:
    """Return an interpreter of this version that an ordinary user may run, with our packages."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [candidate, "-c", "import msgspec, deploy.embedded.process"]
        try:
            if subprocess.run(command, **_as_ordinary_user(), check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    return None


def _as_ordinary_user() -> dict[str, Any]:
    packages = os.pathsep.join([str(PROJECT), *(path for path in sys.path if path.endswith("site-packages"))])
    programs = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return {
        "user": ORDINARY,
        "group": ORDINARY,
        "extra_groups": (),
        "cwd": "/",
        "env": {"PYTHONPATH": packages, "PATH": programs, "PYTHONDONTWRITEBYTECODE": "1"},
        "capture_output": True,
        "text": True,
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; as another user, every test is this")
def test_an_ordinary_user_runs_everything() -> None:
    python = _interpreter_for_everybody()
    if python is None:
        pytest.skip("no interpreter that other users may run")
    folder = Path("/tmp") / f"cdp-ordinary-{os.getpid()}"
    folder.mkdir(mode=0o700)
    os.chown(folder, ORDINARY, ORDINARY)
    code = (
        "import sys; from tests.infra import *\n"
        "home = Home.at(sys.argv[1]); servers = EmbeddedServers(home, embedded_stores(home, (), spare_ports()))\n"
        "servers.start(); migrate(servers.settings); servers.stop(); print('all of it')"
    )
    try:
        done = subprocess.run(
            [python, "-c", code, str(folder / "home")], **_as_ordinary_user(), timeout=90, check=False
        )
        assert done.stdout.splitlines()[-1:] == ["all of it"], done.stdout + done.stderr
        assert {path.lstat().st_uid for path in folder.rglob("*")} == {ORDINARY}
    finally:
        shutil.rmtree(folder)
