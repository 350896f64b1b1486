"""NDJSON: one JSON object a line, decoded into objects or into Segment calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import msgspec

from deploy.cli.load.chunk import Chunk, Reject
from deploy.cli.load.lines import BLOCK, blocks

_UTF8_MARK = b"\xef\xbb\xbf"


def ndjson_rows(stream: IO[bytes], type_: Any, *, limit: int, block: int = BLOCK) -> Iterator[Chunk | Reject]:
    """Yield chunks of rows decoded as `type_` and the lines that are none. `limit` is the longest line, in bytes."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(type_)
    line = row = 1
    for data in blocks(stream, limit, block):
        if line == 1:
            data = data.removeprefix(_UTF8_MARK)
        lines = data.split(b"\n")
        chunk = _whole(decoder, data, lines, line, row, limit)
        found = [chunk] if chunk is not None else list(_each(decoder, lines, line, row, limit))
        line += len(lines)
        row += sum(len(item) if isinstance(item, Chunk) else 1 for item in found)
        yield from found


def _whole(
    decoder: msgspec.json.Decoder[Any], data: bytes, lines: list[bytes], line: int, row: int, limit: int
) -> Chunk | None:
    """Return all lines as one chunk, None unless each is a row."""
    if max(map(len, lines)) > limit:
        return None
    try:
        data.decode()
        objects = decoder.decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if len(objects) != len(lines):
        return None
    return Chunk(
        rows=range(row, row + len(lines)), lines=range(line, line + len(lines)), sources=lines, objects=objects
    )


def _each(
    decoder: msgspec.json.Decoder[Any], lines: list[bytes], line: int, row: int, limit: int
) -> Iterator[Chunk | Reject]:
    good: list[tuple[int, int, bytes, Any]] = []
    for number, text in enumerate(lines, line):
        if not text.strip():
            continue
        try:
            if len(text) > limit:
                raise ValueError(f"longer than {limit} bytes")
            text.decode()
            good.append((row, number, text, decoder.decode(text)))
        except RecursionError:
            yield Reject(line=number, row=row, reason="nested too deep", source=text)
        except UnicodeDecodeError:
            yield Reject(line=number, row=row, reason="not UTF-8", source=text)
        except ValueError as error:  # msgspec's errors are ValueErrors
            yield Reject(line=number, row=row, reason=str(error), source=text)
        row += 1
    if good:
        rows, numbers, sources, objects = zip(*good, strict=True)
        yield Chunk(rows=rows, lines=numbers, sources=sources, objects=objects)
