"""One certificate authority per cluster, and the leaf certificates that it signs.

Invariant: a pair on disk is complete (key first, certificate last, each by rename) and is reused only while subject
and addresses are those asked for. Keys are ECDSA P-256 and readable by their owner alone.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VALID = dt.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs for one cluster; its own pair and all that it issues lie in one folder."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The certificate to trust."""
        return self.own.certificate

    @property
    def own(self) -> Pair:
        """The authority's own pair, made at first use."""
        pair = self._pair("ca")
        if not pair.certificate.exists():
            self._make(pair, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cardpool-cluster")]), None, None)
        return pair

    def client(self, user: str, groups: tuple[str, ...] = ()) -> Pair:
        """A client certificate for the user name and groups, as Kubernetes reads them (CN and O)."""
        label = user.replace(":", "_").replace("/", "_")
        return self._leaf(f"client-{label}", user, groups, (), ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self, label: str, common_name: str, hosts: Iterable[str], groups: tuple[str, ...] = ()) -> Pair:
        """A server certificate for the host names and IP addresses; issued again when they change."""
        return self._leaf(f"server-{label}", common_name, groups, tuple(hosts), ExtendedKeyUsageOID.SERVER_AUTH)

    def signing_key(self, label: str) -> Pair:
        """A bare key pair (`certificate` is the public key), as service-account tokens need it."""
        pair = self._pair(label)
        if not pair.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            _write(pair.key, _private(key))
            public = key.public_key()
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            _write(pair.certificate, public.public_bytes(serialization.Encoding.PEM, form))
        return pair

    def _leaf(
        self, label: str, name: str, groups: tuple[str, ...], hosts: tuple[str, ...], usage: x509.ObjectIdentifier
    ) -> Pair:
        pair = self._pair(label)
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
            + [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        if not (pair.certificate.exists() and _fits(pair.certificate, subject, hosts)):
            self._make(pair, subject, hosts, usage)
        return pair

    def _make(
        self, pair: Pair, subject: x509.Name, hosts: tuple[str, ...] | None, usage: x509.ObjectIdentifier | None
    ) -> None:
        """Sign a certificate: a leaf, or without usage the authority itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + VALID)
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
            .add_extension(_key_usage(authority=usage is None), critical=True)
        )
        issuer, signer = subject, key
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            issuer_pair = self.own
            issuer = x509.load_pem_x509_certificate(issuer_pair.certificate.read_bytes()).subject
            loaded = serialization.load_pem_private_key(issuer_pair.key.read_bytes(), password=None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            signer = loaded
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        signed = builder.issuer_name(issuer).sign(signer, hashes.SHA256())
        _write(pair.key, _private(key))
        _write(pair.certificate, signed.public_bytes(serialization.Encoding.PEM))

    def _pair(self, label: str) -> Pair:
        return Pair(self.folder / f"{label}.crt", self.folder / f"{label}.key")


def _fits(certificate: Path, subject: x509.Name, hosts: tuple[str, ...]) -> bool:
    present = x509.load_pem_x509_certificate(certificate.read_bytes())
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=30)
    if present.subject != subject or present.not_valid_after_utc < soon:
        return False
    try:
        names = list(present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    return names == [_host(host) for host in hosts]


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    partial.replace(target)
