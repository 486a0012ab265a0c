"""Signatures of requests to object stores: AWS Signature Version 4, in headers.

Pure: request, keys and moment in, headers out.

Rules
  * What is signed is what is sent: paths and queries come percent-encoded
    here, byte for byte as they go out.
  * Every header that is given is signed, and the digest of the body with them:
    a store that checks signatures also finds out that a body was damaged.
  * Without keys nothing is signed, and only what anybody may do is allowed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from holdfast.model.clock import SECOND_US
from holdfast.storage.access import Keys

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed_headers(
    keys: Keys | None,
    *,
    method: str,
    host: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body_sha256: str,
    region: str,
    at_us: int,
) -> dict[str, str]:
    """All headers to send: those given and what proves who sends them.

    ``query`` is in the order of its bytes, each value with its "=".
    """
    if keys is None:
        return {**headers, "host": host}
    moment = datetime.fromtimestamp(at_us // SECOND_US, UTC).strftime("%Y%m%dT%H%M%SZ")
    day = moment[:8]
    sent = {
        **{name.lower(): value for name, value in headers.items()},
        "host": host,
        "x-amz-content-sha256": body_sha256,
        "x-amz-date": moment,
    }
    if keys.session_token:
        sent["x-amz-security-token"] = keys.session_token
    names = sorted(sent)
    canonical = "".join(f"{name}:{' '.join(sent[name].split())}\n" for name in names)
    request = "\n".join([method, path, query, canonical, ";".join(names), body_sha256])
    scope = f"{day}/{region}/s3/aws4_request"
    to_sign = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.digest(_signing_key(keys.secret_access_key, day, region), to_sign.encode(), "sha256").hex()
    sent["authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key_id}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return sent


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
