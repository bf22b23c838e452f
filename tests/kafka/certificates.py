"""The certificates of a test cluster: an authority, and server certificates good and bad."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
BAD = ("expired", "wrong_host", "other_ca")


class Authority:
    """A certificate authority that lives for one test run; its certificate is in `file`."""

    def __init__(self, directory: Path, name: str) -> None:
        self.file = directory / f"{name}.pem"
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._certificate = certificate
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, *, host: str = "localhost", address: str | None = "127.0.0.1", ends_in: timedelta
    ) -> Path:
        """A file with a key and a certificate for `host` and `address`, valid until `ends_in` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if address is not None:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + ends_in)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._directory / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
            + self._certificate.public_bytes(serialization.Encoding.PEM)
        )
        return file


def make_certificates(directory: Path) -> dict[str, Path]:
    """Files by name: `ca`, `good`, and one a bad kind (BAD), each key and certificate together."""
    authority, stranger = Authority(directory, "ca"), Authority(directory, "stranger")
    return {
        "ca": authority.file,
        "good": authority.issue("good", ends_in=10 * DAY),
        "expired": authority.issue("expired", ends_in=-DAY),
        "wrong_host": authority.issue("wrong_host", host="kafka.example", address=None, ends_in=10 * DAY),
        "other_ca": stranger.issue("other_ca", ends_in=10 * DAY),
    }
