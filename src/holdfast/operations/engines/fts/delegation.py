"""Delegation: a proxy of ours at FTS3, by which it acts for us at the storages.

The service makes a key and asks us to sign its certificate; what we sign is a
proxy of RFC 3820 that may do all that we may.

Rules
  * Our own key never leaves this machine.
  * A proxy counts no longer than any certificate of its chain.
  * What is delegated is renewed when it has less than RENEWED_S to go, as long
    as there are jobs; the service refuses new ones in the last hour.
  * Whoever shows a token delegates nothing.
"""

from __future__ import annotations

import datetime as dates
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.errors import OperatorError
from holdfast.operations.engine import EngineDown
from holdfast.operations.engines.fts.api import FtsApi
from holdfast.operations.engines.fts.replies import BadReply, Identity
from holdfast.storage.access import Access

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

RENEWED_S = 2 * 3600.0
LOOKED_S = 300.0
"""After how long it is looked again whether what was delegated is still there."""

_BEGINS_S = 300
"""Clocks differ."""
_KEY = re.compile(rb"-----BEGIN ((?:\w+ )?PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_PROXY_INFO = "1.3.6.1.5.5.7.1.14"
# SEQUENCE { SEQUENCE { language: id-ppl-inheritAll } }, RFC 3820 section 3.8.
_INHERIT_ALL = bytes.fromhex("300c300a06082b06010505071501")


class Delegation:
    """Keeps a proxy of ours at the service."""

    def __init__(self, api: FtsApi, access: Access, lifetime_s: float, clock: Clock) -> None:
        self._api = api
        self._access = access
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._good_until_us = 0
        """Until when nobody has to look again."""

    async def keep(self, identity: Identity, *, anew: bool = False) -> None:
        """See to it that there is one; with ``anew`` whatever the service says. EngineDown if it cannot be."""
        if identity.method != "certificate" or (self._clock() < self._good_until_us and not anew):
            return
        proxy = await self._proxy()
        if proxy is None:
            return
        now_us = self._clock()
        until_us = 0 if anew else _moment_us(await self._api.delegated(identity.delegation_id))
        if until_us < now_us + RENEWED_S * SECOND_US:
            request = await self._api.proxy_request(identity.delegation_id)
            chain = signed(request, _read(proxy), now_us=now_us, lifetime_s=self._lifetime_s)
            await self._api.give_proxy(identity.delegation_id, chain)
        self._good_until_us = now_us + round(LOOKED_S * SECOND_US)

    async def _proxy(self) -> Path | None:
        try:
            return await self._access.proxy()
        except OperatorError as error:
            message = f"there is nothing to delegate to FTS: {error.message}"
            raise EngineDown(message, place=error.place, hint=error.hint) from error


def signed(request: bytes, credential: bytes, *, now_us: int, lifetime_s: float) -> bytes:
    """The certificate that ``request`` asks for, and the chain that proves it; all PEM.

    ``credential`` is a proxy, or a certificate, with its key and chain. BadReply for a request that is none.
    """
    # cryptography takes 30 ms to load, which only services with proxies should pay.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import NameOID, ObjectIdentifier

    try:
        asked = x509.load_pem_x509_csr(request)
        is_signed = asked.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise BadReply("FTS sends no request for a certificate that could be signed") from None
    if not is_signed:
        raise BadReply("FTS asks for a certificate of a key that it does not have")
    chain = x509.load_pem_x509_certificates(credential)
    issuer = chain[0]
    number = secrets.randbelow(1 << 63) + 1
    now = dates.datetime.fromtimestamp(now_us // SECOND_US, dates.UTC)
    begin = max([now - dates.timedelta(seconds=_BEGINS_S), *(each.not_valid_before_utc for each in chain)])
    end = min([now + dates.timedelta(seconds=lifetime_s), *(each.not_valid_after_utc for each in chain)])
    common_name = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, str(number))])
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*issuer.subject.rdns, common_name]))
        .issuer_name(issuer.subject)
        .public_key(asked.public_key())
        .serial_number(number)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.UnrecognizedExtension(ObjectIdentifier(_PROXY_INFO), _INHERIT_ALL), critical=True)
        .sign(_key_of(credential), hashes.SHA256())
    )
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (made, *chain))


def _usage() -> x509.KeyUsage:
    from cryptography import x509  # As above.

    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_of(credential: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    # As above.
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    found = _KEY.search(credential)
    key = load_pem_private_key(found.group(), password=None) if found else None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise EngineDown("FTS can be delegated nothing: our proxy has no key that signs certificates")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineDown(f"cannot be read: {error.strerror}", place=str(path)) from error


def _moment_us(text: str) -> int:
    """A moment as the service writes it, UTC; 0 if it says none."""
    if not text:
        return 0
    try:
        found = dates.datetime.fromisoformat(text)
    except ValueError:
        raise BadReply("FTS does not say until when our proxy counts") from None
    return round(found.replace(tzinfo=found.tzinfo or dates.UTC).timestamp() * SECOND_US)
