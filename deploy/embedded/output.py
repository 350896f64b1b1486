"""The lines of all processes: on the terminal behind their name, and in files that rotate."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_FILE_BYTES = 10_000_000
_FILES_KEPT = 2
_LINE_BYTES = 65_536


class Output:
    """Writes lines; keeps the rest of a line until its end comes."""

    def __init__(self, folder: Path | None, stream: TextIO, width: int) -> None:
        """Write to `stream`, names padded to `width`, and to ``<name>.log`` files in `folder` (None: no files)."""
        self._folder = folder
        self._stream: TextIO | None = stream
        self._width = width
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ
        self._files: dict[str, RotatingFileHandler] = {}
        self._shades: dict[str, int] = {}
        self._rest: dict[str, bytes] = {}

    def feed(self, name: str, data: bytes) -> None:
        """Take bytes a process has written; lines longer than 64 KiB are cut."""
        *lines, rest = (self._rest.pop(name, b"") + data).split(b"\n")
        if len(rest) > _LINE_BYTES:
            lines, rest = [*lines, rest], b""
        if rest:
            self._rest[name] = rest
        if lines:
            self._write(name, [line.decode(errors="replace").rstrip("\r") for line in lines])

    def say(self, text: str, name: str = "cdp") -> None:
        """Write a text of our own, of one line or several."""
        self._write(name, text.splitlines() or [""])

    def file(self, name: str) -> Path | None:
        """Return the file with the lines of a process."""
        return None if self._folder is None else self._folder / f"{name}.log"

    def close(self) -> None:
        """Close the files."""
        for handler in self._files.values():
            handler.close()
        self._files.clear()

    def _write(self, name: str, lines: list[str]) -> None:
        if self._stream is not None:
            head = self._head(name)
            try:
                self._stream.write("".join(f"{head}{line}\n" for line in lines))
                self._stream.flush()
            except (BrokenPipeError, OSError):
                # Nobody reads any more; the files still have it.
                self._stream = None
        path = self.file(name)
        if path is not None:
            if name not in self._files:
                self._files[name] = RotatingFileHandler(
                    path, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8", errors="replace"
                )
            for line in lines:
                self._files[name].emit(logging.makeLogRecord({"msg": line}))

    def _head(self, name: str) -> str:
        label = f"{name:<{self._width}} │ "
        if not self._colour:
            return label
        shade = self._shades.setdefault(name, _COLOURS[len(self._shades) % len(_COLOURS)])
        return f"\x1b[{shade}m{label}\x1b[0m"
