"""The deployment's own certificate authority, and the broker's certificate that it signs.

Keys are P-256 (small enough for a microcontroller's handshake), signatures SHA-256. The CA may sign servers
only one level below itself, and its key leaves the host's folder for nobody.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qytet.errors import InputError

__all__ = ["Pair", "Summary", "authority", "fits", "host_names", "server", "signed_by", "summary"]

AUTHORITY_LIFE = dt.timedelta(days=3650)  # devices in the field carry it in their firmware's settings
SERVER_LIFE = dt.timedelta(days=397)  # a year and a month: renewed yearly with time to spare
_BEFORE = dt.timedelta(hours=1)  # a device's clock may be a little behind ours


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Summary:
    """What a certificate says: names and addresses that it is good for, and until when (UTC)."""

    hosts: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime


def authority(name: str = "Qytet deployment authority") -> Pair:
    """A new self-signed CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, subject, key, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _pair(builder.sign(key, hashes.SHA256()), key)


def server(ca: Pair, hosts: Sequence[str]) -> Pair:
    """A certificate for a server that is reached under `hosts` (DNS names and IP addresses)."""
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    ca_key = serialization.load_pem_private_key(ca.key, password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise InputError(
            "The CA's key is not an elliptic-curve key.", do="Make a new CA: --rotate authority."
        )
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        _builder(_name(hosts[0]), issuer.subject, key, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
    )
    return _pair(builder.sign(ca_key, hashes.SHA256()), key)


def host_names(hosts: Sequence[str]) -> list[str]:
    """The hosts without repetition, checked. Raises InputError for what is no name and no address."""
    for host in hosts:
        _general_name(host)
    return list(dict.fromkeys(hosts))


def summary(certificate: bytes) -> Summary:
    """Read a PEM certificate. Raises InputError if it is none."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = None
    except ValueError as error:
        raise InputError("This is not a PEM certificate.", why=str(error)) from error
    hosts = () if names is None else tuple(str(name.value) for name in names)
    return Summary(hosts, parsed.not_valid_before_utc, parsed.not_valid_after_utc)


def signed_by(certificate: bytes, ca: bytes) -> bool:
    """Whether the CA's key signed the certificate."""
    try:
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(
            x509.load_pem_x509_certificate(ca)
        )
    except Exception:  # noqa: BLE001  cryptography raises InvalidSignature, ValueError or TypeError
        return False
    return True


def fits(key: bytes, certificate: bytes) -> bool:
    """Whether the private key is that of the certificate; False for what is neither."""
    try:
        private = serialization.load_pem_private_key(key, password=None)
        return private.public_key() == x509.load_pem_x509_certificate(certificate).public_key()
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.split(".")
    plain = all(label and label.isascii() and label.replace("-", "").isalnum() for label in labels)
    if len(host) > 253 or not plain or any(len(label) > 63 for label in labels):
        raise InputError(
            f"{host!r} is neither a host name nor an address.",
            do="Give the name that devices connect to, such as mqtt.tirana.example, without port or scheme.",
        )
    return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])  # X.520: at most 64 characters


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), private)
