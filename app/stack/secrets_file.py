"""Passwords of the local servers: made once, readable by the owner alone.

Loopback is open to every account of the machine, and whoever may command Postgres or Redis may
write files as the user they run as.
"""

from __future__ import annotations

import secrets
from pathlib import Path


def password_in(folder: Path) -> str:
    """Return the password kept in folder/password; made on the first call."""
    file = folder / "password"
    if not file.exists():
        scratch = folder / "password.new"
        scratch.touch(0o600)
        scratch.write_text(secrets.token_hex(16), "ascii")
        scratch.replace(file)
    return file.read_text("ascii")
