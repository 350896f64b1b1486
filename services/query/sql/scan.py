"""The statement's tokens, before any parser sees them: how much of them there may be, and what reads two ways."""

from __future__ import annotations

import re
from typing import Final

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from contracts.errors import InvalidRequest
from services.query.sql import refused
from services.query.sql.dialect import Sql

MAX_CHARACTERS: Final = 65_536
MAX_TOKENS: Final = 12_000
MAX_DEPTH: Final = 40
"""Brackets within brackets: the parser recurses, some ten calls a level."""
MAX_ITEMS: Final = 5_000
"""Items between one pair of brackets."""
MAX_CHAIN: Final = 200
"""Operators in a row without a bracket or a comma: `NOT NOT …`, `1 + 1 + …` nest as deep as they are long."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ESCAPED_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\x")
_OPENING: Final = frozenset((TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE))
_CLOSING: Final = frozenset((TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE))
_LINKS: Final = frozenset(
    (
        *(TokenType.SELECT, TokenType.WHERE, TokenType.FROM, TokenType.AND, TokenType.OR, TokenType.JOIN),
        *(TokenType.ON, TokenType.WHEN, TokenType.THEN, TokenType.UNION),
    )
)
_QUOTED: Final = frozenset((TokenType.STRING, TokenType.IDENTIFIER))


def scan(text: str) -> list[Token]:
    """Return the tokens of one statement, without a semicolon at its end. Time grows with the text's length alone.

    Raises:
        InvalidRequest: too long, too deep, too many items; a text that no tokenizer reads; a second statement; what
            this tokenizer and the engine's would read differently. Names the place.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest.at(refused.POINTER, f"the statement has over {MAX_CHARACTERS:,} characters")
    if "\0" in text:
        raise refused.at(text, text.index("\0"), "a statement cannot hold the character NUL")
    try:
        tokens = Sql().tokenize(text)
    except TokenError as error:
        raise InvalidRequest.at(refused.POINTER, "a quote or a comment has no end") from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise InvalidRequest.at(refused.POINTER, "the statement is empty")
    if len(tokens) > MAX_TOKENS:
        raise InvalidRequest.at(refused.POINTER, f"the statement has over {MAX_TOKENS:,} words and signs")
    _measure(text, tokens)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        _check(text, token, following)
    return tokens


def _measure(text: str, tokens: list[Token]) -> None:
    items = [1]
    chain = 0
    for token in tokens:
        kind = token.token_type
        chain += 1
        if kind in _OPENING:
            items.append(1)
            if len(items) > MAX_DEPTH:
                raise refused.at(text, token.start, f"brackets are nested over {MAX_DEPTH} deep")
        elif kind in _CLOSING:
            if len(items) > 1:
                items.pop()
        elif kind is TokenType.COMMA:
            items[-1] += 1
            if items[-1] > MAX_ITEMS:
                raise refused.at(text, token.start, f"a list has over {MAX_ITEMS:,} items")
            chain = 0
        elif kind in _LINKS:
            chain = 0
        if chain > MAX_CHAIN:
            raise refused.at(text, token.start, f"an expression goes on for over {MAX_CHAIN} words and signs")


def _check(text: str, token: Token, following: Token | None) -> None:
    kind, place = token.token_type, token.start
    written = text[token.start : token.end + 1]
    if kind is TokenType.SEMICOLON:
        raise refused.at(text, place, "one statement at a time: a second one follows the semicolon")
    if kind is TokenType.HEREDOC_STRING:
        raise refused.at(text, place, "write the text in single quotes: heredocs are not supported")
    if kind in _QUOTED:
        if not token.text and kind is TokenType.IDENTIFIER:
            raise refused.at(text, place, "a name cannot be empty")
        if "\0" in token.text or _ESCAPED_BYTE.search(written):
            raise refused.at(text, place, "write characters themselves, not as \\x… or \\0")
    elif kind is TokenType.VAR:
        if not _NAME.match(token.text):
            raise refused.at(text, place, f"{token.text[:40]!r} is no name unless it is quoted")
        if following is not None and following.token_type is TokenType.STRING and following.start == token.end + 1:
            raise refused.at(text, place, f"{token.text[:40]} before a quote: prefixed strings are not supported")
    elif not written.isascii():
        raise refused.at(text, place, f"{written[:40]!r} is no name unless it is quoted")
