"""The baseline's consumer: one INSERT an event, Kafka's offsets committed once a poll."""

from __future__ import annotations

import asyncio
import os

import asyncpg
from aiokafka import AIOKafkaConsumer

from bench.baseline.event import StoredEvent

TABLE = """
CREATE TABLE IF NOT EXISTS baseline_events (
    event_id uuid PRIMARY KEY,
    event_type text NOT NULL,
    page text NOT NULL,
    time timestamptz NOT NULL,
    site text NOT NULL,
    session_id text,
    user_agent text,
    screen_width int,
    screen_height int,
    referrer text,
    title text,
    duration_ms int,
    visitor text NOT NULL
);
CREATE INDEX IF NOT EXISTS baseline_events_by_site ON baseline_events (site, time);
"""

INSERT = (
    "INSERT INTO baseline_events VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "
    "ON CONFLICT DO NOTHING"
)


async def consume() -> None:
    """Store what the topic holds, until ended; the database is the one that PGHOST and its kin name."""
    connection = await asyncpg.connect()
    await connection.execute(TABLE)
    consumer = AIOKafkaConsumer(
        os.environ["KAFKA_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BROKER"],
        group_id="baseline",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        while True:
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                for message in messages:
                    await _insert(connection, StoredEvent.model_validate_json(message.value))
            await consumer.commit()
    finally:
        await consumer.stop()


async def _insert(connection: asyncpg.Connection, event: StoredEvent) -> None:
    await connection.execute(
        INSERT,
        event.event_id,
        event.event_type,
        event.page,
        event.timestamp,
        event.site,
        event.session_id,
        event.user_agent,
        event.screen_width,
        event.screen_height,
        event.referrer,
        event.title,
        event.duration_ms,
        event.visitor,
    )


if __name__ == "__main__":
    asyncio.run(consume())
