"""What a WebDAV server's refusal, or its silence, means in our family of errors.

Rules
  * Statuses decide, never texts: what servers write beside them repeats paths
    with whatever was appended, tokens among it, and is shown to nobody.
  * What will not go away by asking again is no PeerError.
  * Servers use 409, 412 and 500 for whatever they like; here they mean what
    the standard says, and whoever called looks before it believes that.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from http import HTTPStatus

import aiohttp

from holdfast.model.errors import BadInput, HoldfastError, InvalidName, OperatorError, PeerError
from holdfast.storage.driver import AlreadyThere, NoSpace, NotAllowed, NotThere, Unsupported

RETRY_AFTER_S_MAX = 3600.0


class Busy(PeerError):
    """The storage asks us to come back later; ``retry_after_s`` is when it said, or None."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, place: str = "", hint: str = "") -> None:
        super().__init__(message, place=place, hint=hint)
        self.retry_after_s = retry_after_s


class Disconnected(PeerError):
    """The connection ended before anything was answered: what was asked may have been done or not."""


_FAMILY: dict[int, type[HoldfastError]] = {
    400: BadInput,
    401: NotAllowed,
    402: NotAllowed,
    403: NotAllowed,
    404: NotThere,
    405: Unsupported,
    406: Unsupported,
    407: NotAllowed,
    409: BadInput,
    410: NotThere,
    411: Unsupported,
    412: AlreadyThere,
    413: NoSpace,
    414: InvalidName,
    415: Unsupported,
    416: Unsupported,
    417: Unsupported,
    422: BadInput,
    426: Unsupported,
    428: Unsupported,
    429: Busy,
    431: InvalidName,
    451: NotAllowed,
    501: Unsupported,
    503: Busy,
    505: Unsupported,
    506: Unsupported,
    507: NoSpace,
    508: Unsupported,
    510: Unsupported,
    511: NotAllowed,
}

_HINTS: dict[type[HoldfastError], str] = {
    NotAllowed: "look at the site's proxy or token, and at what it may do here",
    NoSpace: "free space, or raise the quota",
}

# What OpenSSL calls it when the far side does not want our certificate.
_REFUSED_CERTIFICATE = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)


def meaning(method: str, status: int, *, place: str, retry_after: str = "") -> HoldfastError:
    """What it means that ``method`` was answered with ``status``."""
    family = _FAMILY.get(status, PeerError)
    message = f"the storage answered {method} with {_shown(status)}"
    if family is Busy:
        wait_s = _seconds(retry_after)
        hint = "" if wait_s is None else f"it asks to wait {wait_s:.0f} s"
        return Busy(message, retry_after_s=wait_s, place=place, hint=hint)
    if family is NotThere:
        return NotThere("no such file or directory", place=place)
    return family(message, place=place, hint=_HINTS.get(family, ""))


def _shown(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _seconds(text: str) -> float | None:
    """``Retry-After`` in seconds; its other form, a date, needs a clock that both sides share, and is not used."""
    digits = text.strip()
    return min(float(digits), RETRY_AFTER_S_MAX) if digits.isascii() and digits.isdigit() else None


def broken(error: Exception, *, place: str, silence_s: float) -> HoldfastError:
    """What it means that there was no answer, or no whole one."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return PeerError("the storage cannot be reached: no answer to the connection", place=place)
    if isinstance(error, TimeoutError):
        return PeerError(f"the storage has been silent for {silence_s:g} s", place=place)
    refusal = _refusal(error)
    if refusal is not None:
        return NotAllowed(f"the storage refuses our certificate: {refusal}", place=place, hint=_HINTS[NotAllowed])
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return OperatorError(
            "the storage's certificate is not to be trusted",
            place=place,
            hint="look at the site's authorities, and at the name in the root of the door",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return PeerError(f"the storage cannot be reached: {_system(error.os_error)}", place=place)
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError):
        return Disconnected("the storage closed the connection instead of answering", place=place)
    if isinstance(error, aiohttp.ClientPayloadError | asyncio.IncompleteReadError):
        return PeerError("the answer breaks off", place=place)
    return PeerError(f"the storage answers something that is no HTTP ({type(error).__name__})", place=place)


def _refusal(error: BaseException | None) -> str | None:
    while error is not None:
        reason = getattr(error, "reason", None)
        if isinstance(error, ssl.SSLError) and reason in _REFUSED_CERTIFICATE:
            return str(reason).replace("_", " ").lower()
        error = error.__cause__ or error.__context__
    return None


def _system(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS" if error.reason == "WRONG_VERSION_NUMBER" else "TLS cannot be agreed upon"
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "its name is not known"
