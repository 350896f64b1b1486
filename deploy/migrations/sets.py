"""Which migrations there are: plain SQL files, one set for each service and store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PROJECT = Path(__file__).resolve().parents[2]
Store = Literal["postgres", "clickhouse"]
_VERSION = re.compile(r"^(\d+)[^/]*\.sql$")


@dataclass(frozen=True)
class MigrationSet:
    """The migrations of one owner in one store; `table` remembers which of them are applied."""

    owner: str
    store: Store
    folder: Path

    @property
    def name(self) -> str:
        """Name on the command line."""
        return f"{self.owner}/{self.store}"

    @property
    def table(self) -> str:
        """Table that holds the applied versions, in the store itself."""
        return f"schema_migrations_{self.owner}"

    def versions(self) -> list[str]:
        """Return the versions of the files, oldest first."""
        return sorted(match[1] for path in self.folder.iterdir() if (match := _VERSION.match(path.name)))


def discover(store: Store, project: Path = PROJECT) -> list[MigrationSet]:
    """Return the sets of a store, in the order they are applied: the shared tables before the services'."""
    shared = project / "deploy" / store / "migrations"
    sets = [MigrationSet("shared", store, shared)] if shared.is_dir() else []
    for folder in sorted(project.glob(f"services/*/migrations/{store}")):
        sets.append(MigrationSet(folder.parents[1].name, store, folder))
    return sets
