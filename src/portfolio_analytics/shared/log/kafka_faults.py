"""What Kafka's client reports, as one sentence for people."""

from __future__ import annotations

import socket
import ssl
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from portfolio_analytics.shared.errors import LogError, LogUnavailable, LogUncertain, RecordTooLarge
from portfolio_analytics.shared.log import kafka_codes
from portfolio_analytics.shared.log.kafka_settings import KafkaSettings

REMEMBERED_SECONDS = 20.0
SLICE_SECONDS = 0.4

Client = Producer | Consumer | AdminClient


def delivery_error(error: KafkaError) -> LogError:
    """What a failed delivery means. Unless it is certain that nothing was written, it is uncertain:
    after a timeout the broker may have the record though its answer did not come.
    """
    code = error.code()
    if code in kafka_codes.TOO_LARGE:
        return RecordTooLarge("the record is larger than Kafka takes")
    if code in kafka_codes.NOT_WRITTEN:
        return LogUnavailable(f"Kafka did not take the record: {error.str()}")
    return LogUncertain(f"Kafka did not confirm the record: {error.str()}")


class KafkaFaults:
    """Remembers what librdkafka reported last, to say why Kafka is away."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._reports: dict[int, tuple[float, str]] = {}
        self.fatal = False

    def note(self, error: KafkaError) -> None:
        """Take a report; the client's `error_cb`."""
        self.fatal = self.fatal or error.fatal()
        self._reports[error.code()] = (time.monotonic(), error.str())

    def forget(self) -> None:
        """Kafka has answered: what was reported before is over."""
        self._reports.clear()

    def reported(self, code: int) -> str | None:
        """The text of the last report of this kind, when it is recent."""
        when, text = self._reports.get(code, (float("-inf"), ""))
        return text if time.monotonic() - when < REMEMBERED_SECONDS else None

    @property
    def hopeless(self) -> bool:
        """Whether Kafka answered in a way that waiting does not change."""
        refused = self.reported(kafka_codes.AUTHENTICATION) or self.reported(kafka_codes.SSL)
        return refused is not None or self._tls_unknown

    @property
    def _tls_unknown(self) -> bool:
        said = self.reported(kafka_codes.TRANSPORT) or ""
        return self._settings.tls and "PLAINTEXT broker listener" in said

    def wait_for_brokers(self, client: Client, timeout: float, *, serve: bool = True) -> None:
        """Return as soon as a broker answers; raises KafkaException after `timeout` seconds, or at once
        when waiting is of no use. `serve`: take the client's reports here, since no one else does.
        """
        end = time.monotonic() + timeout
        while True:
            try:
                client.list_topics(timeout=min(SLICE_SECONDS, timeout))
                return
            except KafkaException:
                if serve:
                    client.poll(0)
                if self.hopeless or time.monotonic() >= end:
                    raise

    def sentence(self, error: KafkaException | None = None) -> str:
        """Why Kafka is away, most telling reason first; without secrets. May take up to 2 s under TLS."""
        brokers = self._settings.brokers
        if text := self.reported(kafka_codes.AUTHENTICATION):
            if "mechanism" in text and "nsupported" in text:
                return f"Kafka does not offer the SASL mechanism {self._settings.sasl_mechanism}"
            return f"Kafka refuses the user or the password ({self._settings.sasl_mechanism})"
        if self.reported(kafka_codes.SSL):
            return f"the TLS connection to Kafka fails: {examine_certificate(self._settings)}"
        if text := self.reported(kafka_codes.RESOLVE):
            return f"the name of a Kafka broker cannot be resolved: {brokers}"
        # What a broker that ends in the middle of a handshake looks like as well.
        if self._tls_unknown and is_listening(brokers):
            return f"Kafka does not speak TLS at {brokers}"
        if (
            self.reported(kafka_codes.TRANSPORT)
            or self.reported(kafka_codes.ALL_BROKERS_DOWN)
            or error is None
        ):
            return f"no Kafka broker can be reached at {brokers}"
        cause = error.args[0] if error.args and isinstance(error.args[0], KafkaError) else None
        if cause is None or cause.code() in kafka_codes.UNANSWERED:
            return f"Kafka does not answer at {brokers}"
        return f"Kafka cannot be used: {cause.str()}"


def is_listening(brokers: str, timeout: float = 2.0) -> bool:
    """Whether the first of the brokers (host:port, comma list) takes connections."""
    host, _, port = brokers.split(",", maxsplit=1)[0].strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=timeout).close()
    except (OSError, ValueError):
        return False
    return True


def examine_certificate(settings: KafkaSettings, timeout: float = 2.0) -> str:
    """What is wrong with the first broker's certificate; librdkafka itself only says that it failed."""
    host, _, port = settings.brokers.split(",")[0].strip().rpartition(":")
    context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=timeout) as connection,
            context.wrap_socket(connection, server_hostname=host.strip("[]")),
        ):
            return "another broker's certificate was refused"
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of {host}:{port} was refused ({error.verify_message})"
    except (OSError, ValueError) as error:
        return f"{host}:{port} does not complete the handshake ({type(error).__name__})"
