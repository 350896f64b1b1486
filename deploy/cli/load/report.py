"""What a user sees of a load: a bar on a terminal, plain lines elsewhere, and the summary."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from deploy.cli.load.pipeline import Summary

_LINE_SECONDS = 5.0
_REASONS = 5


class Report:
    """Progress on standard error, so that standard output holds only the summary."""

    def __init__(self, name: str, size: int, *, quiet: bool = False) -> None:
        self._name = name
        self._size = size
        self._events = 0
        self._position = 0
        self._started = self._shown = time.monotonic()
        self._quiet = quiet
        self._bar: Progress | None = None
        if sys.stderr.isatty() and not quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[events]} events"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(name, total=size or None, events="0")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def read(self, position: int) -> None:
        """Show how much of the file has been read."""
        self._position = position
        if self._bar is not None:
            self._bar.update(self._task, completed=position)

    def loaded(self, events: int) -> None:
        """Show that the engine has taken more events."""
        self._events += events
        if self._bar is not None:
            self._bar.update(self._task, events=f"{self._events:,}")
        elif not self._quiet and time.monotonic() - self._shown >= _LINE_SECONDS:
            self._shown = time.monotonic()
            rate = self._events / (self._shown - self._started)
            share = f"{self._position / self._size:.0%} read, " if self._size else ""
            click.echo(f"{self._name}: {share}{self._events:,} events, {rate:,.0f}/s", err=True)

    def waiting(self, problem: str) -> None:
        """Say why nothing moves."""
        click.echo(f"{self._name}: {problem}; waiting", err=True)


def summarise(name: str, summary: Summary) -> str:
    """Return the summary for a person."""
    rate = summary.loaded / summary.seconds if summary.seconds else 0.0
    tables = ", ".join(f"{table} {count:,}" for table, count in sorted(summary.events.items()) if count) or "none"
    lines = [
        f"{name}: {summary.rows:,} rows read, {summary.loaded:,} events loaded in {summary.seconds:.1f} s "
        f"({rate:,.0f} events/s)",
        f"  events      {tables}",
    ]
    if summary.skipped:
        lines.append(f"  skipped     {summary.skipped:,} rows, as the mapping says")
    if summary.duplicates:
        lines.append(f"  duplicates  {summary.duplicates:,} message ids occur again in the file; each counts once")
    if summary.odd_times:
        lines.append(f"  odd times   {summary.odd_times:,} events before 1990 or after tomorrow; loaded all the same")
    if summary.rejected:
        lines.append(f"  rejected    {summary.rejected:,}, kept in {summary.reject_file}")
        lines += (f"    {count:>9,} x {reason}" for reason, count in summary.reasons.most_common(_REASONS))
        lines += (f"    line {reject.line}: {reject.reason}" for reject in summary.first_rejects)
    if summary.announce_problem:
        lines.append(f"  warning     {summary.announce_problem}; the rows are found by polling, some seconds later")
    return "\n".join(lines)
