"""TestAuthority: a certificate authority of the tests' own, as a folder.

    certs/             the authority's certificate under both hashed names, with its signing policy
    bundle.pem         the same certificate, for clients that want one file
    host.pem hostkey.pem    what servers on this machine show

Rules
  * Keys are readable by their owner only; whoever runs a server as somebody
    else hands it a copy (``copy_host_credentials``).
  * Everything is valid for a day, from an hour ago: clocks of containers differ.
"""

from __future__ import annotations

import datetime as dates
import ipaddress
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST_NAMES = ("localhost",)
HOST_ADDRESSES = ("127.0.0.1", "::1")
DAY_S = 86_400.0

_POLICY = """access_id_CA X509 '{subject}'
pos_rights globus CA:sign
cond_subjects globus '"/DC=test/*"'
"""


def name_of(*components: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """A distinguished name below ``/DC=test``."""
    return x509.Name(
        [x509.NameAttribute(kind, text) for kind, text in ((NameOID.DOMAIN_COMPONENT, "test"), *components)]
    )


class TestAuthority:
    """The authority in ``folder``, which is made; its certificates are those of a site's whole world."""

    __test__ = False  # pytest would take it for a test class.

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certs = folder / "certs"
        self.certs.mkdir()
        self.bundle = folder / "bundle.pem"
        self.host_certificate = folder / "host.pem"
        self.host_key = folder / "hostkey.pem"
        self.name = name_of((NameOID.COMMON_NAME, "Test CA"))
        self._key = new_key()
        self._write_authority()
        self._write_host()

    def issue(
        self,
        subject: x509.Name,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        *,
        lifetime_s: float = DAY_S,
    ) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        """A certificate for ``subject`` with its new key; each extension says whether it is critical."""
        key = new_key()
        return self._signed(subject, key.public_key(), extensions, lifetime_s), key

    def write_lsc(self, folder: Path, vo: str) -> None:
        """Say, as a VOMS directory does, that our host may sign the attributes of ``vo``."""
        (folder / vo).mkdir(parents=True, exist_ok=True)
        (folder / vo / "localhost.lsc").write_text("/DC=test/CN=localhost\n/DC=test/CN=Test CA\n")

    def copy_host_credentials(self, folder: Path, *, uid: int, gid: int) -> tuple[Path, Path]:
        """Certificate and key of the host in ``folder``, owned by the user of a server."""
        for source, mode in ((self.host_certificate, 0o444), (self.host_key, 0o400)):
            target = folder / source.name
            target.unlink(missing_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(mode)
            if os.geteuid() == 0:
                os.chown(target, uid, gid)
        return folder / self.host_certificate.name, folder / self.host_key.name

    def _signed(
        self,
        subject: x509.Name,
        key: rsa.RSAPublicKey,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
        lifetime_s: float = DAY_S,
    ) -> x509.Certificate:
        now = dates.datetime.now(dates.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dates.timedelta(hours=1))
            .not_valid_after(now + dates.timedelta(seconds=lifetime_s))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())

    def _write_authority(self) -> None:
        certificate = self._signed(
            self.name,
            self._key.public_key(),
            [
                (x509.BasicConstraints(ca=True, path_length=None), True),
                (key_usage(key_cert_sign=True, crl_sign=True), True),
            ],
        )
        self.bundle.write_bytes(pem(certificate))
        for option in ("-subject_hash", "-subject_hash_old"):
            command = ["openssl", "x509", option, "-noout", "-in", str(self.bundle)]
            hashed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            (self.certs / f"{hashed}.0").write_bytes(pem(certificate))
            (self.certs / f"{hashed}.signing_policy").write_text(_POLICY.format(subject="/DC=test/CN=Test CA"))

    def _write_host(self) -> None:
        names = [x509.DNSName(name) for name in HOST_NAMES]
        addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in HOST_ADDRESSES]
        certificate, key = self.issue(
            name_of((NameOID.COMMON_NAME, "localhost")),
            [
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (key_usage(digital_signature=True, key_encipherment=True), True),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
                (x509.SubjectAlternativeName([*names, *addresses]), False),
            ],
        )
        self.host_certificate.write_bytes(pem(certificate))
        write_key(self.host_key, key)


def write_key(path: Path, key: rsa.RSAPrivateKey) -> None:
    """Keep a private key for its owner's eyes, without a password."""
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.write_bytes(text)
    path.chmod(0o400)


def new_key() -> rsa.RSAPrivateKey:
    """A private key."""
    # Grid security in XRootD 5 knows no elliptic curves.
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    """What the key of a certificate may do."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_encipherment=key_encipherment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
