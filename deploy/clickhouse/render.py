"""Filling in what differs between one ClickHouse node and a cluster in migration files.

A migration holds one statement (the engine takes no more at once) with these placeholders:

| placeholder | one node | a cluster |
| --- | --- | --- |
| ``${database}`` | the database | the same |
| ``${on_cluster}`` | nothing | `` ON CLUSTER 'name'`` |
| ``${cluster}`` | nothing | ``'name'`` |
| ``${replicated}`` | nothing | ``Replicated``, before a ``…MergeTree`` engine |
| ``${local}`` | nothing | ``_local``, after the name of a table that a Distributed one stands for |
| ``${login}`` | ``USER … PASSWORD …`` in a dictionary's source, from `clickhouse_dictionary_login` | the same |

A file that begins with ``-- only: cluster`` does nothing on one node; its version counts as applied all the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from urllib.parse import unquote, urlsplit

from services.kit import sql
from services.kit.settings import Settings

_CLUSTER_ONLY = "-- only: cluster\n"
_NOTHING = "-- migrate:up\nSELECT 1;\n\n-- migrate:down\nSELECT 1;\n"
_CLUSTER_NAME = re.compile(r"^[\w.{}-]+$")
"""Braces: a macro of the server (``{cluster}``)."""


def render_text(text: str, settings: Settings) -> str:
    """Return one migration as it is run on the ClickHouse the settings name; the path of its URL is the database.

    Raises:
        ValueError: the cluster's name cannot be one.
        KeyError: an unknown placeholder.
    """
    cluster = settings.clickhouse_cluster
    if not cluster and text.startswith(_CLUSTER_ONLY):
        return _NOTHING
    if cluster and not _CLUSTER_NAME.match(cluster):
        raise ValueError(f"{cluster!r} is no name of a ClickHouse cluster")
    user, _, password = settings.clickhouse_dictionary_login.partition(":")
    return Template(text).substitute(
        database=sql.identifier(unquote(urlsplit(settings.clickhouse_url).path.removeprefix("/")) or "default"),
        on_cluster=f" ON CLUSTER '{cluster}'" if cluster else "",
        cluster=f"'{cluster}'" if cluster else "",
        replicated="Replicated" if cluster else "",
        local="_local" if cluster else "",
        login=f"USER {sql.string(user)} PASSWORD {sql.string(password)} " if user else "",
    )


def render(source: Path, target: Path, settings: Settings) -> None:
    """Write every migration of `source` into the folder `target`, rendered as by `render_text`."""
    for path in sorted(source.glob("*.sql")):
        (target / path.name).write_text(render_text(path.read_text(encoding="utf-8"), settings), encoding="utf-8")
