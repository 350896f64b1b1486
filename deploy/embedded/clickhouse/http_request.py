"""Reads what an HTTP request asks for: credentials, query, settings, parameters, where its data is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web
from multidict import MultiMapping

from .bodies import decoded
from .errors import ServerError
from .session import Setting
from .statements import Kind, Statement, parse
from .wire import MAX_QUERY

HEAD = 1 << 20
"""Bytes of a body read to find where the data of an INSERT in it begins."""

_NOT_SETTINGS = frozenset(
    [
        *("query", "database", "user", "password", "quota_key", "default_format", "query_id", "stacktrace", "compress"),
        *("decompress", "buffer_size", "wait_end_of_query", "client_protocol_version", "session_id", "session_timeout"),
        *("session_check", "close_session", "role"),
    ]
)


@dataclass(frozen=True)
class Asked:
    """``sql`` without the data of an INSERT; ``data`` are the pieces of that."""

    sql: str
    statement: Statement
    data: AsyncIterator[bytes]
    database: str
    query_id: str
    default_format: str
    session_id: str
    session_timeout: float
    settings: dict[str, Setting]
    parameters: dict[str, str]


def credentials(request: web.Request) -> tuple[str, str]:
    """User and password from X-ClickHouse-User and -Key, basic authentication or the URL, in this order."""
    headers, query = request.headers, request.query
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise ServerError(516, "Malformed Authorization header") from None
        return name, password
    return query.get("user", "default"), query.get("password", "")


async def read(request: web.Request) -> Asked:
    """Raises ServerError for what is malformed or not supported."""
    query, headers = request.query, request.headers
    if query.get("decompress") == "1":
        raise ServerError(48, "decompress=1 is not supported: compress the body with a Content-Encoding")
    if query.get("role"):
        raise ServerError(48, "Roles are not supported")
    if request.content_type.startswith("multipart/"):
        raise ServerError(48, "External tables over HTTP are not supported: use the native protocol")
    sql, statement, data = await _text(request)
    return Asked(
        sql=sql,
        statement=statement,
        data=data,
        database=query.get("database", headers.get("X-ClickHouse-Database", "")),
        query_id=query.get("query_id", ""),
        default_format=query.get("default_format", headers.get("X-ClickHouse-Format", "TabSeparated")),
        session_id=query.get("session_id", ""),
        session_timeout=_seconds(query.get("session_timeout", "60")),
        settings=_settings(query),
        parameters={name[6:]: value for name, value in query.items() if name.startswith("param_")},
    )


def _settings(query: MultiMapping[str]) -> dict[str, Setting]:
    return {
        name: Setting(value)
        for name, value in query.items()
        if name not in _NOT_SETTINGS and not name.startswith("param_")
    }


def _seconds(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        raise ServerError(36, f"session_timeout is not a number: {text[:50]!r}") from None


async def _text(request: web.Request) -> tuple[str, Statement, AsyncIterator[bytes]]:
    """The text and the data. As on a server, the body continues the query of the URL."""
    body = decoded(request.content.iter_any(), request.headers.get("Content-Encoding", ""))
    gathered = bytearray(request.query.get("query", "").encode("utf-8", "surrogateescape"))
    if gathered and parse(_decode(gathered)).kind is Kind.INSERT:
        text = _decode(gathered)
        return text, parse(text), body
    gathered += b"\n" if gathered else b""
    async for piece in body:
        gathered += piece
        if len(gathered) >= HEAD:
            statement = _begun(gathered)
            if statement is not None:
                break
        if len(gathered) > MAX_QUERY:
            raise ServerError(62, f"The query is longer than {MAX_QUERY} bytes")
    statement = _begun(gathered)
    if statement is None:
        text = _decode(gathered)
        return text, parse(text), _nothing()
    head = _decode(gathered)[: statement.data_start]
    rest = bytes(gathered[len(head.encode("utf-8", "surrogateescape")) :])
    return head, parse(head), _chain(_first_line(rest), body)


def _begun(gathered: bytearray) -> Statement | None:
    """The INSERT whose data begins in these bytes, if there is one."""
    if not bytes(gathered[:HEAD]).lstrip().lower().startswith((b"insert", b"--", b"/*", b"#")):
        return None
    try:
        statement = parse(_decode(gathered[:HEAD]))
    except ServerError:
        return None
    return statement if statement.data_start >= 0 else None


def _first_line(data: bytes) -> bytes:
    """Data begins behind the blanks and the line end that follow the format's name."""
    data = data.lstrip(b" \t\r")
    return data[1:] if data.startswith(b"\n") else data


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _nothing() -> AsyncIterator[bytes]:
    no_pieces: tuple[bytes, ...] = ()
    for piece in no_pieces:
        yield piece


def _decode(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "surrogateescape")
