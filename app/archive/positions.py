"""What names of files in the archive say of the log of `events`. Only app events are in them."""

from __future__ import annotations

import os
from pathlib import Path

from app.archive.files import ArchivePart


def archived_to(folder: Path, topic: str, but: str | None = None) -> dict[int, int]:
    """Return the offset behind the last one in the files below a folder, by partition.

    but: cluster_name() of a cluster whose files are left out.
    """
    found: dict[int, int] = {}
    for _, _, names in os.walk(folder):
        for name in names:
            part = ArchivePart.of(name)
            if part is not None and part.topic == topic and part.cluster != but:
                found[part.partition] = max(found.get(part.partition, 0), part.last + 1)
    return found
