"""Proxies, and certificates with their key: until when they count, and whether key and certificate belong together.

Rules
  * The first certificate of the file is shown, by its key; the others are its
    chain. It counts as long as all of them do.
  * The attributes that a VOMS server has signed into a proxy end by themselves;
    a proxy does not count longer than they do.
  * The key has no password: there is nobody to ask for one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from holdfast.model.clock import SECOND_US
from holdfast.storage.access import voms as access_voms
from holdfast.storage.access.file import Credential

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_KEY = re.compile(rb"-----BEGIN ((?:\w+ )?PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


def parse(data: bytes) -> Credential[None]:
    """From when until when a PEM file counts; ValueError with the reason if it is none that can be used."""
    chain, key = _chain(data), _key(data)
    if not _same_key(chain[0], key):
        raise ValueError("key and certificate do not belong together")
    begins = [_us(each.not_valid_before_utc.timestamp()) for each in chain]
    ends = [_us(each.not_valid_after_utc.timestamp()) for each in chain]
    ends += [end for each in chain if (end := access_voms.end_us(each)) is not None]
    return Credential(None, max(begins), min(ends))


def _chain(data: bytes) -> list[x509.Certificate]:
    # cryptography takes 30 ms to load, which only sites with certificates should pay.
    from cryptography import x509

    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise ValueError("there is no certificate in it")
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ValueError("its certificates cannot be read") from None


def _key(data: bytes) -> PrivateKeyTypes:
    # As above.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    found = _KEY.search(data)
    if found is None:
        raise ValueError("there is no private key in it")
    if b"ENCRYPTED" in found.group():
        raise ValueError("its private key has a password; only one without can be used")
    try:
        return load_pem_private_key(found.group(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("its private key cannot be read") from None


def _same_key(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    # As above.
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def _us(at_s: float) -> int:
    return round(at_s * SECOND_US)
