"""Packets of ClickHouse's native protocol, by revision.

The connection runs at the lower of the client's revision and ``REVISION``; a field that came with a later revision is
neither read nor written. Numbers and names follow the server's ``Core/ProtocolDefines.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass, field

from .errors import ServerError
from .native import header
from .wire import MAX_QUERY, Buffer, string, uint64, varint

REVISION = 54468
"""The highest revision before the chunked protocol and server settings in Hello: parameters, addendum and totals of
bytes are in, and the client libraries in use do not need more."""

OLDEST_REVISION = 54429
"""Settings travel as strings since then; an older client is refused."""

VERSION = (26, 9, 2)

WITH_CUSTOM_SERIALIZATION = 54454
WITH_PROFILE_EVENTS_IN_INSERT = 54456

# Packets from the client.
HELLO, QUERY, DATA, CANCEL, PING, TABLES_STATUS, KEEP_ALIVE, SCALAR = range(8)

# Packets from the server.
S_HELLO, S_DATA, S_EXCEPTION, S_PROGRESS, S_PONG, S_END_OF_STREAM, S_PROFILE_INFO = range(7)
S_TABLE_COLUMNS = 11
S_PROFILE_EVENTS = 14

SETTING_IMPORTANT = 1

DATA_HEAD = b"\x01\x00"
"""What precedes the (maybe compressed) part of a Data packet: its type and an empty table name."""

_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


@dataclass(frozen=True)
class Hello:
    client: str
    revision: int
    database: str
    user: str
    password: str


@dataclass(frozen=True)
class Query:
    """``settings`` map a name to (value, whether an unknown name is an error)."""

    query_id: str
    sql: str
    compressed: bool
    settings: dict[str, tuple[str, bool]]
    parameters: dict[str, str] = field(default_factory=dict)


def read_hello(buffer: Buffer) -> Generator[None, None, Hello]:
    client = yield from buffer.string(1024)
    yield from buffer.varint()
    yield from buffer.varint()
    revision = yield from buffer.varint()
    database = yield from buffer.string()
    user = yield from buffer.string()
    password = yield from buffer.string()
    return Hello(client, revision, database, user, password)


def hello(revision: int, display_name: str) -> bytes:
    parts = [varint(S_HELLO), string("ClickHouse"), varint(VERSION[0]), varint(VERSION[1]), varint(REVISION)]
    parts.append(string("UTC"))
    parts.append(string(display_name))
    parts.append(varint(VERSION[2]))
    if revision >= 54461:  # password complexity rules
        parts.append(varint(0))
    if revision >= 54462:  # nonce of the interserver secret
        parts.append(uint64(0))
    return b"".join(parts)


def read_addendum(buffer: Buffer, revision: int) -> Generator[None, None, None]:
    if revision >= 54458:
        yield from buffer.string()  # quota key


def read_query(buffer: Buffer, revision: int) -> Generator[None, None, Query]:
    query_id = yield from buffer.string(1024)
    yield from _client_info(buffer, revision)
    settings = yield from _settings(buffer)
    if revision >= 54441:  # hash of the interserver secret: only servers send one
        yield from buffer.string()
    yield from buffer.varint()  # stage: to completion, whatever is asked, as for any client that is not a server
    compressed = yield from buffer.varint()
    sql = yield from buffer.string(MAX_QUERY)
    parameters = {}
    if revision >= 54459:
        sent = yield from _settings(buffer)
        parameters = {name: value for name, (value, _) in sent.items()}
    return Query(query_id, sql, bool(compressed), settings, parameters)


def _client_info(buffer: Buffer, revision: int) -> Generator[None, None, None]:
    kind = yield from buffer.byte()
    if not kind:
        return
    yield from buffer.string()  # initial user
    yield from buffer.string()  # initial query id
    yield from buffer.string()  # initial address
    if revision >= 54449:  # start time of the initial query
        yield from buffer.skip(8)
    interface = yield from buffer.byte()
    if interface == 1:
        yield from buffer.string()  # user of the operating system
        yield from buffer.string()  # host name
        yield from buffer.string()  # client name
        for _ in range(3):  # version and revision
            yield from buffer.varint()
    elif interface == 2:
        yield from buffer.byte()  # method
        yield from buffer.string()  # user agent
        if revision >= 54443:
            yield from buffer.string()  # forwarded for
        if revision >= 54447:
            yield from buffer.string()  # referer
    else:
        raise ServerError(101, f"Unknown interface {interface} in the client's information")
    yield from buffer.string()  # quota key
    if revision >= 54448:  # depth of distribution
        yield from buffer.varint()
    if interface == 1:
        yield from buffer.varint()  # patch version
    if revision >= 54442:
        traced = yield from buffer.byte()
        if traced:
            yield from buffer.skip(24)  # trace and span ids
            yield from buffer.string()
            yield from buffer.byte()
    if revision >= 54453:  # parallel replicas
        for _ in range(3):
            yield from buffer.varint()


def _settings(buffer: Buffer) -> Generator[None, None, dict[str, tuple[str, bool]]]:
    settings: dict[str, tuple[str, bool]] = {}
    while name := (yield from buffer.string()):
        flags = yield from buffer.varint()
        value = yield from buffer.string(MAX_QUERY)
        settings[name] = (value, bool(flags & SETTING_IMPORTANT))
    return settings


def read_block_info(buffer: Buffer) -> Generator[None, None, None]:
    while number := (yield from buffer.varint()):
        if number not in (1, 2):
            raise ServerError(117, f"Unknown field {number} of a block's information")
        yield from buffer.skip(1 if number == 1 else 4)


def data_body(native_block: bytes) -> bytes:
    return _BLOCK_INFO + native_block


def exception(error: ServerError) -> bytes:
    """No stack trace and nothing nested."""
    code = struct.pack("<i", error.code)
    return varint(S_EXCEPTION) + code + string("DB::Exception") + string(error.text) + string("") + b"\0"


def progress(revision: int, rows: int, size: int, total_rows: int, elapsed_ns: int) -> bytes:
    """Increments since the last such packet."""
    parts = [varint(S_PROGRESS), varint(rows), varint(size), varint(total_rows)]
    if revision >= 54463:  # total bytes
        parts.append(varint(0))
    parts.append(varint(0) + varint(0))  # written rows and bytes
    if revision >= 54460:
        parts.append(varint(elapsed_ns))
    return b"".join(parts)


def profile_info(rows: int, blocks: int, size: int) -> bytes:
    """Rows, blocks and bytes of the result; the engine does not say what a LIMIT cut off."""
    return varint(S_PROFILE_INFO) + varint(rows) + varint(blocks) + varint(size) + b"\0" + varint(0) + b"\0"


def table_columns(description: str) -> bytes:
    return varint(S_TABLE_COLUMNS) + string("") + string(description)


_PROFILE_EVENTS = [
    ("host_name", "String"),
    ("current_time", "DateTime"),
    ("thread_id", "UInt64"),
    ("type", "Enum8('increment' = 1, 'gauge' = 2)"),
    ("name", "String"),
    ("value", "Int64"),
]


def profile_events() -> bytes:
    """No events: the engine does not give its counters away, but clients of revision 54456 and later wait for this
    packet after each block they insert."""
    return varint(S_PROFILE_EVENTS) + string("") + data_body(header(_PROFILE_EVENTS, flagged=True))
