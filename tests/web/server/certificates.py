"""Certificates of people, by an authority of the tests' own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM
DAY = timedelta(days=1)


def mail(text: str) -> x509.RFC822Name:
    """A mail address, whatever its letters."""
    return x509.RFC822Name._init_without_validation(text)


def _named(common: str, address: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    return x509.Name([*parts, *([x509.NameAttribute(NameOID.EMAIL_ADDRESS, address)] if address else [])])


@dataclass
class Authority:
    """Who makes certificates; its files are in folder."""

    folder: Path
    name: str = "people"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    revoked: list[int] = field(default_factory=list)

    @property
    def issuer(self) -> x509.Name:
        """The name that it signs with."""
        return _named("people")  # another authority may call itself the same

    def begin(self) -> Path:
        """Write its own certificate."""
        made = self._builder(self.issuer, self.key.public_key(), -1)
        made = made.add_extension(x509.BasicConstraints(True, None), True)
        file = self.folder / f"{self.name}.pem"
        file.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(PEM))
        return file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, ended: int
    ) -> x509.CertificateBuilder:
        now = datetime.utcnow()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 9 * DAY)
            .not_valid_after(now - ended * DAY)
        )

    def give(
        self,
        name: str,
        *addresses: str,
        subject: str = "",
        ended: int = -1,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
        withdrawn: bool = False,
    ) -> Path:
        """A certificate and its key, in a file.  ended: days ago.  subject: an address there."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(_named(name, subject), key.public_key(), ended)
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), False)
        if addresses:
            made = made.add_extension(x509.SubjectAlternativeName(map(mail, addresses)), False)
        signed = made.sign(self.key, hashes.SHA256())
        if withdrawn:
            self.revoked.append(signed.serial_number)
        file = self.folder / f"{name}.pem"
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(signed.public_bytes(PEM) + private)
        return file

    def withdraw(self) -> Path:
        """Write the list of those that count no more."""
        now = datetime.utcnow()
        made = x509.CertificateRevocationListBuilder().issuer_name(self.issuer)
        made = made.last_update(now - DAY).next_update(now + DAY)
        for number in self.revoked:
            one = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - DAY)
            made = made.add_revoked_certificate(one.build())
        file = self.folder / f"{self.name}.crl"
        file.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(PEM))
        return file
