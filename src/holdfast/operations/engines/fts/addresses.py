"""Addresses: how files are named to FTS3, which hands the names on to the storages.

Rules
  * A driver that speaks to other storages itself knows the address, and the
    token that is shown there. Else the address is made of the PFN: percent
    signs stand for bytes where the protocol is one of HTTP's kind, and the path
    goes as it is everywhere else.
  * No address has parameters: those of drivers say what we show ourselves, and
    the service keeps and shows addresses. A token among them goes as a token.
  * A name that the address cannot carry is Fault UNNAMEABLE.
  * Only addresses with a host can be served; files of a machine cannot.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote, urlsplit

from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.engine import Place
from holdfast.operations.engines import proving
from holdfast.operations.engines.proving import EngineFault
from holdfast.storage.abilities import FarFile, ThirdPartyCopyDriver

_ENCODED = frozenset({"http", "https", "dav", "davs", "s3", "s3s", "gcloud", "gclouds", "swift", "swifts"})
_MARKS = "?#"
"""What ends the path of an address."""


def obstacle(place: Place) -> str:
    """Why a site's files cannot be named to the service; "" if they can."""
    try:
        parts = urlsplit(place.pfn)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if not scheme or scheme == "file" or not host:
        return f"FTS does not get at {place.site}: its door is no address of a server"
    return ""


async def of_source(place: Place) -> FarFile:
    """Where a file is fetched."""
    try:
        return await _of(place, place.path)
    except (EngineFault, BrokenInvariant):
        raise
    except HoldfastError as error:
        raise EngineFault(codes.of_source(error), proving.at(place, error)) from error


async def of_destination(place: Place, path: str) -> FarFile:
    """Where a file is written: under ``path``, which is not always the place's own."""
    try:
        return await _of(place, path)
    except (EngineFault, BrokenInvariant):
        raise
    except HoldfastError as error:
        raise EngineFault(codes.of_destination(error), proving.at(place, error)) from error


def name_in(address: str) -> str:
    """The last component of an address' path."""
    return unquote(urlsplit(address).path.rsplit("/", 1)[-1], errors="surrogateescape")


async def _of(place: Place, path: str) -> FarFile:
    driver = place.driver
    if driver.capabilities.third_party_copy and isinstance(driver, ThirdPartyCopyDriver):
        return _without_parameters(await driver.far_file(path))
    if not place.pfn.endswith(place.path):
        raise EngineFault(
            Code.UNNAMEABLE, f"{place}: its PFN does not end with its path, so that no name beside it is known"
        )
    root = place.pfn.removesuffix(place.path)
    if urlsplit(root).scheme in _ENCODED:
        return FarFile(root + quote(path))
    if any(mark in path for mark in _MARKS) or path != path.strip():
        raise EngineFault(Code.UNNAMEABLE, f"{place}: no address can carry this name")
    return FarFile(root + path)


def _without_parameters(far: FarFile) -> FarFile:
    url, _, parameters = far.url.partition("?")
    shown = dict(parse_qsl(parameters)).get("authz", "")
    return FarFile(url, far.token or shown.removeprefix("Bearer "))
