"""Pure compilers of the catalogue's queries."""

from __future__ import annotations

from contracts.events import CatalogNames, CatalogValues
from services.kit import sql
from services.kit.event_rows import NAME_COLUMN
from services.kit.predicates import check_field, compile_field, join
from services.query.events_sql import keys_of
from services.query.frame import Frame


def names_sql(request: CatalogNames, frame: Frame) -> str:
    """Return rows of (table, name or NULL, count, last timestamp in milliseconds), most frequent first, one more than
    the limit."""
    selects = []
    for table in frame.tables:
        column = NAME_COLUMN.get(table)
        keys = keys_of((), table, frame)
        if request.prefix:
            keys.append(f"startsWith(toString({column}), {sql.string(request.prefix)})" if column else "0")
        name = f"CAST({column}, 'Nullable(String)')" if column else "CAST(NULL, 'Nullable(String)')"
        selects.append(
            f"SELECT {sql.string(table)} AS source, {name} AS label, count() AS events, "
            f"toUnixTimestamp64Milli(max(timestamp)) AS last FROM events_{table} FINAL "
            f"PREWHERE {' AND '.join(keys)} GROUP BY label HAVING events > 0"
        )
    return (
        f"SELECT source, label, events, last FROM ({' UNION ALL '.join(selects)}) "
        f"ORDER BY events DESC, source, label LIMIT {request.limit + 1}"
    )


def values_sql(request: CatalogValues, frame: Frame) -> str:
    """Return rows of (value, count), commonest first, ties by text, one more than the limit.

    Raises:
        InvalidRequest: no such field.
    """
    check_field(request.field, frame.tables, "/field")
    selects = []
    for table in frame.tables:
        scope = frame.scope(table)
        keys = keys_of(request.names, table, frame)
        text = compile_field(request.field, scope, pointer="/field").texts
        selects.append(
            f"SELECT arrayJoin(arrayDistinct({text})) AS value FROM events_{table} FINAL{join(scope)} "
            f"PREWHERE {' AND '.join(keys)}"
        )
    begins = "1"
    if request.prefix and request.ignore_case:
        begins = f"startsWith(lowerUTF8(value), lowerUTF8({sql.string(request.prefix)}))"
    elif request.prefix:
        begins = f"startsWith(value, {sql.string(request.prefix)})"
    return (
        f"SELECT value, count() AS events FROM ({' UNION ALL '.join(selects)}) WHERE {begins} "
        f"GROUP BY value ORDER BY events DESC, value LIMIT {request.limit + 1}"
    )
