"""TestUser: somebody whom the tests' own authority knows, with all that grid users show.

    user = TestUser(authority, "Alice")
    user.credentials(path)                     certificate and key in one file
    user.proxy(path, lifetime_s=3600)          an RFC 3820 proxy
    user.voms_proxy(path, "/cms/Role=production")    one with attributes that our host has signed

Rules
  * Every file has the mode 0600 and is put in its place whole, by a rename.
  * A lifetime may be negative: what is made then has expired already.
"""

from __future__ import annotations

import datetime as dates
import os
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.testing.servers.test_authority import DAY_S, TestAuthority, key_usage, name_of, new_key, pem, write_key

PROXY_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
# SEQUENCE { policy SEQUENCE { language id-ppl-inheritAll } }: whoever has the proxy may do all that the user may.
_INHERIT_ALL = bytes.fromhex("300c300a06082b06010505071501")
_BEFORE_S = 3600.0


class TestUser:
    """One user with a certificate."""

    __test__ = False  # pytest would take it for a test class.

    def __init__(self, authority: TestAuthority, name: str, *, lifetime_s: float = DAY_S) -> None:
        self._authority = authority
        self.dn = f"/DC=test/CN={name}"
        self.certificate, self.key = authority.issue(
            name_of((NameOID.COMMON_NAME, name)),
            [
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (key_usage(digital_signature=True, key_encipherment=True), True),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            ],
            lifetime_s=lifetime_s,
        )

    def credentials(self, path: Path) -> Path:
        """Certificate and key."""
        return put(path, pem(self.certificate) + key_text(self.key))

    def proxy(self, path: Path, *, lifetime_s: float = DAY_S / 2, key: rsa.RSAPrivateKey | None = None) -> Path:
        """A proxy with its key (or another, which does not belong to it) and the user's certificate."""
        own = new_key()
        now = dates.datetime.now(dates.UTC)
        begin = now + dates.timedelta(seconds=min(0.0, lifetime_s) - _BEFORE_S)
        number = x509.random_serial_number()
        subject = [*self.certificate.subject, x509.NameAttribute(NameOID.COMMON_NAME, str(number)[:12])]
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self.certificate.subject)
            .public_key(own.public_key())
            .serial_number(number)
            .not_valid_before(begin)
            .not_valid_after(now + dates.timedelta(seconds=lifetime_s))
            .add_extension(key_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.UnrecognizedExtension(PROXY_INFO, _INHERIT_ALL), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        return put(path, pem(made) + key_text(key or own) + pem(self.certificate))

    def voms_proxy(self, path: Path, attribute: str, *, hours: int = 12, attribute_hours: int | None = None) -> Path:
        """A proxy with an attribute such as ``/cms/Role=production``, made by ``voms-proxy-fake``."""
        folder = path.parent
        certificate, key, made = (folder / f".{path.name}.{part}" for part in ("certificate", "key", "new"))
        try:
            certificate.write_bytes(pem(self.certificate))
            write_key(key, self.key)
            command = ["voms-proxy-fake", "-quiet", "-rfc", "-bits", "2048", "-hours", str(hours)]
            command += ["-vomslife", str(hours if attribute_hours is None else attribute_hours)]
            command += ["-cert", str(certificate), "-key", str(key), "-certdir", str(self._authority.certs)]
            host = (self._authority.host_certificate, self._authority.host_key)
            command += ["-hostcert", str(host[0]), "-hostkey", str(host[1]), "-uri", "localhost:15000"]
            command += ["-voms", attribute.split("/")[1], "-fqan", attribute, "-out", str(made)]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                raise RuntimeError(f"voms-proxy-fake ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
            made.replace(path)
        finally:
            for each in (certificate, key, made):
                each.unlink(missing_ok=True)
        return path


def key_text(key: rsa.RSAPrivateKey) -> bytes:
    """A private key as text."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def put(path: Path, data: bytes, *, mode: int = 0o600) -> Path:
    """Replace a file whole."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(data)
    new.chmod(mode)
    new.replace(path)
    return path
