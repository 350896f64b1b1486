"""The services a supervisor can fork, and the groups the command line knows them by."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Final

from deploy.embedded.process import fork
from deploy.embedded.supervisor import Unit
from services.kit.settings import Settings

SERVICES: Final = MappingProxyType(
    {
        "gateway": "gateway.main:run",
        "query": "services.query.main:run",
        "profile": "services.profile.main:run",
        "fleet": "services.kit.fleet:run_fleet",
    }
)
"""Entry points: functions of the settings that serve until SIGTERM, then drain."""
GROUPS: Final = MappingProxyType({"api": ("query", "profile", "gateway"), "workers": ("fleet",)})
ALL: Final = ("query", "profile", "fleet", "gateway")
SINGLE: Final = frozenset({"gateway", "fleet"})
"""They own a port: one process each."""


def resolve(name: str) -> tuple[str, ...]:
    """Return the services of a group, or the one service of that name."""
    return GROUPS.get(name, (name,))


def preload(names: Iterable[str]) -> Iterator[str]:
    """Import the services' modules, yielding after each: forked children then share them.

    One that cannot be imported is left to its child, whose log then says why.
    """
    for name in names:
        with suppress(Exception):
            importlib.import_module(SERVICES[name].partition(":")[0])
        yield name
    # What is there now stays: the children's collectors need not touch, and so copy, these pages.
    gc.collect()
    gc.freeze()


def units(names: Iterable[str], settings: Settings, replicas: int, detach: Callable[[], None]) -> Iterator[Unit]:
    """Return the units of the named services: `replicas` of each, one of those that own a port."""
    for name in names:
        count = 1 if name in SINGLE else replicas
        for number in range(1, count + 1):
            yield Unit(
                name=name if number == 1 else f"{name}-{number}",
                start=partial(fork, partial(_serve, name, settings), detach=detach),
            )


def _serve(name: str, settings: Settings) -> None:
    module, _, function = SERVICES[name].partition(":")
    getattr(importlib.import_module(module), function)(settings)
