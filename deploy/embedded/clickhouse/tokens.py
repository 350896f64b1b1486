"""ClickHouse's lexical rules: comments, strings, heredocs, quoted names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|\#[\ !][^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*")
  | (?P<heredoc>(?P<tag>\$\w*\$).*?(?P=tag))
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>[0-9][\w.]*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """``kind`` is string, quoted, heredoc, word, number, other or group; a group is a whole ``( … )``."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words


def scan(sql: str, start: int = 0) -> Iterator[Token]:
    """Tokens without spaces and comments, one at a time."""
    for match in _TOKEN.finditer(sql, start):
        kind = match.lastgroup or "other"
        if kind == "tag":
            kind = "heredoc"
        if kind != "space":
            yield Token(kind, match.group(), match.start(), match.end())


def groups(sql: str) -> Iterator[Token]:
    """As ``scan``, with each top-level parenthesised group as one token."""
    depth = opened = 0
    for token in scan(sql):
        if token.text == "(" and token.kind == "other":
            opened = opened if depth else token.start
            depth += 1
        elif token.text == ")" and token.kind == "other" and depth:
            depth -= 1
            if not depth:
                yield Token("group", sql[opened : token.end], opened, token.end)
        elif not depth:
            yield token


def first(sql: str, start: int = 0) -> Token | None:
    return next(scan(sql, start), None)


def unquote(name: str) -> str:
    """An identifier or string literal without its quotes."""
    if len(name) > 1 and name[0] in "`\"'":
        quote = name[0]
        body = name[1:-1].replace(quote * 2, quote)
        return re.sub(r"\\(.)", r"\1", body, flags=re.DOTALL)
    return name


def quote(name: str) -> str:
    """An identifier in backquotes."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
