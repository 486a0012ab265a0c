"""When the attributes end that VOMS servers have signed into a proxy.

A proxy carries attribute certificates (RFC 5755) in an extension of its own;
storages go by them, not by the proxy, in what they let us do. No library of
ours reads them, and all that is wanted here is one moment:

    extension   SEQUENCE OF SEQUENCE OF AttributeCertificate
    AttributeCertificate    SEQUENCE { info, signature algorithm, signature }
    info        SEQUENCE { ..., validity SEQUENCE { GeneralizedTime, GeneralizedTime }, ... }

Rules
  * Nothing is verified: that is the business of the storage.
  * What cannot be read has no end; the storage will say what it thinks of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from holdfast.model.clock import SECOND_US

if TYPE_CHECKING:
    from cryptography import x509

EXTENSION = "1.3.6.1.4.1.8005.100.100.5"

_SEQUENCE = 0x30
_TIME = 0x18
_FORM = "%Y%m%d%H%M%SZ"


def end_us(certificate: x509.Certificate) -> int | None:
    """The first end of the attributes in a certificate; None where there are none."""
    # cryptography is loaded already where there is a certificate.
    from cryptography.x509 import ExtensionNotFound, ObjectIdentifier, UnrecognizedExtension

    try:
        found = certificate.extensions.get_extension_for_oid(ObjectIdentifier(EXTENSION)).value
    except (ExtensionNotFound, ValueError):
        return None
    if not isinstance(found, UnrecognizedExtension):
        return None
    try:
        return min(_ends(found.value), default=None)
    except (ValueError, IndexError):
        return None


def _ends(extension: bytes) -> Iterator[int]:
    for lists in _children(extension):
        for attributes in _children(lists[1]):
            for certificate in _children(attributes[1]):
                info, *_ = _children(certificate[1])
                yield from (_moment_us(times[1][1]) for times in map(_times, _children(info[1])) if len(times) == 2)


def _times(element: tuple[int, bytes]) -> list[tuple[int, bytes]]:
    """The two moments, if this element is a validity."""
    tag, content = element
    times = list(_children(content)) if tag == _SEQUENCE else []
    return times if all(tag == _TIME for tag, _ in times) else []


def _moment_us(content: bytes) -> int:
    return round(datetime.strptime(content.decode("ascii"), _FORM).replace(tzinfo=UTC).timestamp()) * SECOND_US


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER element of ``data``; ValueError or IndexError if it is not DER."""
    position = 0
    while position < len(data):
        tag, size, start = data[position], data[position + 1], position + 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[position + 2 : start], "big")
        if start + size > len(data):
            raise ValueError("breaks off")
        yield tag, data[start : start + size]
        position = start + size
