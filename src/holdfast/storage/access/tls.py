"""TLS contexts: how the far side is verified, and what is shown to it.

Rules
  * Certificate and name of the far side are always verified.
  * Authorities of a folder are found as OpenSSL finds them, by hashed names;
    a folder without any is refused, because everything would fail there.
  * Revocation lists are not consulted.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from holdfast.model.errors import OperatorError

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def context(authorities: Path | None, certificate: Path | None) -> ssl.SSLContext:
    """A client's context; without ``authorities`` it trusts those of the system."""
    # Not ssl.create_default_context: later Pythons make it strict about old authorities' certificates, which the
    # field has, and what is refused should not depend on the Python.
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authorities is None:
        made.load_default_certs()
    else:
        _trust(made, authorities)
    if certificate is not None:
        _show(made, certificate)
    return made


def _trust(made: ssl.SSLContext, authorities: Path) -> None:
    try:
        if not authorities.is_dir():
            made.load_verify_locations(cafile=authorities)
            return
        if not any(_HASHED.fullmatch(found.name) for found in authorities.iterdir()):
            raise OperatorError(
                "has no authorities under their hashed names", place=str(authorities), hint="openssl rehash does that"
            )
        made.load_verify_locations(capath=authorities)
    except ssl.SSLError as error:
        raise OperatorError("holds no certificates of authorities", place=str(authorities)) from error
    except OSError as error:
        raise OperatorError(f"cannot be read: {error.strerror}", place=str(authorities)) from error


def _show(made: ssl.SSLContext, certificate: Path) -> None:
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        made.load_cert_chain(certificate, password="")
    except ssl.SSLError as error:
        said = error.reason or "no reason given"
        raise OperatorError(f"OpenSSL does not take it: {said}", place=str(certificate)) from error
    except OSError as error:
        raise OperatorError(f"cannot be read: {error.strerror}", place=str(certificate)) from error
