"""Follows logs that grow: what is new goes to Kafka, then the place behind it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

import msgspec

from app.errors import KafkaUnavailableError
from app.ingest.growing import GrowingLog
from app.ingest.importer import Importer
from app.ingest.log_file import LogPlace, Piece
from app.kafka.clients import KafkaClients
from app.kafka.remembered import Remembered
from app.names import Names
from app.settings import Settings

EVERY_S = 0.5  # a look at the files
AGAIN_S = 1.0  # after Kafka was away

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LogPlace).decode
RunInLoop = Callable[[Coroutine[Any, Any, Any]], Any]


class LogPlaces:
    """Where each log is read up to, in the topic import-places; use with `with`.

    run: runs a coroutine where the clients of Kafka live, and waits for it. All methods raise
    KafkaUnavailableError.
    """

    def __init__(self, settings: Settings, run: RunInLoop) -> None:
        self._settings, self._run = settings, run

    def __enter__(self) -> Self:
        self._topic: Remembered = self._run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._topic.__aexit__())

    async def _open(self) -> Remembered:
        names = Names(self._settings.namespace)
        return await Remembered(KafkaClients.of(self._settings), names.places).__aenter__()

    def read(self, log: str) -> dict[str, LogPlace]:
        """Return the places of a log by their names; none where it was never followed."""
        found = self._run(self._topic.read(f"{log}\n", _decode))
        return {name: _decode(value) for name, value in found.items()}

    def write(self, log: str, places: dict[str, LogPlace]) -> None:
        """Remember places."""
        values = {name: _encode(place) for name, place in places.items()}
        self._run(self._topic.write(values, f"{log}\n"))


class Follower:
    """Sends what is new in logs until it is stopped.

    A place is remembered when all before it is acknowledged. So a death between the two sends
    lines again, with the same message_id: they count once.
    """

    def __init__(
        self,
        importer: Importer,
        places: LogPlaces,
        names: dict[Path, str],
        say: Callable[[str], None],
    ) -> None:
        """names: of the logs, by path; say: told what is wrong. Raises KafkaUnavailableError."""
        self._importer, self._places, self._say = importer, places, say
        self._names = names
        self._stopped = False
        self._woken: SimpleQueue[None] = SimpleQueue()
        self.logs = [GrowingLog(path, places.read(name), say) for path, name in names.items()]
        for log in self.logs:
            if not log.places:
                places.write(names[log.path], log.pass_older())

    def run(self) -> None:
        """Follow until stop() is called; raise StartError where a log cannot be read."""
        away = False
        while not self._stopped:
            try:
                for log in self.logs:
                    self._read(log)
                away = False
            except KafkaUnavailableError as exc:
                if not away:
                    self._say(f"waiting for Kafka, no line is lost: {exc}")
                away = True
            with suppress(Empty):
                self._woken.get(timeout=AGAIN_S if away else EVERY_S)
        for log in self.logs:
            log.close()

    def stop(self) -> None:
        """Let run() return; a signal handler may call it.

        A lock that the thread holds when the signal interrupts it would never be free again:
        threading.Event has one, the queue has none that is not meant for this.
        """
        self._stopped = True
        self._woken.put(None)

    def _read(self, log: GrowingLog) -> None:
        for name, piece in log.pieces():
            self._send(log.path.name, piece)
            self._places.write(self._names[log.path], {name: piece.after})
            log.places[name] = piece.after
            if self._stopped:
                return

    def _send(self, file_name: str, piece: Piece) -> None:
        importer = self._importer
        before = importer.imported, importer.rejected
        try:
            importer.read_on(file_name, importer.log_of(piece.first), piece.lines)
            importer.finish()
        except KafkaUnavailableError:
            importer.imported, importer.rejected = before  # all of it is sent again
            raise
