"""The consumer process, wired: its log, its database, its loop."""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import psycopg

from portfolio_analytics.app.log import kafka_settings, log_reader
from portfolio_analytics.app.log_ends import log_ends
from portfolio_analytics.app.probe import Probe, serving
from portfolio_analytics.app.sheet import sheet_path
from portfolio_analytics.app.supervisor import end_with_parent, stop_on_signals
from portfolio_analytics.consumer.batch import Batch
from portfolio_analytics.consumer.enrich.agent import parse_agent
from portfolio_analytics.consumer.figures import Figures
from portfolio_analytics.consumer.maintenance import Maintenance
from portfolio_analytics.consumer.worker import Worker
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.errors import SettingsError, StorageUnavailable
from portfolio_analytics.shared.metrics import CONSUMER, Sheet
from portfolio_analytics.shared.tracing import tracing
from portfolio_analytics.storage.database import connect, describe
from portfolio_analytics.storage.migrate import migrate, require_fit
from portfolio_analytics.storage.presence import announce

logger = logging.getLogger(__name__)

NO_DATABASE = (
    "DATABASE_URL: is needed here; `portfolio-analytics run` is the command that brings its own PostgreSQL"
)


def consume(settings: Settings) -> None:
    """Consume until SIGTERM or SIGINT. Raises TooManyBadRows when nothing but bad rows comes."""
    end_with_parent()
    url = database_url(settings)
    stop = threading.Event()
    stop_on_signals(stop)
    with ExitStack() as stack:
        figures = stack.enter_context(counted(settings, url))
        if not migrate_patiently(url, stop):
            return
        # The rules for user agents take a while to compile; the first event must not wait for that.
        parse_agent("Mozilla/5.0")
        worker = Worker(
            log_reader(settings),
            lambda: consumer_connection(url),
            owner=f"{socket.gethostname()}:{os.getpid()}",
            horizon_days=settings.retention_days,
            maintenance=Maintenance(
                retention_days=settings.retention_days, log_retention_days=settings.log_retention_days
            ),
            figures=figures,
            committed=stack.enter_context(traced()),
        )
        stop_on_signals(worker)
        if stop.is_set():
            return
        _collect_seldom()
        logger.info("Consuming from %s.", "Kafka" if settings.kafka_broker else "the journal")
        with dead_letters(settings, url):
            worker.run()
        done = worker.tally
        logger.info(
            "Stopped, with %d records counted, %d duplicate and %d rejected since the start.",
            done.counted,
            done.duplicate,
            done.rejected,
        )


@contextmanager
def counted(settings: Settings, url: str) -> Iterator[Figures]:
    """Figures on a metrics sheet, and the address that tells them where METRICS_PORT asks for one."""
    with sheet_path() as path, ExitStack() as stack:
        sheet = Sheet(path, CONSUMER)
        figures = Figures(sheet.row)
        if settings.metrics_port is not None:
            probe = Probe(figures, sheet, url, log_ends(settings))
            stack.enter_context(serving(settings.metrics_host, settings.metrics_port, probe.answer))
        yield figures
        figures.goes_on()


def dead_letters(settings: Settings, url: str) -> AbstractContextManager[None]:
    """What publishes bad rows while it is entered, where KAFKA_DEAD_LETTER_TOPIC asks for it."""
    topic = settings.kafka_dead_letter_topic
    if topic is None or not settings.kafka_broker:
        return nullcontext()
    # librdkafka is a few megabytes that a small server need not load.
    from portfolio_analytics.consumer.bad_rows.dead_letters import DeadLetters  # noqa: PLC0415
    from portfolio_analytics.shared.log.kafka_dead_letters import KafkaDeadLetters  # noqa: PLC0415

    return DeadLetters(
        KafkaDeadLetters(kafka_settings(settings), topic),
        lambda: connect(url, "portfolio-analytics dead letters"),
        settings.kafka_topic,
    )


@contextmanager
def traced() -> Iterator[Callable[[Batch, float], None] | None]:
    """What a worker calls with each committed batch, where OTEL_* asks for traces."""
    tracer = tracing("consumer", os.environ)
    if tracer is None:
        yield None
        return

    def committed(batch: Batch, seconds: float) -> None:
        for item in batch.items:
            if item.event.trace is not None:
                tracer.committed(item.event.trace, item.event.id, item.partition, item.offset, seconds)

    try:
        yield committed
    finally:
        tracer.close()


def _collect_seldom() -> None:
    """A batch is hundreds of thousands of objects that live until it is committed and then go by themselves:
    looking for cycles among them every few hundred took a tenth of the consumer's time, and found none.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def database_url(settings: Settings) -> str:
    """DATABASE_URL, which this command needs. Raises SettingsError."""
    if settings.database_url is None:
        raise SettingsError([NO_DATABASE])
    return settings.database_url.reveal()


def consumer_connection(url: str) -> psycopg.Connection[Any]:
    """A connection for the consumer's own use, by which others see that it is there."""
    connection = connect(url, "portfolio-analytics consumer")
    announce(connection)
    return connection


def migrate_patiently(url: str, stop: threading.Event) -> bool:
    """Bring the schema up to date, waiting for a database that is away, or for somebody who may do so.

    False when asked to stop. Raises SchemaTooNew.
    """
    while not stop.is_set():
        try:
            with connect(url) as connection:
                for name in migrate(connection):
                    logger.info("Migrated: %s.", name)
                require_fit(connection)
                return True
        except (StorageUnavailable, psycopg.OperationalError, psycopg.InternalError) as error:
            logger.warning("Waiting for the database: %s", error)
        except psycopg.errors.InsufficientPrivilege as error:
            logger.warning("Waiting for `portfolio-analytics migrate` by the owner: %s", describe(error))
        stop.wait(1.0)
    return False
