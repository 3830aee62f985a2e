"""Which topics a backup holds, and when each is copied so that it agrees with the events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.errors import StartError
from app.events.rejects import place_in
from app.kafka.clients import KafkaClients
from app.kafka.copies import TopicCopier
from app.kafka.watermarks import Offsets, Watermarks
from app.names import Names
from app.settings import Settings

# Every attribute of Names that is a topic stands in one of these; a test looks.
# Before the events: what they say was done is in the events of the copy.
FIRST = ("decisions", "places", "replayed")
# After the events: all that an event of the copy was told in is in them.
LAST = ("rejected", "alerts")
LEFT_OUT = {
    "events": "what was stored of it is in the table event; its offsets go on",
    "counts": "made anew with the tables",
    "uniques": "made anew with the tables",
    "totals": "said again as the totals change",
    "tables_version": "the tables are made anew, under a version of their own",
    "partials_changelog": "made anew with the tables",
    "totals_changelog": "made anew with the tables",
    "judged_changelog": "made anew with the tables",
    "sessions_changelog": "made anew with the tables",
    "uniques_changelog": "made anew with the tables",
    "messages_changelog": "made anew with the tables",
}
FOLDER = "topics"
ENDING = ".jsonl.gz"
REPLAYING = (
    "event-counter replay was at work meanwhile: what it sent would be sent again. Take the backup "
    "when it has ended"
)


class TopicCopies:
    """Copies the topics of a namespace into the folder of a backup, and back.

    Raises KafkaUnavailableError, OSError or StartError.
    """

    def __init__(self, settings: Settings, kafka: Watermarks, folder: Path) -> None:
        """folder: of the backup."""
        self._names, self._kafka = Names(settings.namespace), kafka
        self._copier = TopicCopier(KafkaClients.of(settings), kafka)
        self._folder = folder / FOLDER
        self._replayed = 0

    async def save_first(self) -> None:
        """Copy what comes before the events."""
        self._folder.mkdir()
        self._replayed = (await self._kafka.ends(self._names.replayed))[0]
        for name in FIRST:
            await self._copier.save(self._topic(name), self._file(name))

    async def check_replay(self) -> None:
        """Raise StartError where rejected records were replayed since save_first()."""
        if await self._copier.written_to(self._names.replayed) != self._replayed:
            raise StartError(REPLAYING)

    async def save_last(self, positions: Offsets) -> None:
        """Copy what comes after the events; positions: up to where these are in the copy."""

        def was_stored(record: Any) -> bool:
            place = place_in(record.key)
            return place is not None and place[1] < positions.get(place[0], 0)

        await self._copier.save(self._names.rejected, self._file("rejected"), wanted=was_stored)
        await self._copier.save(self._names.alerts, self._file("alerts"), self._names.webhook_group)

    async def check_empty(self) -> None:
        """Raise StartError where a topic to fill, or events, has had records."""
        for name in ("events", *FIRST, *LAST):
            topic = self._topic(name)
            if records := sum((await self._kafka.ends(topic)).values()):
                raise StartError(
                    f"{topic} in Kafka has had {records} records. A backup is restored into an "
                    "empty place only: give another Kafka, or delete the topics of this namespace"
                )

    async def put_back(self) -> None:
        """Send all that was copied."""
        for name in (*FIRST, *LAST):
            group = self._names.webhook_group if name == "alerts" else ""
            await self._copier.send(self._topic(name), self._file(name), group)

    def _topic(self, name: str) -> str:
        topic: str = getattr(self._names, name)
        return topic

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}{ENDING}"
