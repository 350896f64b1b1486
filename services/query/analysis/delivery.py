"""An analysis' answer as it leaves: JSON, or the same numbers as one table of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

from contracts.analysis import ActorsPage
from contracts.base import Message, encode
from contracts.caching import CachePolicy
from contracts.operation import MEDIA_TYPES
from services.kit.service import Answer, RequestContext

Table: TypeAlias = tuple[Sequence[str], Iterable[Sequence[object]]]
"""The names of the columns, and the rows."""


def delivered(
    context: RequestContext, result: Message, table: Callable[[], Table], *, cache: CachePolicy | None
) -> Answer:
    """Return the answer in the format asked for."""
    if context.format == "csv":
        return Answer(csv_text(table()), content_type=MEDIA_TYPES["csv"])
    return Answer(encode(result), cache=cache)


def actors_table(page: ActorsPage) -> Table:
    """Return a list of actors as a table; its cursor stays with the JSON answer."""
    rows = [(*((None, None) if one.actor is None else (one.actor.kind, one.actor.id)), one.key) for one in page.data]
    return ("kind", "id", "key"), rows


def csv_text(table: Table) -> bytes:
    """Return RFC 4180 text with a header line: null is empty, times and numbers as in the JSON answer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header, rows = table
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return encode(value).decode().strip('"')
    return value
