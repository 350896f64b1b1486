"""The embedded ClickHouse: the engine as a library, in a process that speaks ClickHouse's protocols."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.home import PROJECT, Home, write_private
from deploy.embedded.ports import HOST
from deploy.embedded.process import Command
from deploy.embedded.stores.base import answers

USER = "default"
DATABASE = "cdp"
"""Created by the migrations, like on any other server."""
SQL_USER = "cdp_sql"
"""Runs custom SQL: reads the event tables, with a filter and limits sent along, and can do nothing else."""
_SQL_TABLES = tuple(f"{DATABASE}.events_{name}" for name in ("track", "identify", "page", "group"))
SQL_SETTINGS = (
    *("additional_table_filters", "limit", "session_timezone", "max_execution_time", "timeout_overflow_mode"),
    *("max_threads", "os_threads_nice_value_query", "max_memory_usage", "max_rows_to_read", "max_bytes_to_read"),
    *("max_query_size", "max_ast_elements"),
    *("max_expanded_ast_elements", "max_bytes_before_external_sort", "max_bytes_ratio_before_external_sort"),
    *("prefer_external_sort_block_bytes", "do_not_merge_across_partitions_select_final", "date_time_output_format"),
    *("max_bytes_before_external_group_by", "max_bytes_ratio_before_external_group_by"),
    *("type_json_skip_null_typed_paths", "output_format_json_escape_forward_slashes"),
    "output_format_json_quote_64bit_integers",
)
"""The settings that come with a statement of custom SQL."""


@dataclass(frozen=True, kw_only=True)
class ClickHouse:
    """One process: native protocol on `port`, HTTP on `http_port`."""

    home: Home
    port: int
    http_port: int
    name: str = "clickhouse"
    stop_signal: signal.Signals = signal.SIGTERM

    def prepare(self) -> Command:
        """Write its users and return how to start it."""
        folder = self.home.folder(self.name)
        # The engine reads a config.xml of the folder it starts in: this one is ours and has none.
        cwd = self.home.folder(f"{self.name}/run")
        search = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
        return Command(
            argv=[
                *(sys.executable, "-m", "deploy.embedded.clickhouse", "--data", str(folder / "data")),
                *("--tcp-port", str(self.port), "--http-port", str(self.http_port), "--users", str(self._users())),
            ],
            cwd=cwd,
            environ={"PYTHONPATH": search, "PYTHONUNBUFFERED": "1"},
        )

    def is_ready(self) -> bool:
        """Tell whether it serves."""
        return answers(self.http_port, "/ping")

    def settings(self) -> Mapping[str, str]:
        """Return the settings that point at it."""
        login = f"{USER}:{self.home.password(self.name)}@{HOST}"
        return {
            "clickhouse_url": f"clickhouse://{login}:{self.port}/{DATABASE}",
            # Without a login: clients of both interfaces take it from the URL above.
            "clickhouse_http_url": f"http://{HOST}:{self.http_port}",
            # Names without a database mean nothing to it.
            "clickhouse_sql_url": f"clickhouse://{SQL_USER}:{self.home.password(SQL_USER)}@{HOST}:{self.port}/default",
        }

    def _users(self) -> Path:
        users = [
            {"name": USER, "password": self.home.password(self.name), "readonly": 0, "settings": {}},
            {
                "name": SQL_USER,
                "password": self.home.password(SQL_USER),
                "readonly": True,
                "tables": _SQL_TABLES,
                "functions": ["dictGetOrDefault"],  # of the sub-selects that stand for the tables
                "sendable": SQL_SETTINGS,
            },
        ]
        path = self.home.run / "clickhouse.users.json"
        write_private(path, json.dumps(users, indent=1))
        return path
