"""`cdp up` from outside: start, kill, recover, refuse, stop."""

from __future__ import annotations

import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from deploy.embedded.ports import is_free
from deploy.embedded.process import started_at
from services.kit.settings import Settings
from tests.fleet import Fleet, eventually, fleet, status_of

STORES = ("nats", "redis", "postgres", "clickhouse")
SERVICES = ("query", "profile", "gateway", "fleet")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that is ready; tests leave it so."""
    with fleet(tmp_path_factory.mktemp("fleet") / "home") as started:
        started.start()
        started.wait_ready()
        yield started


def gone(pid: int) -> bool:
    return started_at(pid) is None


def test_all_of_it_runs_and_says_so(running: Fleet) -> None:
    assert set(running.pids) == {*STORES, *SERVICES}
    assert status_of(f"http://127.0.0.1:{running.settings.workers_port}/health") == 200
    eventually(lambda: "ready after" in running.output, 20, lambda: running.output)
    assert f"http://127.0.0.1:{running.settings.api_port}" in running.output
    shown = running.command("status")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert all(name in shown.stdout for name in (*STORES, *SERVICES))


def test_what_it_chose_is_its_owners_alone(running: Fleet) -> None:
    for path in (running.root / "run").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.name == "lock", path


def test_other_commands_find_its_servers(running: Fleet) -> None:
    for command in (("migrate", "status"), ("clickhouse", "status"), ("migrate", "up"), ("clickhouse", "up")):
        done = running.command(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_a_second_one_on_the_same_home_is_refused(running: Fleet) -> None:
    second = running.command("up")
    assert second.returncode == 1
    assert second.stderr.startswith("cdp: already running on"), second.stderr
    assert running.is_ready()


@pytest.mark.parametrize("name", ["profile", "fleet"])  # the others: tests/faults/test_restarts.py
def test_what_is_killed_comes_back_and_nothing_else_is_touched(running: Fleet, name: str) -> None:
    before, settings = running.pids, running.settings
    killed = running.kill(name)
    eventually(lambda: running.pids.get(name, killed) != killed, 60, lambda: running.output)
    eventually(running.is_ready, 60, lambda: running.output)
    assert running.settings == settings, "same ports"
    others = {other: pid for other, pid in running.pids.items() if other != name}
    assert others == {other: pid for other, pid in before.items() if other != name}


def test_replicas_run_beside_it(running: Fleet) -> None:
    with running.beside("run", "query", "--replicas", "2") as process:
        eventually(lambda: _replicas(running) == 3, 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    eventually(lambda: _replicas(running) == 1, 60)


def test_a_service_whose_port_is_taken_says_so(running: Fleet) -> None:
    refused = running.command("run", "api")
    assert refused.returncode == 1
    assert (
        refused.stderr
        == f"cdp: port {running.settings.api_port} is in use: the gateway runs already, or something else does\n"
    )


def test_services_run_apart_from_the_servers(tmp_path_factory: pytest.TempPathFactory) -> None:
    with fleet(tmp_path_factory.mktemp("fleet") / "home") as servers:
        servers.start("--stores")
        eventually(lambda: "the servers are ready" in servers.output, 60, lambda: servers.output)
        assert set(servers.pids) == set(STORES)
        with servers.beside("run", "workers"), servers.beside("run", "api", "--replicas", "2"):
            servers.wait_ready()
            eventually(lambda: _replicas(servers) == 2, 60)
            assert status_of(f"http://127.0.0.1:{servers.settings.workers_port}/health") == 200
        assert servers.stop() == 0


def _replicas(running: Fleet) -> int:
    return len(running.readiness()["services"]["query"]["replicas"])


def test_a_second_home_gets_other_ports_stops_services_before_stores_and_leaves_nothing(
    running: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with fleet(tmp_path_factory.mktemp("fleet") / "home") as stopped:
        stopped.start()
        stopped.wait_ready()
        for url in ("nats_url", "redis_url", "postgres_url", "clickhouse_url", "clickhouse_http_url"):
            ports = [urlsplit(getattr(each.settings, url)).port for each in (running, stopped)]
            assert ports[0] != ports[1]
        children, api = list(stopped.pids.values()), stopped.settings.api_port
        assert stopped.stop(signal.SIGINT) == 0
        assert all(gone(pid) for pid in children)
        assert is_free(api)
        assert "killed" not in stopped.output
        assert stopped.output.rindex("draining") < stopped.output.rindex("received fast shutdown request")
        assert not (stopped.root / "run" / "env").exists()
        refused = stopped.command("migrate", "status")
        assert (refused.returncode, "make up" in refused.stderr) == (1, True)


def test_a_stop_while_it_starts_is_heeded(tmp_path_factory: pytest.TempPathFactory) -> None:
    with fleet(tmp_path_factory.mktemp("fleet") / "home") as stopped:
        stopped.start()
        eventually(lambda: bool(stopped.pids), 60, lambda: stopped.output)
        children = list(stopped.pids.values())
        assert stopped.stop() == 0
        assert all(gone(pid) for pid in children)


def test_a_named_port_that_is_taken_is_an_error_that_names_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with fleet(tmp_path_factory.mktemp("fleet") / "home", {"ANALYTICS_API_PORT": str(port)}) as refused:
            refused.start()
            assert refused.process is not None
            assert refused.process.wait(20) == 1
            assert f"port {port} is in use" in refused.output


def test_servers_of_the_users_own_are_used_and_not_started(
    infra: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = {f"ANALYTICS_{name.upper()}": getattr(infra, name) for name in ("nats_url", "redis_url", "postgres_url")}
    own |= {f"ANALYTICS_{name.upper()}": getattr(infra, name) for name in ("clickhouse_url", "clickhouse_http_url")}
    with ExitStack() as stack:
        served = stack.enter_context(fleet(tmp_path_factory.mktemp("fleet") / "home", own))
        served.start()
        served.wait_ready()
        assert set(served.pids) == set(SERVICES)
        assert served.settings.nats_url == infra.nats_url
