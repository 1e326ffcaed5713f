"""A certificate of the server's own for HTTPS, which browsers warn about once, and its fingerprint."""

import datetime
import os
import ssl
import tempfile
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

import platformdirs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from livestyle.errors import OutputError

VALID_DAYS = 397  # browsers refuse certificates that are valid for longer
RENEWED_DAYS = 30  # before the end


def certificate_path() -> Path:
    """The file of the server's certificate and its private key, in the user's data folder."""
    return platformdirs.user_data_path("livestyle") / "serve.pem"


def own_certificate(path: Path, names: Iterable[str]) -> str:
    """Make a self-signed certificate for these names and IP addresses, unless the file has one already. Returns its fingerprint.

    A certificate is used again, so that browsers which have accepted it do not warn again.

    Raises OutputError if the file cannot be written.
    """
    wanted = {_general_name(name) for name in names}
    certificate = _read(path)
    if certificate is None or not _fits(certificate, wanted):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _make(key, wanted)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write_private(path, private + certificate.public_bytes(serialization.Encoding.PEM))
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _read(path: Path) -> x509.Certificate | None:
    """The certificate in a file; None if it cannot be used, or if its private key is not there."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return None


def _fits(certificate: x509.Certificate, wanted: set[x509.GeneralName]) -> bool:
    try:
        names = set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return False
    remaining = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return wanted <= names and remaining > datetime.timedelta(days=RENEWED_DAYS)


def _make(key: ec.EllipticCurvePrivateKey, names: set[x509.GeneralName]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "livestyle serve")])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName(sorted(names, key=str)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read. It gets its name when it is complete."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=path.parent)  # mode 600
        try:
            with open(number, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as error:
        raise OutputError(
            f"cannot write the certificate {path}: {error.strerror}", advice="name one with --cert and --key"
        ) from error
