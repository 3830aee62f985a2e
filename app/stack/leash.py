"""Become another program that dies with the process that started it.

Run by path, `python -I -S leash.py PARENT SIGNAL USER -- PROGRAM ARGUMENT...`, not imported: a
preexec_fn would run Python between fork and exec of a process with threads, which may hang.

PARENT: pid that must still be alive. SIGNAL: number sent when it dies, however it dies (Linux;
elsewhere the next start stops what was left, see child.py). USER: `same`, or, for programs that
refuse to run as root, `alias` or where containers forbid that `account`: see below.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
CLONE_NEWUSER = 0x10000000  # linux/sched.h


def other_user() -> pwd.struct_passwd:
    """Return an account that is not root; the program needs one with a name."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("nobody")
    return next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)


def take_alias(libc: ctypes.CDLL) -> None:
    """Go on as root under another number, in a user namespace of its own.

    Needs no change to any file: what root owns, the program owns.
    """
    user, group = other_user(), os.getegid()  # read before: inside, nobody is known yet
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "no user namespace")
    for name, text in (
        ("setgroups", "deny"),
        ("gid_map", f"{user.pw_gid} {group} 1"),
        ("uid_map", f"{user.pw_uid} 0 1"),
    ):
        Path("/proc/self", name).write_text(text, "ascii")


def take_account() -> None:
    """Change to the other account; the caller has made the files its own (postgres.py)."""
    user = other_user()
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def die_with(parent: int, signal: int) -> None:
    """Be sent the signal when the parent dies; end now where it has."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def main(parent: int, signal: int, user: str, program: list[str]) -> None:
    """Never returns: the process is the program from here on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if user == "alias":  # first: a change of user clears the death signal
        take_alias(libc)
    elif user == "account":
        take_account()
    if sys.platform == "linux":
        die_with(parent, signal)
    os.execv(program[0], program)  # noqa: S606 - the caller chooses the program


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[5:])
