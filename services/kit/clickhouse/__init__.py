"""The services' handle on ClickHouse."""

from services.kit.clickhouse.client import ClickHouse, External
from services.kit.clickhouse.errors import ClickHouseError, EngineLimit, QueryStopped
from services.kit.clickhouse.http import RawStream
from services.kit.clickhouse.results import Block, Column, Result, RowStream

__all__ = [
    "Block",
    "ClickHouse",
    "ClickHouseError",
    "Column",
    "EngineLimit",
    "External",
    "QueryStopped",
    "RawStream",
    "Result",
    "RowStream",
]
