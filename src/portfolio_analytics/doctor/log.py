"""The event log: whether what it acknowledges is safe, and how far the consumers are behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from portfolio_analytics.doctor.check import Check
from portfolio_analytics.doctor.database import StoredPosition
from portfolio_analytics.shared.errors import LogError, LogUnavailable
from portfolio_analytics.shared.log.journal_file import PARTITION, JournalFile
from portfolio_analytics.shared.log.kafka import describe_topic
from portfolio_analytics.shared.log.kafka_settings import GROUP, KafkaSettings, client_settings
from portfolio_analytics.shared.log.kafka_topic import DAY_MS, TopicFacts
from portfolio_analytics.shared.log.protocol import Watermarks

SAFE_REPLICATION = 3
SAFE_IN_SYNC = 2
IDLE_SECONDS = 60.0
TIMEOUT = 10.0

NAME = "log"


@dataclass(frozen=True, slots=True)
class LogEnds:
    """A log's id and, by partition, what it holds."""

    topic_id: str
    held: Mapping[int, Watermarks]


def look_at_kafka(settings: KafkaSettings) -> tuple[TopicFacts, LogEnds]:
    """The topic as it is, and its ends. Raises LogUnavailable with one sentence that says why not."""
    topic = describe_topic(settings, TIMEOUT)
    consumer = Consumer(client_settings(settings) | {"group.id": GROUP})
    try:
        held = {}
        for partition in range(topic.partitions):
            marks = consumer.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=TIMEOUT)
            if marks is not None:
                held[partition] = Watermarks(*marks)
        return topic, LogEnds(topic.topic_id, held)
    except KafkaException as error:
        raise LogUnavailable(f"Kafka does not tell where the topic ends: {error.args[0].str()}") from None
    finally:
        consumer.close()


def look_at_journal(path: Path) -> LogEnds | None:
    """The journal's end; None where there is none yet. Raises LogError."""
    if not path.exists():
        return None
    file = JournalFile(path)
    file.open()
    try:
        file.probe()
        return LogEnds(file.topic_id, {PARTITION: file.watermarks()})
    finally:
        file.close()


def judge_kafka(topic: TopicFacts, wanted: KafkaSettings) -> list[Check]:
    """Findings about a topic and the connection to it."""
    checks = [_replication(topic)]
    if topic.in_sync < topic.min_in_sync:
        checks.append(
            Check(
                NAME,
                "fail",
                f"Only {topic.in_sync} replica(s) of a partition are in sync, {topic.min_in_sync} are needed:"
                " Kafka takes nothing there.",
                "Bring the brokers that are away back.",
            )
        )
    elif topic.in_sync < topic.replication:
        checks.append(
            Check(
                NAME,
                "warn",
                f"{topic.replication - topic.in_sync} replica(s) of a partition are not in sync.",
                "Look at the brokers.",
            )
        )
    if topic.partitions < wanted.partitions:
        checks.append(
            Check(
                NAME,
                "warn",
                f"The topic has {topic.partitions} partitions, KAFKA_PARTITIONS says {wanted.partitions}.",
                "Add partitions with Kafka's own tools, or set KAFKA_PARTITIONS to what there is.",
            )
        )
    if 0 <= topic.retention_ms < wanted.retention_days * DAY_MS:
        checks.append(
            Check(
                NAME,
                "warn",
                f"The topic keeps records for {topic.retention_ms / DAY_MS:.1f} days,"
                f" LOG_RETENTION_DAYS asks for {wanted.retention_days}.",
                "Raise the topic's retention.ms: consumers that are down for longer lose records.",
            )
        )
    if not wanted.tls:
        checks.append(
            Check(
                NAME,
                "warn",
                f"The connection to Kafka is not encrypted ({wanted.security}).",
                "Set KAFKA_SECURITY=SASL_SSL wherever it leaves one trusted network.",
            )
        )
    return checks


def judge_dead_letters(topic: str, problem: LogError | None) -> Check:
    """The finding about the dead-letter topic, given why it cannot be described."""
    name = "dead letters"
    if problem is None:
        return Check(name, "ok", f"Bad rows are published to the topic {topic}.")
    return Check(
        name,
        "warn",
        f"{str(problem).rstrip('.')}: bad rows are in the table alone until it is there.",
        "The consumers make the topic where they may; else make it, or unset KAFKA_DEAD_LETTER_TOPIC.",
    )


def judge_journal(ends: LogEnds | None, path: Path) -> list[Check]:
    """Findings about the journal at `path`."""
    if ends is None:
        return [Check(NAME, "ok", f"There is no journal yet; {path} is made when the service starts.")]
    return [
        Check(
            NAME, "ok", f"The journal {path} takes records; the next is number {ends.held[PARTITION].high:,}."
        )
    ]


def judge_lag(ends: LogEnds, positions: list[StoredPosition]) -> list[Check]:
    """Findings about how far the database is behind the log."""
    name = "consumers"
    stored = {position.partition: position for position in positions if position.topic_id == ends.topic_id}
    if positions and not stored:
        return [
            Check(
                name,
                "warn",
                "The database knows another log: the topic was made again, or DATA_DIR is another.",
                "If that is meant, start a consumer: it counts the new log from its beginning.",
            )
        ]
    behind = {
        partition: marks.high - _next(stored.get(partition), marks) for partition, marks in ends.held.items()
    }
    lag = sum(max(count, 0) for count in behind.values())
    if any(count < 0 for count in behind.values()):
        return [
            Check(
                name,
                "fail",
                "The database has counted further than the log goes: the log lost its end.",
                "Restore the log's disk, or start a consumer, which records the gap.",
            )
        ]
    if not lag:
        return [Check(name, "ok", "Everything in the log is counted.")]
    waiting = [stored[partition] for partition, count in behind.items() if count > 0 and partition in stored]
    if waiting and min(position.age_seconds for position in waiting) < IDLE_SECONDS:
        return [Check(name, "ok", f"The consumers are at work, {lag:,} records behind.")]
    return [
        Check(
            name,
            "warn",
            f"{lag:,} records wait, and no consumer took any for a minute.",
            "Start `portfolio-analytics consumer` (or `run`), or look at its output.",
        )
    ]


def _next(position: StoredPosition | None, held: Watermarks) -> int:
    """The offset that is read next: where nothing was consumed, the earliest there is."""
    return held.low if position is None or position.next is None else position.next


def _replication(topic: TopicFacts) -> Check:
    sentence = (
        f"Kafka answers: {topic.brokers} broker(s), {topic.partitions} partitions, replication"
        f" {topic.replication}, min.insync.replicas {topic.min_in_sync}."
    )
    if topic.replication < SAFE_REPLICATION:
        return Check(
            NAME,
            "warn",
            f"{sentence} An acknowledged event is lost with the disk of one broker."
            if topic.replication == 1
            else sentence,
            "Use three brokers, and replication 3 for the topic.",
        )
    if topic.min_in_sync < SAFE_IN_SYNC:
        return Check(
            NAME,
            "warn",
            f"{sentence} A broker may confirm an event alone.",
            "Set the topic's min.insync.replicas to 2.",
        )
    return Check(NAME, "ok", sentence)


def log_problem(error: LogError) -> Check:
    """The finding that the log cannot be used."""
    return Check(
        NAME, "fail", f"{str(error).rstrip('.')}.", "Check KAFKA_* or DATA_DIR; see the log's own output."
    )
