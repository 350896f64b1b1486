"""Reads just enough of a statement to know how to run it: its kind, where its data starts, what its tail says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import pairwise

from .errors import ServerError
from .tokens import Token, first, groups, scan, unquote


class Kind(Enum):
    """How a statement is run."""

    SELECT = "streams its result"
    READ = "SHOW, DESCRIBE, EXPLAIN, EXISTS, CHECK: a small result"
    INSERT = "INSERT whose data follows: blocks on the native protocol, a body over HTTP"
    SET = "SET"
    USE = "USE"
    KILL = "KILL QUERY"
    OTHER = "everything else, INSERT with its data or with a SELECT included"


@dataclass(frozen=True)
class Statement:
    """``sql`` is what to run: a SELECT without its FORMAT clause, an INSERT up to its SETTINGS, VALUES or FORMAT.

    ``format`` is the format asked for. Of an INSERT: ``table``, the target as written (``FUNCTION f(…)`` included),
    ``columns``, the list without its parentheses, and ``settings``, the SETTINGS clause; when its data stands in the
    text (kind OTHER, ``sql`` the whole of it) also ``data_start``, where that begins, and ``insert``, what precedes
    SETTINGS, VALUES or FORMAT. Of SET: ``assignments``, name to literal. Of USE: ``database``. Of KILL QUERY:
    ``condition``, what follows WHERE, and ``mode``, SYNC, ASYNC or TEST.
    """

    kind: Kind
    sql: str
    format: str | None = None
    assignments: dict[str, str] = field(default_factory=dict)
    database: str = ""
    table: str = ""
    columns: str | None = None
    settings: str = ""
    condition: str = ""
    mode: str = ""
    data_start: int = -1
    insert: str = ""


_READS = ("SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "CHECK")
_FIRST_OF_SELECT = ("SELECT", "WITH", "FROM")
# Only a text with one of these needs more than its first token read: long lists of values are common.
_WORTH_READING = re.compile(r";|\bformat\b|\boutfile\b|\binsert\b", re.IGNORECASE)


def parse(sql: str) -> Statement:
    """Classify one statement; ServerError 62 when empty or several, 358 for INTO OUTFILE, 48 for FROM INFILE."""
    head = first(sql)
    if head is None or head.text == ";":
        raise ServerError(62, "Syntax error: Empty query")
    if head.is_word("INSERT"):
        return _insert(sql)
    selects = head.is_word(*_FIRST_OF_SELECT) or head.text == "("
    if selects and not _WORTH_READING.search(sql):
        return Statement(Kind.SELECT, sql)
    found = list(groups(sql))
    text = sql[: _end(found)]
    found = [token for token in found if token.text != ";"]
    if any(token.is_word("INTO") and after.is_word("OUTFILE") for token, after in pairwise(found)):
        raise ServerError(358, "INTO OUTFILE is not allowed")
    if selects:
        if head.is_word("WITH") and any(token.is_word("INSERT") for token in found):
            return Statement(Kind.OTHER, text)
        return Statement(Kind.SELECT, *_strip_format(text, found))
    if head.is_word(*_READS):
        return Statement(Kind.READ, *_strip_format(text, found))
    if head.is_word("SET") and len(found) > 1 and not found[1].is_word("ROLE", "DEFAULT", "TRANSACTION"):
        return Statement(Kind.SET, text, assignments=_assignments(text, found[1:]))
    if head.is_word("USE"):
        return Statement(Kind.USE, text, database=unquote(found[-1].text))
    if head.is_word("KILL") and len(found) > 3 and found[1].is_word("QUERY") and found[2].is_word("WHERE"):
        return _kill(text, found)
    return Statement(Kind.OTHER, text)


def _end(found: list[Token]) -> int:
    """Where the statement ends; ServerError 62 when another follows its semicolon."""
    for at, token in enumerate(found):
        if token.text == ";":
            if any(after.text != ";" for after in found[at:]):
                raise ServerError(62, "Syntax error: Multi-statements are not allowed")
            return token.start
    return found[-1].end if found else 0


def _strip_format(text: str, found: list[Token]) -> tuple[str, str | None]:
    """Cut ``FORMAT name`` from the end, before a last SETTINGS clause if there is one."""
    for at in range(len(found) - 2, 0, -1):
        token, name = found[at], found[at + 1]
        last = at + 2 == len(found) or found[at + 2].is_word("SETTINGS")
        if token.is_word("FORMAT") and name.kind == "word" and last and found[at - 1].text not in (",", "."):
            return text[: token.start].rstrip() + "\n" + text[name.end :], name.text
    return text, None


def _assignments(text: str, found: list[Token]) -> dict[str, str]:
    assignments: dict[str, str] = {}
    part: list[Token] = []
    depth = 0
    for token in [*found, Token("other", ",", len(text), len(text))]:
        depth += (token.text in ("[", "{")) - (token.text in ("]", "}"))
        if token.text != "," or depth:
            part.append(token)
            continue
        if len(part) >= 3 and part[1].text == "=":
            assignments[unquote(part[0].text)] = text[part[2].start : part[-1].end]
        part = []
    return assignments


def _kill(text: str, found: list[Token]) -> Statement:
    end = len(found)
    if found[-2].is_word("FORMAT"):
        end -= 2
    mode = "ASYNC"
    if found[end - 1].is_word("SYNC", "ASYNC", "TEST"):
        end -= 1
        mode = found[end].text.upper()
    return Statement(Kind.KILL, text, condition=text[found[3].start : found[end - 1].end], mode=mode)


def _insert(sql: str) -> Statement:
    """``INSERT INTO [TABLE] [FUNCTION] target [(columns)] [SETTINGS …] [VALUES … | FORMAT name … | SELECT …]``."""
    parts = groups(sql)
    table, token = _target(parts)
    columns: str | None = None
    settings_start: int | None = None

    def found(end: int, name: str | None) -> Statement:
        start = end if settings_start is None else settings_start
        return Statement(Kind.INSERT, sql[:start], name, table=table, columns=columns, settings=sql[start:end])

    while token is not None:
        if token.kind == "group" and settings_start is None:
            inner = first(token.text[1:-1])
            if inner is not None and inner.is_word("SELECT", "WITH", "FROM"):
                return _with_select(sql)
            columns = token.text[1:-1]
        elif token.is_word("SETTINGS"):
            settings_start = token.start
        elif token.is_word("VALUES"):
            return _with_data(found(token.start, "Values"), sql, token.end)
        elif token.is_word("FORMAT"):
            name = next(parts, None)
            if name is None or name.kind != "word":
                raise ServerError(62, "Syntax error: FORMAT lacks the name of a format")
            return _with_data(found(token.start, name.text), sql, name.end)
        elif token.is_word("SELECT", "WITH", "PARTITION"):
            return _with_select(sql)
        elif token.is_word("FROM"):
            raise ServerError(48, "INSERT FROM INFILE is not allowed: send the data with the query")
        elif token.text == ";":
            return _with_data(found(token.start, None), sql, token.end)
        token = next(parts, None)
    return found(len(sql), None)


def _target(parts: Iterator[Token]) -> tuple[str, Token | None]:
    """The table or table function, and the token behind it."""
    token = next(parts, None)
    while token is not None and token.is_word("INSERT", "INTO", "TABLE"):
        token = next(parts, None)
    if token is not None and token.is_word("FUNCTION"):
        name, arguments = next(parts, None), next(parts, None)
        if name is None or arguments is None or arguments.kind != "group":
            raise ServerError(62, "Syntax error: INSERT lacks its table function")
        return f"FUNCTION {name.text}{arguments.text}", next(parts, None)
    if token is None or token.kind not in ("word", "quoted"):
        raise ServerError(62, "Syntax error: INSERT lacks a table")
    target = token.text
    token = next(parts, None)
    while token is not None and token.text == ".":
        name = next(parts, None)
        target += "." + (name.text if name else "")
        token = next(parts, None)
    return target, token


def _with_select(sql: str) -> Statement:
    return Statement(Kind.OTHER, sql[: _end(list(groups(sql)))])


def _with_data(statement: Statement, sql: str, data_start: int) -> Statement:
    """The INSERT as it is when data stands in the text, else what was read so far: data follows."""
    data = sql[data_start:]
    if statement.format in ("Values", None) and ";" in data:
        found = list(scan(data))
        data = data[: _end(found)]
    if not data.strip(" \t\r\n;"):
        return statement
    text = sql[:data_start] + data
    return replace(statement, kind=Kind.OTHER, sql=text, data_start=data_start, insert=statement.sql)
