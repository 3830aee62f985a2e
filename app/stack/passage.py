"""Let one account pass through folders: to what lies in them, not to list or to read them.

An access control list names that account alone (Linux, on the usual file systems); where there is
none to be had, every account may pass.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

ACL = "system.posix_acl_access"
# linux/posix_acl_xattr.h: a version, then entries of tag, permission and id, in this order.
VERSION, ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
OWNER, USER, GROUP_OWNER, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY = 0xFFFFFFFF
PASS = 1  # x of a folder

AclEntry = tuple[int, int, int]


def let_pass(user: int, folders: Iterable[Path]) -> list[str]:
    """Return what was changed, a line each, so that the account can pass all of them."""
    return [line for folder in folders if (line := _let_pass(user, folder))]


def _let_pass(user: int, folder: Path) -> str:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IXOTH:
        return ""
    entries = _entries(folder, mode)
    named = [may for tag, may, one in entries if (tag, one) == (USER, user)]
    masks = [may for tag, may, _ in entries if tag == MASK]  # chmod() of a folder clears it
    if named and all(may & PASS for may in named + masks):
        return ""
    try:
        os.setxattr(folder, ACL, _packed(_with_user(entries, user)))
    except (OSError, AttributeError):  # no lists on this file system, or not on Linux
        folder.chmod(mode | stat.S_IXOTH)
        return f"{folder} may be passed by every account now (o+x)"
    return f"{folder} may be passed by user {user} now (an access control list)"


def _entries(folder: Path, mode: int) -> list[AclEntry]:
    """Return the list of a folder; without one, what its mode says."""
    try:
        packed = os.getxattr(folder, ACL)
    except (OSError, AttributeError):
        return [
            (OWNER, mode >> 6 & 7, NOBODY),
            (GROUP_OWNER, mode >> 3 & 7, NOBODY),
            (OTHER, mode & 7, NOBODY),
        ]
    return list(ENTRY.iter_unpack(packed[VERSION.size :]))


def _with_user(entries: list[AclEntry], user: int) -> list[AclEntry]:
    """Return the entries with one that lets the account pass, and the mask that a list needs."""
    group = next(may for tag, may, _ in entries if tag == GROUP_OWNER)
    mask = next((may for tag, may, _ in entries if tag == MASK), group) | PASS
    mine = next((may for tag, may, named in entries if (tag, named) == (USER, user)), 0)
    kept = [entry for entry in entries if entry[0] != MASK and entry[::2] != (USER, user)]
    return sorted(
        [*kept, (USER, mine | PASS, user), (MASK, mask, NOBODY)], key=lambda e: (e[0], e[2])
    )


def _packed(entries: list[AclEntry]) -> bytes:
    return VERSION.pack(2) + b"".join(ENTRY.pack(*entry) for entry in entries)
