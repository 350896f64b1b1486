"""The parts of the embedded default that need no server."""

from __future__ import annotations

import io
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from deploy.embedded import environment, records
from deploy.embedded.home import EmbeddedError, Home, Lock, is_locked
from deploy.embedded.output import Output
from deploy.embedded.ports import Ports, is_free
from deploy.embedded.process import Command, started_at
from deploy.embedded.records import Record
from deploy.embedded.supervisor import Stopped, Supervisor, Unit
from deploy.migrations.sets import discover

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "home")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_in_run_is_its_owners_alone(home: Home) -> None:
    home.password("redis")
    environment.write(home, {"ANALYTICS_HOME": "x"})
    assert mode(home.run) == 0o700
    assert {mode(path) for path in home.run.iterdir()} == {0o600}


def test_a_password_stays_the_same(home: Home) -> None:
    assert home.password("postgres") == home.password("postgres")
    assert home.password("postgres") != home.password("redis")


def test_a_home_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="ANALYTICS_HOME"):
        Home.at(tmp_path / "file" / "home")


def test_a_port_in_use_is_not_chosen() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        assert not is_free(taken)
        assert Ports().choose(taken) != taken


def test_a_port_is_given_once() -> None:
    ports = Ports()
    first = ports.choose()
    assert ports.choose(first) != first


def test_variables_survive_the_file_whatever_they_hold(home: Home) -> None:
    values = {"ANALYTICS_A": 'it\'s $HOME "quoted" = 1', "ANALYTICS_B": ""}
    environment.write(home, values)
    holder = hold_lock(home)
    try:
        assert environment.read(home) == values
    finally:
        holder.kill()
        holder.wait()


def test_variables_of_a_supervisor_that_is_gone_are_not_used(home: Home) -> None:
    environment.write(home, {"ANALYTICS_API_PORT": "1"})
    assert environment.read(home) == {}
    with pytest.raises(EmbeddedError, match="make up"):
        environment.settings({"ANALYTICS_HOME": str(home.root)})


def test_looking_for_a_supervisor_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="make up"):
        environment.settings({"ANALYTICS_HOME": str(tmp_path / "nothing")})
    assert not (tmp_path / "nothing").exists()


def test_what_the_user_sets_wins_over_what_runs(home: Home) -> None:
    environment.write(home, {"ANALYTICS_API_PORT": "1", "ANALYTICS_NATS_URL": "nats://127.0.0.1:1"})
    holder = hold_lock(home)
    try:
        settings = environment.settings({"ANALYTICS_HOME": str(home.root), "ANALYTICS_API_PORT": "2"})
        assert (settings.api_port, settings.nats_url) == (2, "nats://127.0.0.1:1")
    finally:
        holder.kill()
        holder.wait()


def test_servers_named_by_the_user_need_nothing_running(home: Home) -> None:
    settings = environment.settings({"ANALYTICS_HOME": str(home.root), "ANALYTICS_NATS_URL": "nats://other:4222"})
    assert settings.nats_url == "nats://other:4222"


def test_a_second_supervisor_is_told_about_the_first(home: Home) -> None:
    holder = hold_lock(home)
    try:
        with pytest.raises(EmbeddedError, match=f"already running.*process {holder.pid}"):
            Lock(home)
    finally:
        holder.kill()
        holder.wait()
    assert not is_locked(home)
    Lock(home).release()


def hold_lock(home: Home) -> subprocess.Popen[bytes]:
    """Return a process that holds the home's lock, as a supervisor does."""
    code = "import sys, time; from deploy.embedded.home import Home, Lock; lock = Lock(Home.at(sys.argv[1])); print()"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.stdout.flush(); time.sleep(60)", str(home.root)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


def test_a_process_left_behind_is_ended_and_a_reused_id_is_not(home: Home) -> None:
    left, other = subprocess.Popen(SLEEP), subprocess.Popen(SLEEP)
    started = started_at(left.pid)
    assert started is not None
    records.save(
        home,
        [Record(name="left", pid=left.pid, started=started), Record(name="other", pid=other.pid, started="1")],
    )
    try:
        assert records.end_leftovers(home) == ["left"]
        assert left.wait(5) == -signal.SIGTERM
        assert other.poll() is None
        assert records.load(home) == []
    finally:
        other.kill()
        other.wait()


def test_a_broken_record_file_is_as_good_as_none(home: Home) -> None:
    (home.run / "processes.json").write_text("[{")
    assert records.load(home) == []


def test_output_keeps_lines_whole_and_names_them(home: Home) -> None:
    stream = io.StringIO()
    output = Output(home.logs, stream, width=5)
    output.feed("nats", b"one\ntw")
    output.feed("redis", b"other\n")
    output.feed("nats", b"o \xff\n")
    output.close()
    assert stream.getvalue() == "nats  │ one\nredis │ other\nnats  │ two \ufffd\n"
    assert (home.logs / "nats.log").read_text() == "one\ntwo \ufffd\n"


def test_output_of_one_endless_line_is_cut_and_bounded(home: Home) -> None:
    stream = io.StringIO()
    output = Output(None, stream, width=1)
    for _ in range(100):
        output.feed("x", b"a" * 10_000)
    assert max(map(len, stream.getvalue().splitlines())) < 90_000
    assert stream.getvalue().count("a") > 900_000


def test_migration_sets_come_shared_first_then_by_service(tmp_path: Path) -> None:
    for folder in ("services/b", "services/a", "deploy/clickhouse"):
        path = tmp_path / folder / ("migrations" if folder.startswith("deploy") else "migrations/clickhouse")
        path.mkdir(parents=True)
        (path / "20260102000000_two.sql").write_text("")
        (path / "20260101000000_one.sql").write_text("")
        (path / "notes.md").write_text("")
    sets = discover("clickhouse", tmp_path)
    assert [each.name for each in sets] == ["shared/clickhouse", "a/clickhouse", "b/clickhouse"]
    assert sets[0].versions() == ["20260101000000", "20260102000000"]
    assert len({each.table for each in sets}) == 3


class Watched:
    """A supervisor in this process, and what it said and recorded."""

    def __init__(self, tmp_path: Path) -> None:
        self.stream = io.StringIO()
        self.running: list[Record] = []
        self.folder = tmp_path
        self.supervisor = Supervisor(Output(None, self.stream, width=4), self._record)

    def _record(self, running: Iterable[Record]) -> None:
        self.running = list(running)

    def unit(self, code: str, stop_seconds: float = 20.0) -> Unit:
        command = Command(argv=[sys.executable, "-u", "-c", code], cwd=self.folder)
        return Unit(name="unit", start=command.start, stop_seconds=stop_seconds)

    def turn_until(self, text: str, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.stream.getvalue():
            assert time.monotonic() < deadline, self.stream.getvalue()
            self.supervisor.turn(0.05)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_what_ends_is_started_again_and_waits_longer_each_time(watched: Watched) -> None:
    with watched.supervisor as supervisor:
        supervisor.start([watched.unit("print('hello'); raise SystemExit(3)")])
        watched.turn_until("again in 0.4 s")
        supervisor.stop(["unit"])
    said = watched.stream.getvalue()
    assert said.count("hello") >= 3
    assert said.index("(exit status 3); starting it again in 0.1 s") < said.index("in 0.2 s") < said.index("in 0.4 s")


def test_a_killed_process_is_replaced(watched: Watched) -> None:
    with watched.supervisor as supervisor:
        supervisor.start([watched.unit("import time; print('up'); time.sleep(60)")])
        watched.turn_until("up")
        first = watched.running[0].pid
        os.kill(first, signal.SIGKILL)
        watched.turn_until("killed by SIGKILL")
        while not watched.running or watched.running[0].pid == first:
            supervisor.turn(0.05)
        supervisor.stop(["unit"])
    assert watched.running == []


def test_what_ignores_the_stop_signal_is_killed_after_its_time(watched: Watched) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    with watched.supervisor as supervisor:
        supervisor.start([watched.unit(code, stop_seconds=0.3)])
        watched.turn_until("deaf")
        begun = time.monotonic()
        supervisor.stop(["unit"])
    assert 0.3 <= time.monotonic() - begun < 30
    assert "unit is killed" in watched.stream.getvalue()


def test_last_words_are_heard(watched: Watched) -> None:
    code = (
        "import signal, sys, time\n"
        "def bye(*_): print('x' * 200_000); print('bye'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, bye); print('up'); time.sleep(60)"
    )
    with watched.supervisor as supervisor:
        supervisor.start([watched.unit(code)])
        watched.turn_until("up")
        supervisor.stop(["unit"])
    assert "bye" in watched.stream.getvalue()


def test_a_signal_ends_the_wait_and_a_second_one_the_patience(watched: Watched) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    with watched.supervisor as supervisor:
        supervisor.start([watched.unit(code, stop_seconds=60)])
        watched.turn_until("deaf")
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            supervisor.turn(30)
        os.kill(os.getpid(), signal.SIGINT)
        begun = time.monotonic()
        supervisor.stop(["unit"])
    assert time.monotonic() - begun < 30


def test_a_unit_that_ends_before_it_is_ready_is_an_error(watched: Watched) -> None:
    with watched.supervisor as supervisor:
        unit = watched.unit("raise SystemExit(1)")
        supervisor.start([Unit(name="unit", start=unit.start, is_ready=lambda: False)])
        with pytest.raises(EmbeddedError, match="unit ended while starting"):
            supervisor.wait(["unit"], 20)
        supervisor.stop(["unit"])


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from deploy.embedded.process import Command\n"
        "child = Command(argv=[sys.executable, '-c', 'import time; time.sleep(60)'], cwd=Path('.')).start(1)\n"
        "print(child.pid, flush=True); os.read(0, 1)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert started_at(child) is not None
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while started_at(child) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
