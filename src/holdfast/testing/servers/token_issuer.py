"""TokenIssuer: an https service that storages take bearer tokens of, as those of WLCG.

    with token_issuer(authority) as issuer:
        issuer.token("storage.read:/ storage.modify:/here", lifetime_s=60)

Rules
  * It answers ``/.well-known/openid-configuration`` and its keys (ES256); what
    it was asked for is in ``asked``, so that a test can tell whether a storage
    came.
  * ``write`` puts a token into a file as a renewal does: whole, by a rename.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from holdfast.testing.servers.test_authority import TestAuthority
from holdfast.testing.servers.test_user import put

AUDIENCE = "https://wlcg.cern.ch/jwt/v1/any"
READ = "storage.read:/"
WRITE = "storage.read:/ storage.create:/ storage.modify:/"

_KEY = "key-1"
_BYTES = 32


class TokenIssuer:
    """See the module's docstring."""

    def __init__(self, port: int) -> None:
        # Without a slash at the end, some storages ask for the wrong address.
        self.url = f"https://localhost:{port}/"
        self.asked: list[str] = []
        self._key = ec.generate_private_key(ec.SECP256R1())

    def token(self, scope: str = WRITE, *, lifetime_s: float = 3600, begins_s: float = -60, **claims: object) -> str:
        """A new token; ``claims`` go before those it has by itself."""
        now = time.time()
        body: dict[str, object] = {
            "iss": self.url,
            "sub": "holdfast",
            "aud": AUDIENCE,
            "iat": int(now),
            "nbf": int(now + begins_s),
            "exp": int(now + lifetime_s),
            "jti": str(uuid.uuid4()),
            "wlcg.ver": "1.0",
            "scope": scope,
        }
        signed = f"{_encoded({'alg': 'ES256', 'typ': 'JWT', 'kid': _KEY})}.{_encoded({**body, **claims})}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(_BYTES, 'big') + s.to_bytes(_BYTES, 'big'))}"

    def write(self, path: Path, scope: str = WRITE, *, lifetime_s: float = 3600) -> Path:
        """A new token in a file, which it replaces."""
        return put(path, self.token(scope, lifetime_s=lifetime_s).encode())

    def answer(self, path: str) -> Mapping[str, Any] | None:
        """What stands at a path; None: nothing."""
        self.asked.append(path)
        numbers = self._key.public_key().public_numbers()
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}jwks"}
        if path == "/jwks":
            x, y = (_base64(number.to_bytes(_BYTES, "big")) for number in (numbers.x, numbers.y))
            return {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": _KEY, "x": x, "y": y}]}
        return None


class _Server(ThreadingHTTPServer):
    """Speaks TLS in the thread of each connection, so that a slow client holds up nobody."""

    daemon_threads = True
    issuer: TokenIssuer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        """Answer with JSON, or 404."""
        # Storages put a slash between the issuer and the path, whether or not there is one already.
        found = self.server.issuer.answer("/" + self.path.lstrip("/"))
        data = json.dumps(found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is written: ``asked`` has it."""


@contextmanager
def token_issuer(authority: TestAuthority) -> Iterator[TokenIssuer]:
    """An issuer that answers on this machine, with the host certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.host_certificate, authority.host_key)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.issuer = TokenIssuer(server.server_address[1])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _encoded(value: Mapping[str, object]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
