"""One file copied over XRootD's protocol with TLS, in a process of its own: the library's authorities are one for all.

    python copying_process.py SOURCE-ROOT DESTINATION-ROOT AUTHORITIES SOURCE-TOKEN DESTINATION-TOKEN PATH SIZE ADLER32

Prints verdict, code and error of the outcome as JSON. A token is a file, or "-".
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from holdfast.model.clock import system_clock
from holdfast.operations.engine import Place, Transfer
from holdfast.operations.engines.third_party import xrootd_engine
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.xroot.driver import XrootDriver


def driver_of(root: str, site: str, authorities: str, token: str) -> XrootDriver:
    settings = AccessSettings(
        authorities=Path(authorities), token=None if token == "-" else Path(token), call_timeout_s=20.0
    )
    return XrootDriver(root, label=site, access=Access(settings, site=site))


async def copied(arguments: list[str]) -> dict[str, str]:
    source_root, destination_root, authorities, source_token, destination_token, path, size, adler32 = arguments
    source = driver_of(source_root, "SOURCE", authorities, source_token)
    destination = driver_of(destination_root, "DESTINATION", authorities, destination_token)
    places = Place("SOURCE", source, path, ""), Place("DESTINATION", destination, path, "")
    engine = xrootd_engine(system_clock)

    async def check() -> None:
        pass

    try:
        transfer = Transfer(1, "tls1", int(size), {"adler32": adler32}, *places)
        outcome = await engine.transfer(transfer, check, lambda _: None)
    finally:
        for each in (engine, source, destination):
            await each.close()
    return {"verdict": outcome.verdict.value, "code": str(outcome.code or ""), "error": outcome.error}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(copied(sys.argv[1:]))))
