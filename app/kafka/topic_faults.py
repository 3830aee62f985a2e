"""What is wrong with a topic that somebody else made, or changed: pure, and with what to type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

BATCH_BYTES = 600_000  # of a record batch of ours, with its overhead
FOR_GOOD = "-1"
POLICY, RETENTION, SIZE = "cleanup.policy", "retention.ms", "retention.bytes"
INSYNC, LARGEST = "min.insync.replicas", "max.message.bytes"
SEGMENT, DIRTY = "segment.bytes", "min.cleanable.dirty.ratio"
LOOKED_AT = (POLICY, RETENTION, SIZE, INSYNC, LARGEST, SEGMENT, DIRTY)
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it must be; setting: what decides its partitions, for the message.

    keep: whether a retention that is shorter loses something, or only takes history away. grows:
    whether `event-counter grow` gives it more partitions. kept_by: what decides its retention.
    """

    name: str
    partitions: int
    config: dict[str, str]
    setting: str = ""
    keep: bool = True
    grows: bool = False
    kept_by: str = ""


@dataclass(frozen=True)
class TopicState:
    """A topic as it is; replicas: of the partition with fewest. config: empty where not known."""

    partitions: int
    replicas: int
    config: Mapping[str, str] = field(default_factory=dict)


class TopicFault(NamedTuple):
    """fatal: what is counted would be lost or wrong; else something is only not as asked for.

    todo: what to do where that is one thing for several topics, else in the text. right: the
    setting of the topic that is wrong, and its right value.
    """

    fatal: bool
    text: str
    todo: str = ""
    right: tuple[str, str] | None = None


class Change(NamedTuple):
    """A setting of a topic that is not as it must be: its value, and the right one."""

    topic: TopicSpec
    name: str
    was: str
    right: str

    @property
    def shortens(self) -> bool:
        """Whether records go sooner that somebody may have to read, or to replay."""
        if self.name != RETENTION or self.right == FOR_GOOD:
            return False
        return self.was == FOR_GOOD or int(self.right) < int(self.was)


def changes_of(spec: TopicSpec, state: TopicState, replication: int) -> list[Change]:
    """Return what to change where the broker is ours: all that is spelled out, and what is wrong.

    What somebody has set and is no more than a warning stays.
    """
    right = dict(spec.config)
    right |= [f.right for f in faults_of(spec, state, replication) if f.fatal and f.right]
    return [
        Change(spec, name, state.config[name], value)
        for name, value in right.items()
        if state.config.get(name, value) != value
    ]


def said_together(faults: Iterable[TopicFault]) -> str:
    """Return the texts of faults, and behind them, once, what to do."""
    told = list(faults)
    todo = dict.fromkeys(fault.todo for fault in told if fault.todo)
    return ". ".join([*(fault.text for fault in told), *todo])


def faults_of(spec: TopicSpec, state: TopicState, replication: int) -> list[TopicFault]:
    """Return what is wrong; replication: as the settings have it."""
    return [*_shape(spec, state, replication), *_config(spec, state)]


def _shape(spec: TopicSpec, state: TopicState, replication: int) -> Iterator[TopicFault]:
    if state.partitions != spec.partitions:
        text = f"Topic {spec.name} has {state.partitions} partitions, not {spec.partitions}"
        yield TopicFault(fatal=True, text=text, todo=_other_number(spec, state))
    if state.replicas < replication:
        yield TopicFault(
            fatal=True,
            text=f"Topic {spec.name} has {state.replicas} replicas, not {replication}: set "
            f"EVENT_COUNTER_REPLICATION={state.replicas}, or raise them with the tool of your "
            "provider, or kafka-reassign-partitions.sh of Kafka",
        )


def _other_number(spec: TopicSpec, state: TopicState) -> str:
    if spec.grows and state.partitions < spec.partitions:
        return (
            f"Set {spec.setting}={state.partitions}, or have all events counted for the new "
            "number: stop all workers and type event-counter grow"
        )
    if not spec.setting:
        return "Set EVENT_COUNTER_NAMESPACE to another"
    return f"Set {spec.setting}={state.partitions}"


def _config(spec: TopicSpec, state: TopicState) -> Iterator[TopicFault]:
    found, wanted = state.config, spec.config
    policy = found.get(POLICY, wanted[POLICY])
    if policy != wanted[POLICY]:
        why = (
            "its rows would go, and counts with them"
            if wanted[POLICY] == "compact"
            else ("events without a key would be refused, and those with one replaced")
        )
        yield _wrong(spec, POLICY, policy, why)
    if wanted[POLICY] == "delete":
        yield from _retention(spec, found)
    if int(found.get(INSYNC, 1)) > state.replicas:
        why = f"it has {state.replicas} replicas, so it takes no record"
        yield _wrong(spec, INSYNC, found[INSYNC], why, str(state.replicas))
    if int(found.get(LARGEST, BATCH_BYTES)) < BATCH_BYTES:
        why = "record batches are larger"
        yield _wrong(spec, LARGEST, found[LARGEST], why, str(1024 * 1024))


def _retention(spec: TopicSpec, found: Mapping[str, str]) -> Iterator[TopicFault]:
    kept, wanted = found.get(RETENTION, FOR_GOOD), spec.config[RETENTION]
    if kept != FOR_GOOD and (wanted == FOR_GOOD or int(kept) < int(wanted)):
        hours = int(kept) / HOUR_MS
        why = f"records go after {hours:g} hours, also what nobody has read"
        instead = f"{spec.kept_by}={int(hours)}" if spec.kept_by and hours >= 1 else ""
        yield _wrong(spec, RETENTION, kept, why, instead=instead)._replace(fatal=spec.keep)
    if found.get(SIZE, FOR_GOOD) != FOR_GOOD:
        why = "records go when there are many, whatever their age"
        yield _wrong(spec, SIZE, found[SIZE], why, FOR_GOOD)._replace(fatal=False)


def _wrong(
    spec: TopicSpec, name: str, value: str, why: str, right: str = "", *, instead: str = ""
) -> TopicFault:
    """Return the fault of a setting; instead: what to set of ours, where that would do."""
    right = right or spec.config[name]
    begin = f"Set {instead}, or change" if instead else "Change"
    text = (
        f"Topic {spec.name} has {name}={value}: {why}. {begin} the topic with the tool of your "
        "provider, or with Kafka's own: kafka-configs.sh --bootstrap-server … --alter "
        f"--entity-type topics --entity-name {spec.name} --add-config {name}={right}"
    )
    return TopicFault(fatal=True, text=text, right=(name, right))
