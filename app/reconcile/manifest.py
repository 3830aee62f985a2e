"""What a backup says of itself; it is written last, so a backup without it is none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from app.archive.files import sync
from app.errors import StartError
from app.settings import Settings, variable
from app.stores.copies import DatabaseCopy

NAME = "backup.json"
FORMAT = 1
# What stored figures depend on. Where it is another one, they would not go on.
DECISIVE = (
    "namespace",
    "events_partitions",
    "counts_partitions",
    "statistics",
    "bot_limit",
    "dedupe_hours",
    "dedupe_uuid",
    "hourly_retention_days",
)
FILES = ("counters", "alert_rules", "url_rules")  # settings that name a file of the operator's


class FormatOnly(msgspec.Struct, frozen=True):
    """What every backup says, however it looks otherwise."""

    format: int


class Manifest(msgspec.Struct, frozen=True):
    """files: SHA-256 by path. settings: those of DECISIVE.

    archive: whether there was one, or somebody read for its first file.
    """

    format: int
    made: datetime
    archive: bool
    settings: dict[str, str]
    files: dict[str, str]
    database: DatabaseCopy

    def write(self, folder: Path) -> None:
        """Make the backup one, for good."""
        scratch = folder / f"{NAME}.new"
        scratch.write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        sync(scratch)
        scratch.rename(folder / NAME)
        sync(folder)


def read_manifest(folder: Path) -> Manifest:
    """Return what a backup says, once every file is looked at; raise StartError."""
    try:
        text = (folder / NAME).read_bytes()
        form = msgspec.json.decode(text, type=FormatOnly).format
        if form != FORMAT:
            raise StartError(
                f"{folder} is a backup of format {form}, and this version reads {FORMAT}. Install "
                "the version that took it"
            )
        found = msgspec.json.decode(text, type=Manifest)
    except FileNotFoundError as exc:
        raise StartError(
            f"{folder} has no {NAME}: it is not a backup, or an unfinished one. Use another one"
        ) from exc
    except (OSError, msgspec.MsgspecError) as exc:
        raise StartError(f"Cannot read {folder / NAME}: {exc}") from exc
    for name, digest in found.files.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise StartError(f"{folder / name} is not as it was backed up. Use another backup")
    return found


def hashed(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, which are on the disk then."""
    return {str(file.relative_to(folder)): sha256(file) for file in _synced(folder)}


def _synced(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            file = Path(place, name)
            sync(file)
            yield file
        sync(Path(place))


def sha256(file: Path) -> str:
    """Return the digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def decisive(settings: Settings) -> dict[str, str]:
    """Return the settings that stored figures depend on."""
    return {name: str(getattr(settings, name)) for name in DECISIVE}


def check_settings(found: Manifest, settings: Settings) -> None:
    """Raise StartError where stored figures would not go on with these settings."""
    here = decisive(settings)
    wrong = [
        f"{variable(name)}={was}, not {here[name] or 'empty'}"
        for name, was in found.settings.items()
        if here.get(name) != was
    ]
    if wrong:
        raise StartError(f"The backup was taken with other settings. Set {'; '.join(wrong)}")
