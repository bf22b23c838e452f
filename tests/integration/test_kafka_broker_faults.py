"""Brokers that die, hang or come back; topics that change: nothing acknowledged is lost, reading goes on."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.cimpl import NewPartitions, NewTopic

from portfolio_analytics.shared.errors import LogError, LogUnavailable, LogUncertain
from portfolio_analytics.shared.log.kafka import KafkaReader, KafkaSettings, KafkaWriter, describe_topic
from portfolio_analytics.shared.log.protocol import Appended, LogRecord
from portfolio_analytics.shared.log.spool import Spool
from tests.kafka.cluster import PASSWORD, USER, KafkaCluster
from tests.kafka.proxy import KafkaProxy

GONE = "no Kafka broker can be reached"
# For what comes by itself. A rebalance alone may wait for a minute for a member whose connection broke.
PATIENCE = 120.0


def settings_for(cluster: KafkaCluster, partitions: int = 6) -> KafkaSettings:
    settings = KafkaSettings(cluster.bootstrap, topic=f"faults-{uuid.uuid4().hex}", partitions=partitions)
    if cluster.sasl:
        settings = replace(
            settings, user=USER, password=PASSWORD, security="SASL_SSL", ca_file=cluster.ca_file
        )
    return settings


async def healthy(writer: KafkaWriter, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while (said := await writer.healthy()) is not None:
        assert time.monotonic() < end, said
        await asyncio.sleep(0.1)


@asynccontextmanager
async def writing(settings: KafkaSettings, delivery_timeout: float = 20.0) -> AsyncIterator[KafkaWriter]:
    writer = KafkaWriter(settings, delivery_timeout=delivery_timeout, refresh_seconds=1)
    await writer.open()
    try:
        await healthy(writer)
        yield writer
    finally:
        await writer.close(5)


class Load:
    """Appends without pause from several tasks, and remembers what was acknowledged."""

    def __init__(self, writer: KafkaWriter, streams: int = 8) -> None:
        self.acknowledged: dict[bytes, Appended] = {}
        self.failures: list[LogError] = []
        self._writer = writer
        self._tasks = [asyncio.create_task(self._stream(number)) for number in range(streams)]
        self._ending = False

    async def _stream(self, number: int) -> None:
        count = 0
        while not self._ending:
            value = b"%d.%d" % (number, count)
            count += 1
            try:
                self.acknowledged[value] = await self._writer.append(
                    b"key-%d-%d" % (number, count % 9), value
                )
            except LogError as error:
                self.failures.append(error)
            await asyncio.sleep(0.01)

    async def grow(self, by: int, seconds: float = PATIENCE) -> None:
        """Wait until `by` more records are acknowledged."""
        wanted, end = len(self.acknowledged) + by, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < end, f"{len(self.acknowledged)} of {wanted}; {self.failures[-1:]}"
            await asyncio.sleep(0.05)

    async def end(self) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)


class Positions:
    """Stands in for the database: (topic id, partition) -> next offset."""

    def __init__(self) -> None:
        self.next: dict[tuple[str, int], int] = {}
        self.records: dict[tuple[str, int, int], LogRecord] = {}
        self.read_again = 0
        self.gaps: list[tuple[int, int, int]] = []


class Consuming(threading.Thread):
    """One reader in a thread of its own that stores what it reads, as a consumer does."""

    def __repr__(self) -> str:
        count = len(self._positions.records)
        return f"reader of {sorted(self.owned)}, {count} records, {self.topics}, {self.errors}, {self.failed}"

    def __init__(
        self, settings: KafkaSettings, positions: Positions, group: str, session: float = 6.0
    ) -> None:
        super().__init__(daemon=True)
        self.owned: set[int] = set()
        self.topics: list[str] = []
        self.errors: list[str] = []
        self.failed: BaseException | None = None
        self._positions = positions
        self._ending = threading.Event()
        self._reader = KafkaReader(settings, group=group, session_timeout=session, refresh_seconds=1)
        self._reader.on_assigned = self._claim
        self._reader.on_revoked = self.owned.difference_update
        self._reader.on_gap = lambda *gap: positions.gaps.append(gap)

    def _claim(self, topic_id: str, partitions: Sequence[int]) -> dict[int, int | None]:
        self.owned.update(partitions)
        self.topics.append(topic_id)
        return {partition: self._positions.next.get((topic_id, partition)) for partition in partitions}

    def _open(self) -> None:
        while not self._ending.is_set():
            try:
                self._reader.open()
                return
            except LogUnavailable as error:
                self.errors.append(str(error))
                time.sleep(0.1)

    def run(self) -> None:
        try:
            self._open()
            while not self._ending.is_set():
                try:
                    records = self._reader.poll(500, 0.2)
                except LogUnavailable as error:
                    self.errors.append(str(error))
                    time.sleep(0.1)
                    continue
                for record in records:
                    assert record.partition in self.owned
                    place = (self._reader.topic_id, record.partition, record.offset)
                    self._positions.read_again += place in self._positions.records
                    self._positions.records[place] = record
                    self._positions.next[place[:2]] = record.offset + 1
                self._reader.commit({record.partition: record.offset + 1 for record in records})
            self._reader.close()
        except BaseException as error:  # noqa: BLE001  (handed to the test)
            self.failed = error

    def stop(self) -> None:
        self._ending.set()
        self.join(PATIENCE)
        assert not self.is_alive()
        if self.failed is not None:
            raise self.failed


@contextmanager
def consuming(settings: KafkaSettings, count: int = 1) -> Iterator[tuple[Positions, list[Consuming]]]:
    positions, group = Positions(), f"group-{uuid.uuid4().hex}"
    readers = [Consuming(settings, positions, group) for _ in range(count)]
    for reader in readers:
        reader.start()
    try:
        yield positions, readers
    finally:
        for reader in readers:
            reader.stop()


async def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE, *seen: object) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}; {seen}"
        await asyncio.sleep(0.05)


def all_read(positions: Positions, load: Load) -> Callable[[], bool]:
    return lambda: set(load.acknowledged) <= {record.value for record in list(positions.records.values())}


async def test_one_of_three_brokers_killed_and_back_loses_nothing(kafka_cluster: KafkaCluster) -> None:
    settings = settings_for(kafka_cluster)
    with consuming(settings) as (positions, _):
        async with writing(settings) as writer:
            load = Load(writer)
            await load.grow(300)
            await asyncio.to_thread(kafka_cluster.kill, 2)
            await load.grow(300)
            await healthy(writer)
            await asyncio.to_thread(kafka_cluster.restart, 2)
            await load.grow(300)
            await load.end()
        await until(all_read(positions, load), "everything acknowledged to be read")
    assert load.failures == []
    assert len(positions.records) == len(load.acknowledged)
    assert positions.gaps == []


async def test_all_brokers_away_is_said_and_everything_goes_on_by_itself(kafka_cluster: KafkaCluster) -> None:
    settings = settings_for(kafka_cluster)
    with consuming(settings) as (positions, (reader,)):
        async with writing(settings, delivery_timeout=3.0) as writer:
            load = Load(writer)
            await load.grow(300)
            for node in kafka_cluster.nodes:
                kafka_cluster.kill(node)
            away = time.monotonic()
            await until(lambda: bool(load.failures), "an append to fail", 15)
            assert isinstance(load.failures[0], LogUncertain)
            while GONE not in (said := await writer.healthy() or ""):
                assert time.monotonic() - away < 20, said
                await asyncio.sleep(0.1)
            await until(lambda: bool(reader.errors), "the reader to say that Kafka is away", 20)
            # At first it may only know that no answer came: that connections are refused is reported later.
            await until(lambda: GONE in reader.errors[-1], "it to say that none can be reached", 20, reader)
            for node in kafka_cluster.nodes:
                kafka_cluster.restart(node, wait=False)
            await asyncio.to_thread(kafka_cluster.wait_until_whole)
            await load.grow(300)
            await load.end()
            await healthy(writer)
        await until(all_read(positions, load), "everything acknowledged to be read")
    assert positions.gaps == []


async def test_too_few_replicas_are_no_success(kafka_cluster: KafkaCluster) -> None:
    settings = settings_for(kafka_cluster)
    async with writing(settings, delivery_timeout=2.0) as writer:
        await writer.append(b"key", b"three replicas")
        for node in (2, 3):
            kafka_cluster.kill(node)
        results = await writer.append_many([(b"key-%d" % n, b"x") for n in range(20)])
        assert all(isinstance(result, LogError) for result in results)
        assert await writer.healthy() is not None


async def test_a_broker_that_hangs_makes_records_uncertain_and_the_spool_sends_them_again(
    kafka: KafkaCluster, tmp_path: Path
) -> None:
    settings = settings_for(kafka, partitions=2)
    spool = Spool(tmp_path / "spool.db")
    await spool.open()
    with consuming(settings) as (positions, (reader,)):
        async with writing(settings, delivery_timeout=2.0) as writer:
            await writer.append(b"key", b"before")
            kafka.pause(1)
            try:
                with pytest.raises(LogUncertain):
                    await writer.append(b"key", b"direct")
                await spool.append_many([(b"key", b"spooled %d" % n) for n in range(1000)])
                with pytest.raises(LogUncertain):
                    await spool.drain(writer)
                assert await writer.healthy() is not None
            finally:
                kafka.resume(1)
            assert (await spool.figures()).records == 1000
            draining = asyncio.create_task(spool.keep_draining(writer))
            end = time.monotonic() + PATIENCE
            while (await spool.figures()).records:
                assert time.monotonic() < end
                await asyncio.sleep(0.1)
            draining.cancel()
        wanted = {b"before"} | {b"spooled %d" % n for n in range(1000)}
        await until(
            lambda: wanted <= {record.value for record in list(positions.records.values())},
            "all spooled records",
            PATIENCE,
            reader,
        )
    await spool.close(5)


async def lose(proxy: KafkaProxy, told: int, works: Callable[[], Awaitable[bool]]) -> None:
    """Let clients be told `told` times that there are no brokers, until one does not get over it by itself.

    What loses them is to be told again when they have just begun anew.
    """

    async def tell() -> None:
        wanted, end = proxy.forgotten + told, time.monotonic() + 6
        # Who is lost already asks no more.
        await until(lambda: proxy.forgotten >= wanted or time.monotonic() > end, "clients to be told")

    rounds = 6
    while rounds and await works():
        rounds -= 1
        proxy.forgetful.set()
        await tell()
        proxy.forgetful.clear()


async def test_readers_that_were_told_of_no_brokers_find_back(kafka: KafkaCluster) -> None:
    """As by a broker that hung, and is fenced for a moment: librdkafka alone may then stay away for good."""
    settings = settings_for(kafka, partitions=2)
    with KafkaProxy(kafka.bootstrap) as proxy, ExitStack() as stack:
        behind = replace(settings, brokers=proxy.bootstrap)
        async with writing(settings) as writer:
            reading = [stack.enter_context(consuming(behind)) for _ in range(6)]
            written: set[bytes | None] = set()

            async def works(seconds: float = 4.0) -> bool:
                written.add(value := b"%d" % len(written))
                await writer.append(value, value)
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    seen = [{each.value for each in list(found.records.values())} for found, _ in reading]
                    if all(written <= values for values in seen):
                        return True
                    await asyncio.sleep(0.05)
                return False

            assert await works(PATIENCE), reading
            await lose(proxy, 48, works)
            assert await works(PATIENCE), reading
    assert all(not positions.gaps and not positions.read_again for positions, _ in reading)


async def test_a_topic_made_again_is_another_topic(kafka: KafkaCluster) -> None:
    settings = settings_for(kafka, partitions=2)
    admin = kafka.admin()
    with consuming(settings) as (positions, (reader,)):
        async with writing(settings) as writer:
            for n in range(20):
                await writer.append(b"key-%d" % n, b"old %d" % n)
            await until(lambda: len(positions.records) == 20, "the old records")
            await asyncio.to_thread(admin.delete_topics([settings.topic])[settings.topic].result, 10)
            await asyncio.sleep(0.5)
            again = NewTopic(settings.topic, num_partitions=2, replication_factor=1)
            await asyncio.to_thread(admin.create_topics([again])[settings.topic].result, 10)
        async with writing(settings) as writer:
            # More than before, so that the old offsets exist in the new topic too.
            appended = {b"new %d" % n: await writer.append(b"key-%d" % n, b"new %d" % n) for n in range(60)}
        await until(lambda: len(set(reader.topics)) == 2, "the new topic id to be noticed")
        new_id = describe_topic(settings).topic_id
        assert reader.topics[-1] == new_id

        def read_new() -> set[bytes | None]:
            return {record.value for place, record in list(positions.records.items()) if place[0] == new_id}

        await until(lambda: set(appended) <= read_new(), "all new records under the new id")
    assert {b"old %d" % n for n in range(20)} == {
        record.value
        for place, record in positions.records.items()
        if place[0] != new_id and b"old" in (record.value or b"")
    }


async def test_partitions_doubled_under_load_lose_nothing(kafka: KafkaCluster) -> None:
    settings = settings_for(kafka, partitions=3)
    admin = kafka.admin()
    with consuming(settings) as (positions, (reader,)):
        async with writing(settings) as writer:
            load = Load(writer)
            await load.grow(300)
            doubled = admin.create_partitions([NewPartitions(settings.topic, 6)])
            await asyncio.to_thread(doubled[settings.topic].result, 10)
            await until(lambda: reader.owned == set(range(6)), "the new partitions to be owned")
            await until(
                lambda: {place.partition for place in load.acknowledged.values()} == set(range(6)),
                "records in the new partitions",
            )
            await load.end()
        await until(all_read(positions, load), "everything acknowledged to be read")
    assert load.failures == []
    assert len(positions.records) == len(load.acknowledged)


async def test_a_group_shares_the_partitions_and_takes_over(kafka: KafkaCluster) -> None:
    settings = settings_for(kafka)
    async with writing(settings) as writer:
        load = Load(writer)
        with consuming(settings, count=3) as (positions, readers):
            await until(
                lambda: (
                    sorted(p for reader in readers for p in reader.owned) == list(range(6))
                    and all(len(reader.owned) == 2 for reader in readers)
                ),
                "two partitions for each",
                PATIENCE,
                readers,
            )
            await load.grow(300)
            readers[0].stop()
            assert readers[0].owned == set()
            await until(
                lambda: all(len(reader.owned) == 3 for reader in readers[1:]),
                "a take-over",
                PATIENCE,
                readers,
            )
            await load.grow(300)
            await load.end()
            await until(all_read(positions, load), "everything acknowledged to be read", PATIENCE, readers)
    assert {place: record.value for place, record in positions.records.items()} == {
        (readers[1].topics[-1], *appended): value for value, appended in load.acknowledged.items()
    }
    assert positions.gaps == []


async def test_offsets_that_did_not_come_are_asked_for_again(kafka: KafkaCluster) -> None:
    """Whatever the client passes over; an offset that is no record's does not hold reading up."""
    settings = settings_for(kafka, partitions=1)
    reader = KafkaReader(settings, group=f"group-{settings.topic}")
    reader.on_assigned = lambda _, partitions: dict.fromkeys(partitions, 0)
    reader.open()
    async with writing(settings) as writer:
        for n in range(5):
            await writer.append(b"key", b"%d" % n)
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": settings.topic})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(settings.topic, b"5", b"key")
        producer.commit_transaction(30)
        await until(lambda: reader.watermarks(0).high == 7, "the transaction's end, which is an offset too")
        await writer.append(b"key", b"6")
    try:
        read: list[LogRecord] = []
        end = time.monotonic() + PATIENCE
        passed_over = False
        while len(read) < 7:
            assert time.monotonic() < end, read
            records = reader.poll(2, 0.5)
            read += records
            if len(read) == 2 and not passed_over:
                passed_over = True
                # Behind the reader's back, as a client would that lost some.
                reader._opened().seek(TopicPartition(settings.topic, 0, 4))
    finally:
        reader.close()
    assert [(record.offset, record.value) for record in read] == [
        (offset, b"%d" % n) for n, offset in enumerate((0, 1, 2, 3, 4, 5, 7))
    ]


async def test_a_topic_that_exists_is_left_as_it_is(kafka: KafkaCluster) -> None:
    settings = settings_for(kafka, partitions=6)
    admin = kafka.admin()
    existing = NewTopic(
        settings.topic, num_partitions=2, replication_factor=1, config={"retention.ms": "1234567"}
    )
    await asyncio.to_thread(admin.create_topics([existing])[settings.topic].result, 10)
    async with writing(settings) as writer:
        await writer.append(b"key", b"value")
    topic = describe_topic(settings)
    assert (topic.partitions, topic.retention_ms, topic.replication) == (2, 1234567, 1)


async def test_a_key_goes_where_java_clients_put_it(kafka: KafkaCluster) -> None:
    settings = settings_for(kafka)
    async with writing(settings) as writer:
        places = [
            (await writer.append(key, b"x")).partition
            for key in (b"21", b"foobar", b"a-little-bit-long-string")
        ]
    # Kafka's own test of its murmur2: these keys hash to -973932308, -790332482 and -985981536.
    hashes = (-973932308, -790332482, -985981536)
    assert places == [(value & 0x7FFFFFFF) % 6 for value in hashes]


async def test_a_position_past_the_end_is_a_gap(kafka: KafkaCluster) -> None:
    settings = settings_for(kafka, partitions=1)
    async with writing(settings) as writer:
        for n in range(5):
            await writer.append(b"key", b"%d" % n)
    with consuming(settings) as (positions, (reader,)):
        await until(lambda: len(positions.records) == 5, "the first reading")
        topic_id = reader.topics[0]
    positions.next[topic_id, 0] = 99
    again = Consuming(settings, positions, f"group-{uuid.uuid4().hex}")
    again.start()
    await until(lambda: positions.gaps == [(0, 99, 0)] and positions.read_again == 5, "the gap")
    again.stop()


async def test_records_deleted_while_they_are_waited_for_are_a_gap(kafka: KafkaCluster) -> None:
    settings = settings_for(kafka, partitions=1)
    admin = kafka.admin()
    reader = KafkaReader(settings, group=f"group-{uuid.uuid4().hex}", refresh_seconds=1)
    gaps: list[tuple[int, int, int]] = []
    reader.on_gap = lambda *gap: gaps.append(gap)
    async with writing(settings) as writer:
        for n in range(10):
            await writer.append(b"key", b"%d" % n)
        reader.open()
        records: list[LogRecord] = []
        while len(records) < 10:
            records += await asyncio.to_thread(reader.poll, 100, 1.0)
        deletion = admin.delete_records([TopicPartition(settings.topic, 0, 8)])
        for future in deletion.values():
            await asyncio.to_thread(future.result, 10)
        reader.seek(0, 3)
        again: list[LogRecord] = []
        while len(again) < 2:
            again += await asyncio.to_thread(reader.poll, 100, 1.0)
    reader.close()
    assert [record.offset for record in again] == [8, 9]
    assert gaps == [(0, 3, 8)]


@pytest.mark.soak
def test_whoever_joins_while_the_only_broker_hangs_reads_soon_after(kafka: KafkaCluster) -> None:
    """A broker that hung is fenced for a moment, and tells clients that there are no brokers at all."""
    readers = []
    try:
        for _ in range(24):
            settings = settings_for(kafka)
            readers.append(Consuming(settings, Positions(), f"group-{settings.topic}"))
            readers[-1].start()
            time.sleep(0.05)
        kafka.pause(1)
        try:
            time.sleep(10.0)
        finally:
            kafka.resume(1)
        end = time.monotonic() + PATIENCE
        while not all(reader.owned for reader in readers):
            assert time.monotonic() < end, f"joined while the broker hung and does not read: {readers}"
            time.sleep(0.1)
    finally:
        for reader in readers:
            reader.stop()
