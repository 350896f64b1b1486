"""What a child does to itself before it becomes a server. The standard library only.

Also a program that enters a user namespace and then becomes another one:

    python -I -S child.py STOP_SIGNAL PARENT_PID COMMAND [ARGUMENT …]

A fresh interpreter and not a function between fork and exec: `unshare` refuses processes with threads, and libraries
(OpenTelemetry's exporter is one) start theirs again in every child that Python forks.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

NO_NAMESPACE = 119
"""Exit status of the program when the system refuses; the error number is on its standard error."""


def die_with(parent: int, stop_signal: int) -> None:
    """Ask the system for a signal when the parent ends (Linux), and end when it has ended already."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, int(stop_signal))
    if os.getppid() != parent:  # it died before prctl
        os._exit(1)


def enter_namespace() -> None:
    """Make the calling process an ordinary, named user in a namespace of its own.

    Our own user is that user there, so files keep their owner.

    Raises:
        OSError: the system does not allow user namespaces.
    """
    user = _ordinary_user()
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user.pw_uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{user.pw_gid} {gid} 1")


def _ordinary_user() -> pwd.struct_passwd:
    # initdb looks its user up by name, so the number must be one the system knows.
    for user in pwd.getpwall():
        if user.pw_uid != 0:
            return user
    raise OSError(0, "no user but root in the user database")


def main(stop_signal: str, parent: str, *command: str) -> None:
    """Enter a namespace and become the command."""
    try:
        enter_namespace()
    except OSError as error:
        sys.stderr.write(str(error.errno))
        sys.exit(NO_NAMESPACE)
    die_with(int(parent), int(stop_signal))  # after the change of credentials, which clears it
    os.execv(command[0], command)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
