"""Keeps the collector connected to Kafka: one session, and the next one when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from time import monotonic, time

from aiokafka.errors import KafkaError

from app import metrics
from app.errors import CounterError, reason
from app.events.times import rfc3339
from app.kafka.clients import KafkaClients
from app.kafka.session import KafkaSession
from app.lasting import Lasting

log = logging.getLogger(__name__)

Mend = Callable[[Mapping[int, int]], Awaitable[object]]

ASK_S = 1.0  # between questions whether Kafka is there
RETRY_S = 0.5  # between attempts to connect
CLOCK_S = 60.0  # between looks whether the clock of this machine is behind
CONNECT_S = 10.0  # for one attempt: connections, metadata, producer id


class KafkaLink:
    """session is None while there is none; problem says why.

    silent: whether Kafka did not answer when it was last asked, though there is a session.
    keeper: keeps the session; what is on its way when it is stopped is given up.
    """

    def __init__(
        self, kafka: KafkaClients, topic: str, timeout_s: float, mend: Mend | None = None
    ) -> None:
        """mend: called before each session with the ends that Kafka has acknowledged so far."""
        self.session: KafkaSession | None = None
        self.problem = "not connected yet"
        self.silent = False
        self._kafka = kafka
        self._topic = topic
        self._timeout_s = timeout_s
        self._mend = mend
        self._ends: dict[int, int] = {}
        self._lost = asyncio.Event()
        self._behind, self._looked_at = False, -inf
        self.keeper = Lasting("nothing connects to Kafka any more")

    def start(self) -> None:
        """Begin to connect, in the background: Kafka may come later."""
        self.keeper.start(self._keep())

    def lose(self, session: KafkaSession, problem: str) -> None:
        """Give up a session; the next one is opened in the background."""
        if session is self.session:
            log.warning(
                "Kafka %s is lost: %s; answering 503 until it is back", self._kafka, problem
            )
            metrics.kafka_outages.inc()
            self.session = None
            self.problem = problem
            self._lost.set()

    async def _keep(self) -> None:
        while True:
            self.session = session = await self._connect()
            log.info("Kafka %s takes events: %s", self._kafka, self._topic)
            try:
                await self._watch(session)
            finally:
                self.session = None
                self._ends |= session.ends
                self.silent = False
                self._lost.clear()
                await session.close()

    async def _watch(self, session: KafkaSession) -> None:
        """Ask once a second whether Kafka is there, until the session is lost.

        One with something on its way is kept: that may still arrive. A broker that has died may
        come back with less, and the next session looks first: before anybody who knows less of
        what was acknowledged.
        """
        while not self._lost.is_set():
            self.silent = not await session.answers()
            if self.silent and not session.sending and (problem := await self._refused()):
                self.lose(session, problem)
                return
            await self._look_at_clock(session)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await self._lost.wait()

    async def _look_at_clock(self, session: KafkaSession) -> None:
        """Say so when the clock of this machine is behind, and when it is right again."""
        if self.silent or monotonic() < self._looked_at + CLOCK_S:
            return
        self._looked_at, before = monotonic(), self._behind
        self._behind = await session.clock_is_behind()
        if self._behind and not before:
            log.warning(
                "the clock of this machine says %s, and %s has events from over an hour later: set "
                "it; until then current events may be rejected as timestamp_in_future",
                *(rfc3339(int(time())), self._topic),
            )
        elif before and not self._behind:
            log.warning("the clock of this machine is not behind %s any more", self._topic)

    async def _refused(self) -> str:
        """Return why nobody listens; empty where somebody does, or does not answer."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._kafka.knock()
        except TimeoutError:
            return ""
        except (KafkaError, OSError, CounterError) as exc:
            return reason(exc)
        return ""

    async def _connect(self) -> KafkaSession:
        """Try until it works; say once what is in the way."""
        while True:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self._kafka.knock()  # aiokafka would log an error at each attempt
                if self._mend is not None:  # millions of lost offsets may take longer
                    await self._mend(self._ends)
                async with asyncio.timeout(CONNECT_S):
                    session = await KafkaSession.open(self._kafka, self._topic, self._timeout_s)
                if self._mend is not None:
                    session.ends |= self._ends
                return session  # noqa: TRY300 - it is closed by who has it
            except (KafkaError, OSError, CounterError) as exc:
                problem = reason(exc)
                if problem != self.problem:
                    log.warning("Kafka %s cannot be used: %s; still trying", self._kafka, problem)
                    self.problem = problem
            await asyncio.sleep(RETRY_S)
