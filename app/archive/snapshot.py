"""What is known about the files in enriched/."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Self

import msgspec

NAME = "enriched.json"


class Snapshot(msgspec.Struct):
    """at: the moment that u_count looks back from. made: when it was computed."""

    at: datetime
    made: datetime
    rows: int

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return that of the folder, None where there is none that can be read."""
        try:
            return msgspec.json.decode((folder / NAME).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, folder: Path) -> None:
        """Write it into a folder that nobody reads yet."""
        (folder / NAME).write_bytes(msgspec.json.encode(self))
