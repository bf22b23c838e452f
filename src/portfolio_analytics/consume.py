"""The consumer process, wired: its log, its database, its loop."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

import psycopg

from portfolio_analytics.consumer.enrich.agent import parse_agent
from portfolio_analytics.consumer.maintenance import Maintenance
from portfolio_analytics.consumer.worker import Worker
from portfolio_analytics.settings import Settings, journal_path
from portfolio_analytics.shared.errors import SettingsError, StorageUnavailable
from portfolio_analytics.shared.log.journal import JournalReader
from portfolio_analytics.shared.log.kafka import KafkaReader, KafkaSettings
from portfolio_analytics.shared.log.protocol import LogReader
from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.migrate import migrate
from portfolio_analytics.supervisor import end_with_parent, stop_on_signals

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
    )
    stop_on_signals(worker)
    if stop.is_set():
        return
    logger.info("Consuming from %s.", "Kafka" if settings.kafka_broker else "the journal")
    worker.run()
    logger.info("Stopped: %s.", worker.tally)


def database_url(settings: Settings) -> str:
    """DATABASE_URL, which this command needs. Raises SettingsError."""
    if settings.database_url is None:
        raise SettingsError([NO_DATABASE])
    return settings.database_url.reveal()


def kafka_settings(settings: Settings) -> KafkaSettings:
    """What the Kafka adapter needs of the settings."""
    return KafkaSettings(
        brokers=",".join(settings.kafka_broker),
        user=settings.kafka_user,
        password=settings.kafka_password.reveal() if settings.kafka_password else None,
        topic=settings.kafka_topic,
        partitions=settings.kafka_partitions,
        security=settings.kafka_security,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        ca_file=settings.kafka_ca_file,
        retention_days=settings.log_retention_days,
    )


def log_reader(settings: Settings) -> LogReader:
    """Kafka where KAFKA_BROKER is set, else the journal in DATA_DIR."""
    if settings.kafka_broker:
        return KafkaReader(kafka_settings(settings), group=settings.kafka_group)
    return JournalReader(journal_path(settings))


def consumer_connection(url: str) -> psycopg.Connection[Any]:
    """A connection for the consumer's own use."""
    return connect(url, "portfolio-analytics consumer")


def migrate_patiently(url: str, stop: threading.Event) -> bool:
    """Bring the schema up to date, waiting for a database that is away; False when asked to stop."""
    while not stop.is_set():
        try:
            with connect(url) as connection:
                for name in migrate(connection):
                    logger.info("Migrated: %s.", name)
                return True
        except (StorageUnavailable, psycopg.OperationalError, psycopg.InternalError) as error:
            logger.warning("Waiting for the database: %s", error)
            stop.wait(1.0)
    return False
