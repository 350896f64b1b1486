"""``cdp settings``: every setting, its value here and its help."""

from __future__ import annotations

import click

from deploy.embedded import environment
from deploy.embedded.home import EmbeddedError
from services.kit.settings import PREFIX, describe, load


@click.command()
def settings() -> None:
    """Show every setting: name, default, the value in use when it differs, and what it is for."""
    try:
        current = environment.settings()
    except EmbeddedError:
        current = load(environment.given())
    for name, default, text in describe():
        value = str(getattr(current, name.removeprefix(PREFIX).lower()))
        if value and name.endswith(("_SECRET", "_LOGIN")):
            value = "***"
        click.echo(click.style(name, bold=True) + f"  {text}")
        click.echo(f"    default {default or '(empty)'}" + (f", now {_safe(value)}" if value != default else ""))


def _safe(value: str) -> str:
    """Return a value without the password a URL may hold."""
    head, at, tail = value.rpartition("@")
    if not at or "://" not in head:
        return value
    scheme, _, login = head.partition("://")
    return f"{scheme}://{login.partition(':')[0]}:***@{tail}"
