"""Bearer tokens: what of one can be read by whoever only carries it.

Rules
  * Nothing is verified: that is the business of the storage.
  * A file holds one token, of the characters of RFC 6750; anything else could
    forge a header.
  * Of a JSON web token ``exp`` and ``nbf`` are read; any other token is opaque
    and has no end that we know of.
"""

from __future__ import annotations

import base64
import json
import re

from holdfast.model.clock import SECOND_US
from holdfast.storage.access.file import Credential

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_FAR_S = 10**11
"""Some token services write a date like this for "never"; beyond, numbers are of no use."""


def parse(data: bytes) -> Credential[str]:
    """The token of a file; ValueError with the reason if there is none in it."""
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise ValueError("there are other than ASCII characters in it") from None
    if not text:
        raise ValueError("it is empty")
    if len(text.split()) > 1:
        raise ValueError("there is more than one word in it; the token alone has to be there")
    if not _TOKEN.fullmatch(text):
        raise ValueError("there are characters in it that no token has")
    claims = _claims(text)
    return Credential(text, _moment_us(claims, "nbf"), _moment_us(claims, "exp"))


def _claims(text: str) -> dict[str, object]:
    """The claims of a JSON web token; nothing if it is none."""
    parts = text.split(".")
    if len(parts) != 3:
        return {}
    try:
        header, claims = (json.loads(_bytes(part)) for part in parts[:2])
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(header, dict) and "alg" in header and isinstance(claims, dict) else {}


def _bytes(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _moment_us(claims: dict[str, object], name: str) -> int | None:
    at_s = claims.get(name)
    if at_s is None:
        return None
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or at_s != at_s:  # The last: not NaN.
        raise ValueError(f"its claim {name} is not a number")
    return round(max(-_FAR_S, min(at_s, _FAR_S)) * SECOND_US)
