"""The baseline's intake: one FastAPI route that awaits an idempotent, fully acknowledged produce."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request

from bench.baseline.event import Event, StoredEvent

TOPIC = os.environ.get("KAFKA_TOPIC", "baseline")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect to Kafka for as long as the application serves."""
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BROKER"], acks="all", enable_idempotence=True, linger_ms=1
    )
    await producer.start()
    app.state.producer = producer
    yield
    await producer.stop()


app = FastAPI(lifespan=lifespan)


@app.post("/api/analytics", status_code=201)
async def take(event: Event, request: Request) -> dict[str, Any]:
    """Store one event in the log."""
    agent = event.user_agent or request.headers.get("user-agent", "")
    address = request.client.host if request.client else ""
    visitor = hashlib.sha256(f"{agent}{address}{event.site}".encode()).hexdigest()
    stored = StoredEvent(**event.model_dump(exclude={"user_agent"}), user_agent=agent, visitor=visitor)
    placed = await app.state.producer.send_and_wait(
        TOPIC, stored.model_dump_json().encode(), key=(event.session_id or visitor).encode()
    )
    return {
        "status": "success",
        "message": "Event queued",
        "partition": placed.partition,
        "offset": placed.offset,
        "event_id": event.event_id,
    }


@app.get("/ready")
async def ready() -> dict[str, str]:
    """Answered once the producer is connected."""
    return {"status": "ready"}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False)
