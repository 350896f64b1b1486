"""A user namespace with one ordinary user, for the server that refuses to run as root."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Sequence

from deploy.embedded import child
from deploy.embedded.home import EmbeddedError


def needed() -> bool:
    """Tell whether PostgreSQL would refuse to run as we are: as root, or as a user without a name."""
    if os.geteuid() == 0:
        return True
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return True
    return False


def inside(argv: Sequence[str], stop_signal: signal.Signals = signal.SIGTERM) -> list[str]:
    """Return the command that runs another one in a namespace; it ends with `stop_signal` when this process does."""
    return [sys.executable, "-I", "-S", child.__file__, str(int(stop_signal)), str(os.getpid()), *argv]


def check() -> None:
    """Try it with a program that ends at once.

    Raises:
        EmbeddedError: it is refused here.
    """
    done = subprocess.run(inside(["/bin/true"]), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    number = int(done.stderr) if done.returncode == child.NO_NAMESPACE and done.stderr.isdigit() else 0
    who = "as root" if os.geteuid() == 0 else "as a user without a name in the user database"
    # ENOSPC has nothing to do with disks here.
    why = "user.max_user_namespaces is reached" if number == errno.ENOSPC else os.strerror(number or errno.EPERM)
    raise EmbeddedError(
        f"PostgreSQL does not run {who}, and this system does not allow a user namespace ({why}). "
        "Start as an ordinary user, or set ANALYTICS_POSTGRES_URL to a server of yours."
    )
