"""The consumer's side of Kafka: a group decides who reads what, the database from where.

Rebalances are taken note of inside librdkafka's callbacks, where nothing is assigned, and carried out
after the call that they came in. So whatever such a call returned was read under the old assignment
and is dropped, and every record that is handed out was read under the present one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from portfolio_analytics.shared.errors import LogUnavailable
from portfolio_analytics.shared.log import kafka_codes
from portfolio_analytics.shared.log.kafka_faults import KafkaFaults
from portfolio_analytics.shared.log.kafka_settings import GROUP, LOGGER, KafkaSettings, consumer_settings
from portfolio_analytics.shared.log.kafka_topic import KafkaTopic
from portfolio_analytics.shared.log.protocol import LogRecord, Positions, Watermarks

ANSWER_SECONDS = 3.0
OPEN_SECONDS = 3.0
RECHECK_SECONDS = 0.5
LOST_SECONDS = 3.0
SLICE_SECONDS = 0.1


class KafkaReader:
    """Reads the partitions that the group gives to this reader.

    `session_timeout` (seconds) is after how long a silent reader loses its partitions;
    `refresh_seconds` how often new partitions and a topic made anew are looked for.
    """

    on_assigned: Callable[[str, Sequence[int]], Positions]
    on_revoked: Callable[[Sequence[int]], None]
    on_gap: Callable[[int, int, int], None]

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        group: str = GROUP,
        session_timeout: float = 10.0,
        refresh_seconds: float = 10.0,
    ) -> None:
        self.on_assigned = lambda topic_id, partitions: dict.fromkeys(partitions)
        self.on_revoked = lambda partitions: None
        self.on_gap = lambda partition, wanted, resumed: None
        self.topic_id = ""
        self._settings = settings
        self._faults = KafkaFaults(settings)
        self._refresh_seconds = refresh_seconds
        self._config = consumer_settings(
            settings,
            self._faults.note,
            group=group,
            session_timeout=session_timeout,
            refresh_seconds=refresh_seconds,
        )
        self._consumer: Consumer | None = None
        self._topic: KafkaTopic | None = None
        self._next: dict[int, int | None] = {}  # what is owned -> the offset that must come next, once known
        self._given: list[int] | None = None  # assigned by the group, not yet claimed
        self._rebalanced = False
        self._stale: set[int] = set()  # owned, and Kafka no longer holds the offset that is to come next
        self._missed: dict[int, int] = {}  # partition -> an offset that did not come and was asked for again
        self._doubtful = False
        self._checked = 0.0
        self._lost_since: float | None = None  # the client finds no broker, though there is one

    def open(self) -> None:
        """Connect, make the topic where it is missing, and join. Raises LogUnavailable."""
        try:
            consumer = Consumer(self._config)
        except KafkaException as error:
            raise LogUnavailable(f"the Kafka settings cannot be used: {error.args[0].str()}") from None
        try:
            topic = KafkaTopic(self._settings, self._faults)
            topic.connect(OPEN_SECONDS)
            self.topic_id = topic.ensure(timeout=5.0).topic_id
        except (KafkaException, TimeoutError) as error:
            consumer.close()
            cause = error if isinstance(error, KafkaException) else None
            raise LogUnavailable(self._faults.sentence(cause)) from None
        except LogUnavailable:
            consumer.close()
            raise
        self._consumer, self._topic = consumer, topic
        self._checked = time.monotonic()
        self._join(consumer)

    def poll(self, max_records: int, timeout: float) -> list[LogRecord]:
        """Up to `max_records` records, waiting at most `timeout` seconds for the first one. See LogReader.

        After LogUnavailable reading goes on by itself, with the same position, once Kafka is back.
        """
        try:
            return self._poll(max_records, time.monotonic() + timeout)
        except KafkaException as error:
            raise LogUnavailable(self._faults.sentence(error)) from None

    def _poll(self, max_records: int, end: float) -> list[LogRecord]:
        while True:
            doubt = self._mend()
            # In slices: a rebalance does not end librdkafka's wait, and nothing is assigned until it does.
            messages = self._consume(
                self._opened(), max_records, min(SLICE_SECONDS, max(0.0, end - time.monotonic()))
            )
            if self._rebalanced:
                self._drop_assignment()
                continue
            records = self._accept(messages)
            if not records and doubt is not None:
                raise doubt
            if records or time.monotonic() >= end:
                return records

    def seek(self, partition: int, offset: int) -> None:
        """Read `partition` from `offset` next. Without effect on a partition that is not owned."""
        if partition not in self._next:
            return
        self._next[partition] = offset
        try:
            self._opened().seek(TopicPartition(self._settings.topic, partition, offset))
        except KafkaException:
            self._assign()  # not being fetched at this moment, so that there is nothing to seek

    def watermarks(self, partition: int) -> Watermarks:
        """What Kafka holds of `partition` now. Raises LogUnavailable."""
        try:
            held = self._opened().get_watermark_offsets(
                TopicPartition(self._settings.topic, partition), timeout=ANSWER_SECONDS
            )
        except KafkaException as error:
            raise LogUnavailable(self._faults.sentence(error)) from None
        if held is None:
            raise LogUnavailable(self._faults.sentence())
        return Watermarks(*held)

    def commit(self, positions: Mapping[int, int]) -> None:
        """Write positions to Kafka for lag tools; nothing is waited for and a failure is of no account."""
        offsets = [
            TopicPartition(self._settings.topic, partition, offset) for partition, offset in positions.items()
        ]
        if offsets:
            with suppress(KafkaException):
                self._opened().commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Leave the group, so that others take over at once, and let go."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(KafkaException):
                consumer.close()
            self._forget()

    # --- assignment

    def _join(self, consumer: Consumer) -> None:
        consumer.subscribe(
            [self._settings.topic],
            on_assign=self._take_note,
            on_revoke=self._give_back,
            on_lost=self._give_back,
        )

    def _take_note(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalanced = True
        self._given = [partition.partition for partition in partitions]
        consumer.assign([])  # otherwise the client assigns them itself, from Kafka's positions

    def _give_back(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalanced = True
        self._given = None
        consumer.unassign()

    def _forget(self) -> None:
        owned = sorted(self._next)
        self._next = {}
        self._stale.clear()
        self._missed.clear()
        if owned:
            self.on_revoked(owned)

    def _claim(self) -> None:
        """Carry out an assignment: what is given becomes owned. Tried again by the next poll if it fails."""
        if self._given is None:
            return
        if self._given:
            self.topic_id = self._identify()
            positions = self.on_assigned(self.topic_id, self._given)
            self._next = {partition: positions.get(partition) for partition in self._given}
            self._assign()
        self._given = None

    def _assign(self) -> None:
        self._opened().assign(
            [
                TopicPartition(
                    self._settings.topic, partition, OFFSET_BEGINNING if offset is None else offset
                )
                for partition, offset in self._next.items()
            ]
        )

    # --- reading

    def _consume(self, consumer: Consumer, max_records: int, timeout: float) -> list[Message]:
        """The first message when it comes, with what is there by then: `consume` alone waits for more."""
        first = consumer.consume(1, timeout)
        if not first or max_records == 1 or self._rebalanced:
            return first
        return first + consumer.consume(max_records - 1, 0)

    def _accept(self, messages: list[Message]) -> list[LogRecord]:
        """The records among `messages`; errors are only noted, since raising would lose the records."""
        records = []
        expected = self._next
        skipped: set[int] = set()  # of these all that follows is dropped, and read again
        for message in messages:
            error = message.error()
            partition, offset = message.partition(), message.offset()
            if error is not None:
                self._take_error(error, partition)
                continue
            if partition is None or offset is None or partition not in expected:
                continue
            wanted = expected[partition]
            if wanted is not None and offset != wanted:
                if offset < wanted or partition in skipped:
                    continue  # fetched before a seek
                if self._is_missed(partition, wanted, offset):
                    skipped.add(partition)
                    continue
            records.append(
                LogRecord(partition, offset, message.timestamp()[1], message.key(), message.value())
            )
            expected[partition] = offset + 1
        for partition in skipped:
            self.seek(partition, self._missed[partition])
        return records

    def _is_missed(self, partition: int, wanted: int, offset: int) -> bool:
        """Whether `wanted`, in whose place `offset` came, is to be asked for again.

        An offset may be none of a record (the end of a transaction): it does not come a second time either.
        """
        if self._missed.get(partition) == wanted:
            return False
        LOGGER.warning("Partition %d: offset %d came before %d; reading again.", partition, offset, wanted)
        self._missed[partition] = wanted
        return True

    def _take_error(self, error: KafkaError, partition: int | None) -> None:
        self._doubtful = True
        if error.code() != kafka_codes.OFFSET_NOT_HELD:
            self._faults.note(error)
        elif partition is not None and partition in self._next:
            self._stale.add(partition)

    # --- is it still the same topic, are the offsets held, is Kafka there

    def _mend(self) -> LogUnavailable | None:
        """Carry out what was noted; what fails is tried again by the next poll. Raises LogUnavailable when
        nothing can be read without it; returns why Kafka seems away when reading may work all the same.
        """
        try:
            self._claim()
        except LogUnavailable:
            self._opened().consume(1, 0)  # nothing is assigned: this only keeps the membership alive
            if self._rebalanced:
                self._drop_assignment()
            raise
        doubt = None
        if self._faults.reported(kafka_codes.ALL_BROKERS_DOWN):
            self._doubtful = True
        since = time.monotonic() - self._checked
        if self._stale or since > (RECHECK_SECONDS if self._doubtful else self._refresh_seconds):
            try:
                self._check_topic()
                self._check_client()
            except LogUnavailable as error:
                if self._stale:
                    raise
                doubt = error
        for partition in list(self._stale):
            self._resume(partition)
        return doubt

    def _drop_assignment(self) -> None:
        """What the last call returned was read under the assignment that is gone."""
        self._rebalanced = False
        self._forget()

    def _check_topic(self) -> None:
        """When the topic was deleted and made again, claim its partitions anew, under its new id.

        Who owns none joins again: a group that met while there was no topic gave nobody anything, and
        librdkafka, which saw the topic before and after, has no reason to meet again.
        """
        topic_id = self._identify()
        if topic_id != self.topic_id:
            owned = sorted(self._next)
            self._forget()
            self.topic_id = topic_id
            if owned:
                self._given = owned
                self._claim()
            elif self._given is None:
                consumer = self._opened()
                consumer.unsubscribe()
                self._join(consumer)

    def _check_client(self) -> None:
        """Have a client that lost its brokers for good replaced: Kafka has just answered another one.

        Who asks a broker that hung, or has just started, may be told that there are no brokers at all, and
        then lets go of all that it knew, those of the settings too. librdkafka (2.11 to 2.16 at least, its
        issue 5301) often never asks again after that: such a client reports no error and reads nothing.
        """
        try:
            self._opened().list_topics(self._settings.topic, timeout=ANSWER_SECONDS)
        except KafkaException as error:
            self._doubtful = True
            now = time.monotonic()
            if error.args[0].code() != kafka_codes.TRANSPORT:
                self._lost_since = None  # it has brokers to ask
            elif self._lost_since is None:
                self._lost_since = now
            elif now - self._lost_since > LOST_SECONDS:
                self._renew()
            raise LogUnavailable(self._faults.sentence(error)) from None
        finally:
            self._checked = time.monotonic()
        self._lost_since = None

    def _renew(self) -> None:
        """Go on with a new client, which joins the group anew. Raises KafkaException where none can be made,
        as while the CA file is being replaced: then the old one stays, and the next poll tries again.
        """
        LOGGER.warning("The Kafka client is renewed: it no longer finds the brokers")
        fresh = Consumer(self._config)
        self.close()
        self._rebalanced, self._given, self._lost_since = False, None, None
        self._consumer = fresh
        self._join(fresh)

    def _resume(self, partition: int) -> None:
        """The stored offset is not held any more: go on from the earliest one that is."""
        wanted = self._next[partition]
        low = self.watermarks(partition).low
        self._next[partition] = low
        self._assign()
        self._stale.discard(partition)
        if wanted is not None and wanted != low:
            self.on_gap(partition, wanted, low)

    def _identify(self) -> str:
        topic = self._topic
        if topic is None:
            raise LogUnavailable("the Kafka reader is not open")
        self._doubtful = True
        try:
            topic_id = topic.identify(ANSWER_SECONDS)
        except (KafkaException, TimeoutError) as error:
            cause = error if isinstance(error, KafkaException) else None
            # A client that met a hanging broker may not find back by itself: the next try has a new one.
            self._topic = KafkaTopic(self._settings, self._faults)
            self._lost_since = None
            raise LogUnavailable(self._faults.sentence(cause)) from None
        finally:
            self._checked = time.monotonic()
        self._doubtful = False
        self._faults.forget()
        return topic_id

    def _opened(self) -> Consumer:
        if self._consumer is None:
            raise LogUnavailable("the Kafka reader is not open")
        return self._consumer
