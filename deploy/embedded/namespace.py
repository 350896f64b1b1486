"""A user namespace with one ordinary user, for the server that refuses to run as root."""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
from pathlib import Path

from deploy.embedded.home import EmbeddedError

_CLONE_NEWUSER = 0x10000000


def needed() -> bool:
    """Tell whether PostgreSQL would refuse to run as we are: as root, or as a user without a name."""
    if os.geteuid() == 0:
        return True
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return True
    return False


def enter() -> None:
    """Make the calling process an ordinary, named user in a namespace of its own.

    Our own user is that user there, so files keep their owner. Call it in a child before exec only.

    Raises:
        OSError: the system does not allow user namespaces.
    """
    user = _ordinary_user()
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user.pw_uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{user.pw_gid} {gid} 1")


def check() -> None:
    """Try it in a child that ends at once.

    Raises:
        EmbeddedError: it is refused here.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            enter()
            code = 0
        except OSError as error:
            code = min(error.errno or 1, 255)
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        who = "as root" if os.geteuid() == 0 else "as a user without a name in the user database"
        # ENOSPC has nothing to do with disks here.
        why = "user.max_user_namespaces is reached" if status == errno.ENOSPC else os.strerror(status)
        raise EmbeddedError(
            f"PostgreSQL does not run {who}, and this system does not allow a user namespace ({why}). "
            "Start as an ordinary user, or set ANALYTICS_POSTGRES_URL to a server of yours."
        )


def _ordinary_user() -> pwd.struct_passwd:
    # initdb looks its user up by name, so the number must be one the system knows.
    for user in pwd.getpwall():
        if user.pw_uid != 0:
            return user
    raise OSError(0, "no user but root in the user database")
