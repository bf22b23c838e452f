"""The event log that the settings name: how it is read, and where the intake writes."""

from __future__ import annotations

from portfolio_analytics.producer.outlet import Outlet
from portfolio_analytics.settings import Settings, journal_path
from portfolio_analytics.shared.log.journal import JournalReader, JournalWriter
from portfolio_analytics.shared.log.kafka_settings import KafkaSettings
from portfolio_analytics.shared.log.protocol import LogReader, LogWriter
from portfolio_analytics.shared.log.spool import Spool

JOURNAL_PATIENCE = 10.0
KAFKA_PATIENCE = 10.0
SPOOL_PATIENCE = 1.0
"""Seconds for the log's acknowledgement; fewer where a spool can take the event instead."""

SPOOL_NAME = "spool.sqlite"


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
        # librdkafka is a few megabytes that a small server need not load.
        from portfolio_analytics.shared.log.kafka import KafkaReader  # noqa: PLC0415

        return KafkaReader(kafka_settings(settings), group=settings.kafka_group)
    return JournalReader(journal_path(settings))


def log_outlet(settings: Settings) -> Outlet:
    """Kafka where KAFKA_BROKER is set, with the spool in SPOOL_DIR; else the journal in DATA_DIR."""
    journal = journal_path(settings)
    if not settings.kafka_broker:
        return Outlet(JournalWriter(journal), None)
    spool = None
    if settings.spool_dir is not None:
        spool = Spool(settings.spool_dir / SPOOL_NAME, max_bytes=settings.spool_max_bytes)
    leftovers = [Spool(journal)] if journal.exists() else []
    return Outlet(_kafka_writer(settings), spool, leftovers)


def _kafka_writer(settings: Settings) -> LogWriter:
    from portfolio_analytics.shared.log.kafka import KafkaWriter  # noqa: PLC0415

    return KafkaWriter(kafka_settings(settings), delivery_timeout=log_patience(settings))


def log_patience(settings: Settings) -> float:
    """Seconds for which the log's acknowledgement of an event is waited for."""
    if not settings.kafka_broker:
        return JOURNAL_PATIENCE
    return KAFKA_PATIENCE if settings.spool_dir is None else SPOOL_PATIENCE
