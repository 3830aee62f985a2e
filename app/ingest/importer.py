"""Reads events out of files and sends them to Kafka, in chunks, with bounded memory.

Reading blocks, so it stays in the caller's thread, where Ctrl-C ends it at any time; the collector
has an event loop in a thread of its own, and sends while the next lines are being parsed.
"""

from __future__ import annotations

import asyncio
import gzip
import sys
import threading
import time
import zlib
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from uuid import uuid4

from app.errors import (
    KafkaUnavailableError,
    MalformedJsonError,
    MalformedLineError,
    NotAnObjectError,
    RejectedError,
    StartError,
    TooLargeError,
)
from app.events.access_log import LogLines, line_uuid, parse_line
from app.events.decoding import decode
from app.events.event import EVENT_MAX_BYTES, Event
from app.events.packing import PackedRecord, pack
from app.events.url_rules import UrlRules
from app.ingest.collector import Collector
from app.settings import Settings

LINE_MAX_BYTES = EVENT_MAX_BYTES
CHUNK_LINES = 2000
CHUNK_BYTES = 1_000_000
SAMPLES = 20  # rejected lines that are kept, to guess from
CHUNKS_ON_WAY = 4  # acknowledged while the next is parsed
PATIENCE_S = 30.0  # longer than a broker takes to come back after a crash
CONNECT_S = 5.0

ParseLine = Callable[[bytes, int], Event]
# Of another format, or of one that nobody can tell.
NOT_READ = (MalformedJsonError, NotAnObjectError, TooLargeError)
PARSERS: dict[str, ParseLine] = {"combined": parse_line, "ndjson": decode}


class Importer:
    """Sends the lines of files; counts what Kafka has acknowledged and what was rejected.

    send: hands records to Kafka, done when acknowledged. say: takes a line about each bad line.
    rules: for the urls of the events. log_name: see LogLines; again: count lines that were sent
    before, and events whose message_id was.
    """

    def __init__(
        self,
        send: Callable[[list[PackedRecord]], Future[None]],
        parse: ParseLine,
        say: Callable[[str], None],
        rules: UrlRules | None = None,
        *,
        log_name: str = "",
        again: bool = False,
    ) -> None:
        self.imported = 0
        self.rejected = 0
        self.in_format = 0  # of the rejected ones
        self.samples: list[bytes] = []
        self._send = send
        self._parse = parse
        self._rules = rules
        self._say = say
        self._again = again
        self._log_name = f"{log_name}\n{uuid4()}" if again else log_name
        self._on_way: deque[tuple[Future[None], int]] = deque()

    def read(self, name: str, lines: Iterator[bytes]) -> None:
        """Send all lines of a file; blank ones are skipped.

        Raises KafkaUnavailableError; imported then tells what is surely stored.
        """
        first = next(lines, None)
        if first is not None:
            self.read_on(name, self.log_of(first), enumerate(chain([first], lines), 1))

    def log_of(self, first: bytes) -> LogLines:
        """Return what names the lines of a log, by its first."""
        return LogLines(first, self._log_name)

    def read_on(self, name: str, log: LogLines, lines: Iterable[tuple[int, bytes]]) -> None:
        """As read(), for some (number, line) of a log."""
        records: list[PackedRecord] = []
        size = 0
        for number, line in lines:
            if line.strip():
                try:
                    records.append(self._record(name, log, number, line))
                    size += len(line)
                except RejectedError as exc:
                    self.rejected += 1
                    self.in_format += is_in_format(exc)
                    if len(self.samples) < SAMPLES:
                        self.samples.append(line)
                    self._say(f"{name}:{number}: {exc.code}: {exc}")
            if len(records) == CHUNK_LINES or size > CHUNK_BYTES:
                self._hand_over(records)
                records, size = [], 0
        self._hand_over(records)

    def finish(self) -> None:
        """Wait for everything that is on its way."""
        while self._on_way:
            self._land()

    def _record(self, name: str, log: LogLines, number: int, line: bytes) -> PackedRecord:
        if len(line) > LINE_MAX_BYTES:
            raise TooLargeError(f"the line has more than {LINE_MAX_BYTES} bytes")
        now_ms = time.time_ns() // 1_000_000
        event = self._parse(line, now_ms)
        if self._rules is not None:
            self._rules.apply(event)
        if self._again or event.message_id is None:
            event.message_id = log.message_id(number, line)
        return pack(event, now_ms, line_uuid(name, number, line))

    def _hand_over(self, records: list[PackedRecord]) -> None:
        if records:
            self._on_way.append((self._send(records), len(records)))
        while len(self._on_way) > CHUNKS_ON_WAY:
            self._land()

    def _land(self) -> None:
        future, count = self._on_way.popleft()
        try:
            future.result()
        except KafkaUnavailableError:
            self._on_way.clear()  # nobody knows about those either
            raise
        self.imported += count


def is_in_format(exc: RejectedError) -> bool:
    """Whether a line that was rejected surely has the format it was read in."""
    if isinstance(exc, MalformedLineError):
        return exc.in_format
    return not isinstance(exc, NOT_READ)


def looks_like(lines: Sequence[bytes]) -> str:
    """Return the format that most of these lines are in, empty where none fits."""
    now_ms = time.time_ns() // 1_000_000
    for name, parse in PARSERS.items():
        taken = 0
        for line in lines:
            try:
                parse(line, now_ms)
                taken += 1
            except RejectedError as exc:
                taken += is_in_format(exc)
        if taken * 2 > len(lines):
            return name
    return ""


class BackgroundCollector:
    """A collector with an event loop and a thread of its own; use with `with`.

    Raises StartError when Kafka cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        patience = max(PATIENCE_S, settings.send_timeout_s)
        self._settings = settings.model_copy(update={"send_timeout_s": patience})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.run(self._collector.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, records: list[PackedRecord]) -> Future[Any]:
        """Send records; the future is done when Kafka has acknowledged them."""
        return asyncio.run_coroutine_threadsafe(
            self._collector.send_records(records, admitted=True), self._loop
        )

    def run(self, job: Any) -> Any:
        """Run a coroutine in its loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(job, self._loop).result()

    async def _start(self) -> None:
        self._collector = Collector(self._settings)
        await self._collector.start()
        deadline = time.monotonic() + CONNECT_S
        while True:
            try:
                self._collector.check_ready()
            except KafkaUnavailableError as exc:
                if time.monotonic() > deadline:
                    await self._collector.stop()
                    raise StartError(f"Kafka at {self._settings.kafka}: {exc}") from exc
                await asyncio.sleep(0.05)
            else:
                return


def read_lines(path: Path, progress: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the lines of a file without their ends, unpacked where it is .gz; - is stdin.

    Of a line that is too long only the beginning comes. progress: gets the bytes of the file read
    since the last call. Raises StartError.
    """
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as raw:
            stream: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            told = 0
            for count, line in enumerate(_lines(stream)):
                yield line if count else line.removeprefix(BOM_UTF8)
                if count % CHUNK_LINES == 0 and raw.seekable():
                    progress(raw.tell() - told)
                    told = raw.tell()
    except (OSError, EOFError, zlib.error) as exc:
        raise StartError(f"{path} cannot be read: {exc}") from exc


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    while begun := stream.readline(LINE_MAX_BYTES + 2):
        rest = begun
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(LINE_MAX_BYTES)
        yield begun.rstrip(b"\r\n")
