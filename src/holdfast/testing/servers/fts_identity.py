"""Who speaks to the FTS3 of the tests, and what they have delegated.

Rules
  * Whoever shows a certificate, or a proxy of one, is known by its subject
    without the names of proxies; his VO is made of that.
  * Of a token the claims are read: issuer, subject, audience, end. Its signature
    is not looked at, because nothing here is worth a lie.
  * A delegated proxy has to belong to the key that was made for it, to be signed
    by the certificate that follows it, and to carry its subject and one more
    common name. What is delegated outlives the service.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from holdfast.testing.servers.fts_jobs import shown
from holdfast.testing.servers.test_authority import new_key
from holdfast.testing.servers.test_user import PROXY_INFO

BASE_ID = uuid.UUID("01874efb-4735-4595-bc9c-591aef8240c9")
"""The name space of all VOs, the same at every FTS3."""

_SHORT = {
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COUNTRY_NAME: "C",
}


class NotValid(Exception):
    """Credentials that are no good."""


@dataclass(frozen=True)
class User:
    """Somebody."""

    dn: str
    method: str
    vo: str
    delegation_id: str
    token: str = ""

    def show(self) -> dict[str, Any]:
        """As ``/whoami`` shows it."""
        return {
            "user_dn": self.dn,
            "dn": [self.dn],
            "base_id": str(BASE_ID),
            "voms_cred": [],
            "vos": [self.vo],
            "vos_id": [str(vo_id(self.vo))],
            "roles": [],
            "level": {"transfer": "vo"},
            "delegation_id": self.delegation_id,
            "method": self.method,
            "is_root": False,
        }


def vo_id(vo: str) -> uuid.UUID:
    """The name space of a VO's jobs."""
    return uuid.uuid5(BASE_ID, vo)


def of_certificate(der: bytes) -> User:
    """Whose certificate, or proxy, this is."""
    certificate = x509.load_der_x509_certificate(der)
    names = list(certificate.subject)
    if any(each.oid == PROXY_INFO for each in certificate.extensions):
        while len(names) > 1 and names[-1].oid == NameOID.COMMON_NAME and str(names[-1].value).isdigit():
            names.pop()
    dn = "".join(f"/{_SHORT.get(each.oid, each.oid.dotted_string)}={each.value!s}" for each in names)
    return User(dn, "certificate", f"{dn.rsplit('=', 1)[-1]}@test", _short(dn))


def of_token(token: str, issuers: list[str]) -> User:
    """Whose token this is; NotValid."""
    claims = claims_of(token)
    if claims.get("iss") not in issuers or not isinstance(claims.get("sub"), str):
        raise NotValid("Invalid OAuth2 credentials")
    issuer, subject = str(claims["iss"]), str(claims["sub"])
    return User(subject, "oauth2", issuer.split("//")[-1].split(":")[0].strip("/"), _short(issuer + subject), token)


def claims_of(token: str) -> Mapping[str, Any]:
    """What a token says; NotValid if it is none, or has expired."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        raise NotValid("Failed to validate access-token") from None
    if not isinstance(claims, dict) or float(claims.get("exp", 0)) < time.time():
        raise NotValid("The token has expired")
    return claims


class Delegations:
    """What was delegated, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._keys: dict[str, tuple[rsa.RSAPrivateKey, bytes]] = {}

    def until_s(self, id: str) -> float | None:
        """When a delegated proxy ends; None if there is none."""
        path = self._folder / f"{id}.json"
        return float(json.loads(path.read_text())["until_s"]) if path.exists() else None

    def show(self, id: str) -> dict[str, Any] | None:
        """As ``/delegation/ID`` shows it."""
        until_s = self.until_s(id)
        return None if until_s is None else {"termination_time": shown(until_s), "voms_attrs": []}

    def forget(self, id: str) -> None:
        """It is gone."""
        (self._folder / f"{id}.json").unlink(missing_ok=True)

    def request(self, id: str) -> bytes:
        """What is to be signed, as PEM; the same until something was delegated."""
        if id not in self._keys:
            key = new_key()
            name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Dummy")])
            made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
            self._keys[id] = (key, made.public_bytes(serialization.Encoding.PEM))
        return self._keys[id][1]

    def take(self, id: str, pem: bytes) -> None:
        """Keep a proxy that was signed; NotValid."""
        if id not in self._keys:
            raise NotValid("No credential cache found")
        try:
            chain = x509.load_pem_x509_certificates(pem)
        except ValueError:
            chain = []
        if len(chain) < 2:
            raise NotValid("Could not process the proxy: Malformed proxy")
        proxy, issuer = chain[:2]
        if proxy.public_key() != self._keys[id][0].public_key():
            raise NotValid("Could not process the proxy: it does not match the stored private key")
        issuer_key = issuer.public_key()
        assert isinstance(issuer_key, rsa.RSAPublicKey)
        try:
            issuer_key.verify(proxy.signature, proxy.tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise NotValid("Could not process the proxy: Failed to verify the proxy") from None
        names = list(proxy.subject)
        if names[:-1] != list(issuer.subject) or proxy.issuer != issuer.subject or names[-1].oid != NameOID.COMMON_NAME:
            raise NotValid("Could not process the proxy: The subject and the issuer of the proxy do not match")
        row = {"until_s": proxy.not_valid_after_utc.timestamp(), "chain": pem.decode()}
        (self._folder / f"{id}.json").write_text(json.dumps(row))


def _short(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:16]
