"""Where a command finds the servers: in ``ANALYTICS_*``, else in what the running supervisor wrote to ``run/env``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from deploy.embedded.home import EmbeddedError, Home, is_locked, write_private
from services.kit.settings import PREFIX, Settings, load

STORE_URLS = ("nats_url", "postgres_url", "clickhouse_url", "redis_url")


def given(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the ``ANALYTICS_*`` variables the user has set."""
    source = os.environ if environ is None else environ
    return {key: value for key, value in source.items() if key.startswith(PREFIX)}


def home_folder(environ: Mapping[str, str]) -> str:
    """Return the folder the variables name as home."""
    return environ.get(f"{PREFIX}HOME") or Settings().home


def write(home: Home, values: Mapping[str, str]) -> None:
    """Write variables as ``run/env``, in a form a shell can read too."""
    lines = (f"{key}={shlex.quote(value)}\n" for key, value in sorted(values.items()))
    write_private(home.run / "env", "".join(lines))


def forget(home: Home) -> None:
    """Remove ``run/env``: nothing runs any more."""
    (home.run / "env").unlink(missing_ok=True)


def read(home: Home) -> dict[str, str]:
    """Return the variables of the supervisor that runs on a home; none when there is no such supervisor."""
    path = home.run / "env"
    if not path.exists() or not is_locked(home):
        return {}
    return dict(part.split("=", 1) for part in shlex.split(path.read_text()))


def settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a command that needs the servers. What the user has set comes first.

    Raises:
        EmbeddedError: nothing is set and nothing runs.
        services.kit.settings.SettingsError: a setting is wrong.
    """
    own = given(environ)
    home = Home.named(home_folder(own))
    running = read(home)
    if not running and not any(f"{PREFIX}{name.upper()}" in own for name in STORE_URLS):
        raise EmbeddedError(
            f"nothing runs on {home.root}. Run `make up` first, or set {PREFIX}NATS_URL and the others to your servers."
        )
    return load({**running, **own})
