"""The command line: ``cdp``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import MappingProxyType
from typing import Final

import click

from deploy.embedded.home import EmbeddedError
from services.kit.settings import SettingsError

_COMMANDS: Final = MappingProxyType(
    {
        "up": "deploy.cli.run:up",
        "run": "deploy.cli.run:run",
        "status": "deploy.cli.run:status",
        "settings": "deploy.cli.settings:settings",
        "migrate": "deploy.cli.migrate:migrate",
        "clickhouse": "deploy.cli.migrate:clickhouse",
        "load": "deploy.cli.load.command:load",
        "demo": "deploy.cli.demo.command:demo",
        "profiles": "deploy.cli.profiles:profiles",
    }
)


class _Commands(click.Group):
    """Imports a command's module when it is used: `cdp up` need not wait for what loading files needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """CDP Data Layer: run it, migrate its stores, load events."""


def main() -> None:
    """Run the command line; errors meant for people are shown without a traceback."""
    try:
        cli()
    except (EmbeddedError, SettingsError) as error:
        sys.exit(f"cdp: {error}")


if __name__ == "__main__":
    main()
