"""What was sent and acknowledged, and what every store must therefore hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiokafka import ConsumerRecord

from app.events.filler import is_filler
from tests.support.judgement import Judgement, judgement_of

HOUR = 3600
MINUTE = 60
RECENT_FROM_S = 1_700_000_000  # 2023: between what the load sends as past and as recent

Place = tuple[int, int]  # partition and offset in `events`


@dataclass(frozen=True, slots=True)
class Fact:
    """An event as it must be counted; moment: s since 1970, None where the record's time counts.

    ad: of an impression; clicked: of an ad click. session: one that is compared. hasty: of a user
    who sends many page views with the same moment, which is one that the sender named. message: the
    message_id that the event has in Kafka.
    """

    uuid: str
    type: str
    url: str | None
    moment: int | None
    user: str | None = None
    ad: str | None = None
    clicked: str | None = None
    session: str | None = None
    hasty: bool = False
    message: str | None = None


@dataclass
class Ledger:
    """Everything that was sent.

    facts: by uuid, whatever became of them. acknowledged: uuids that Kafka surely has; the other
    ones may be there or not. faults: bytes of a record that must be rejected -> code.
    """

    facts: dict[str, Fact] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    faults: dict[bytes, str] = field(default_factory=dict)


@dataclass
class Truth:
    """What follows from the records that `events` holds."""

    places: dict[Place, str] = field(default_factory=dict)  # of valid records -> uuid
    rejected: dict[Place, str] = field(default_factory=dict)  # place -> code
    hourly: Counter[tuple[str, int, str]] = field(default_factory=Counter)  # url, hour, type
    by_url: Counter[tuple[str, str]] = field(default_factory=Counter)  # url, type
    by_type: Counter[str] = field(default_factory=Counter)
    minutely: Counter[tuple[int, str]] = field(default_factory=Counter)  # recent minute, type
    ends: dict[int, int] = field(default_factory=dict)
    active: set[tuple[int, str]] = field(default_factory=set)  # recent minute, user
    impressions: Counter[tuple[str, str]] = field(default_factory=Counter)  # month, ad
    visitors: set[tuple[str, str, str]] = field(default_factory=set)  # month, ad, user
    duplicates: set[Place] = field(default_factory=set)
    duplicates_by_type: Counter[str] = field(default_factory=Counter)
    judgement: Judgement = field(default_factory=Judgement)

    @property
    def human(self) -> set[Place]:
        """The places of what counts."""
        return self.places.keys() - self.duplicates - self.judgement.bots

    @property
    def urls(self) -> list[str]:
        """The urls that were counted."""
        return sorted({url for url, _, _ in self.hourly})

    def of_url(self, url: str) -> dict[str, int]:
        """Return the counts of all time by type."""
        return {label: count for (at, label), count in self.by_url.items() if at == url}


def truth_of(
    ledger: Ledger, records: Iterable[ConsumerRecord], *, statistics: bool = True
) -> Truth:
    """Return what all records of `events` add up to.

    The log decides about events that were sent without an acknowledgement, and about those that a
    producer sent twice because an acknowledgement got lost: each record is one event. Fails when
    an acknowledged event is not there, or a record that nobody sent is.
    """
    truth, seen, sent = Truth(), set(), set[tuple[int, str]]()
    valid: dict[Place, tuple[Fact, int]] = {}
    for record in records:
        place = record.partition, record.offset
        truth.ends[record.partition] = record.offset + 1
        if is_filler(record.value):
            continue
        if (code := ledger.faults.get(record.value)) is not None:
            truth.rejected[place] = code
            continue
        fact = ledger.facts[json.loads(record.value)["uuid"]]
        seen.add(fact.uuid)
        truth.places[place] = fact.uuid
        if fact.message is not None:
            message = record.partition, fact.message
            if message in sent:  # no load lasts as long as a message_id is remembered
                truth.duplicates.add(place)
                truth.duplicates_by_type[fact.type] += 1
                continue
            sent.add(message)
        valid[place] = fact, record.timestamp // 1000 if fact.moment is None else fact.moment
    truth.judgement = judgement_of(valid) if statistics else Judgement()
    for place, (fact, second) in valid.items():
        if place not in truth.judgement.bots:
            _count(truth, fact, second)
    lost = ledger.acknowledged - seen
    assert not lost, f"{len(lost)} acknowledged events are not in Kafka: {sorted(lost)[:5]}"
    return truth


def _count(truth: Truth, fact: Fact, moment: int) -> None:
    truth.by_type[fact.type] += 1
    if fact.url is not None:
        truth.hourly[fact.url, moment - moment % HOUR, fact.type] += 1
        truth.by_url[fact.url, fact.type] += 1
    if moment > RECENT_FROM_S:
        truth.minutely[moment - moment % MINUTE, fact.type] += 1
        if fact.user is not None:
            truth.active.add((moment - moment % MINUTE, fact.user))
    if fact.ad is not None:
        month = f"{datetime.fromtimestamp(moment, UTC):%Y-%m}"
        truth.impressions[month, fact.ad] += 1
        if fact.user is not None:
            truth.visitors.add((month, fact.ad, fact.user))
