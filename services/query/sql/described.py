"""What is sent to the engine for a statement: itself, its plan, or, of DESCRIBE, the columns it would have."""

from __future__ import annotations

import json

from services.kit import sql
from services.query.resources import Resources
from services.query.sql.checked import DESCRIBING, Run, meaning, stream

_FORMAT = "JSONCompactEachRowWithNamesAndTypes"


async def statement_of(resources: Resources, run: Run) -> str:
    """Return the statement whose rows are the answer.

    Raises:
        As `SqlEngine.stream`, what the engine says being explained.
    """
    if run.written.described:
        return columns_sql(*await _columns(resources, run))
    return f"EXPLAIN {run.written.sql}" if run.written.explained else run.written.sql


def columns_sql(names: list[str], types: list[str]) -> str:
    """Return SQL of rows (name, type), in this order."""
    pairs = ", ".join(f"({sql.string(name)}, {sql.string(type_)})" for name, type_ in zip(names, types, strict=True))
    return f"SELECT pair.1 AS name, pair.2 AS type FROM (SELECT arrayJoin([{pairs}]) AS pair)"


async def _columns(resources: Resources, run: Run) -> tuple[list[str], list[str]]:
    """Return the names and types of a statement's columns: it has been written so that it has no rows."""
    with meaning(run.text, run.settings):
        async with stream(resources, run, run.written.sql, _FORMAT, step=DESCRIBING) as opened:
            lines = b"".join([chunk async for chunk in opened]).splitlines()
    return json.loads(lines[0]), json.loads(lines[1])
