"""Doors: from the words of a site's record to a driver.

A door of a site is a protocol and a root; here the protocol finds its driver.
Drivers of other makers come through entry points of the group
``holdfast.storage``: each names a protocol and points at a callable
``open(root: str, *, site: str, access: Access) -> StorageDriver``.

Rules
  * A built-in protocol is never replaced by a plug-in of the same name.
  * A plug-in is loaded only when a door asks for it.
  * Opening a door asks the storage nothing but whether the root is there, and
    that only where it costs nothing.

Raises BadInput for a protocol nobody serves or a root that makes no sense,
OperatorError where the installation is at fault: no such folder, a plug-in
that does not load, two of the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from holdfast.model.errors import BadInput, HoldfastError, OperatorError
from holdfast.model.records import Door
from holdfast.storage.access import Access
from holdfast.storage.driver import StorageDriver
from holdfast.storage.posix.driver import PosixDriver

GROUP = "holdfast.storage"
"""The group of entry points in which plug-ins name their protocols."""


class Opener(Protocol):
    """How a driver is made for a door."""

    def __call__(self, root: str, *, site: str, access: Access) -> StorageDriver:
        """The driver of ``root``; errors name ``site``. Called inside a running event loop."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A protocol of ours."""

    opener: Opener
    root: str
    """The module (below ``holdfast.storage``) and function that say what a root means; BadInput if nothing."""
    is_here: bool = False
    """Roots are paths of this machine, or their ``file:`` URLs."""
    has_options: bool = False
    """What follows a question mark in such a path is no part of it."""


def open_driver(protocol: str, root: str, *, site: str, access: Access | None = None) -> StorageDriver:
    """The driver for one door of ``site``; without ``access`` as one who has no credentials."""
    access = access or Access(site=site)
    known = BUILT_IN.get(protocol)
    if known is not None:
        return known.opener(root, site=site, access=access)
    return _open_plug_in(_plug_in(protocol, site), root, site, access)


def protocols() -> list[str]:
    """The protocols that have a driver here, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def folder_of(door: Door) -> Path | None:
    """The folder of this machine that a door shows as it is, links followed; None: it shows something else."""
    return posix_root(door.root).resolve() if door.protocol == "posix" else None


def posix_root(root: str) -> Path:
    """The folder that ``file:///folder`` or ``/folder`` names."""
    try:
        path = _path_of_url(root) if "://" in root else root
    except ValueError:
        path = ""
    if not path.startswith("/") or "\0" in path:
        raise BadInput(f"{root!r} is not the root of a posix door", hint="write file:///folder or /folder")
    return Path(path)


def _path_of_url(url: str) -> str:
    """The path of a ``file:`` URL of this machine, else ""; ValueError if it is no URL or not UTF-8."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        return ""
    return unquote(parts.path, errors="strict")


def _open_posix(root: str, *, site: str, access: Access) -> StorageDriver:
    limits = access.settings
    return PosixDriver(
        posix_root(root),
        label=f"{site}:{root}",
        silence_s=limits.call_timeout_s,
        opening_s=limits.connect_timeout_s,
    )


def _plug_in(protocol: str, site: str) -> EntryPoint:
    found = entry_points(group=GROUP, name=protocol)
    # One distribution may be seen twice, on two entries of the search path; that is no contradiction.
    distinct = {point.value: point for point in found}
    if not distinct:
        raise BadInput(
            f"no driver for the protocol {protocol!r}",
            place=site,
            hint=f"known are {', '.join(protocols())}; others come with plug-ins",
        )
    if len(distinct) > 1:
        raise OperatorError(
            f"several plug-ins serve the protocol {protocol!r}: {', '.join(sorted(distinct))}",
            place=site,
            hint="uninstall all but one",
        )
    return next(iter(distinct.values()))


def _open_plug_in(point: EntryPoint, root: str, site: str, access: Access) -> StorageDriver:
    try:
        driver = _load(point)(root, site=site, access=access)
    except HoldfastError:
        raise
    # Whatever a plug-in raises, the command that wanted its door has one clear line to show.
    except Exception as error:
        raise OperatorError(
            f"the plug-in {point.value} for the protocol {point.name!r} failed: {error!r}",
            place=f"{site}:{root}",
            hint="reinstall or repair the plug-in",
        ) from error
    if not isinstance(driver, StorageDriver):
        raise OperatorError(
            f"the plug-in {point.value} for the protocol {point.name!r} made no StorageDriver but {type(driver)!r}",
            place=f"{site}:{root}",
            hint="it has to pass holdfast.testing.driver_suite",
        )
    return driver


def _load(point: EntryPoint) -> Callable[..., object]:
    loaded: Callable[..., object] = point.load()
    return loaded


def _from_file(module: str, extra: str) -> Opener:
    """The opener of a protocol whose client library, of that extra, is loaded only when a door asks for it."""

    def open_(root: str, *, site: str, access: Access) -> StorageDriver:
        try:
            opener: Opener = import_module(f"holdfast.storage.{module}.driver").open_door
        except ModuleNotFoundError as error:
            lacking = (error.name or "").partition(".")[0]
            if lacking in ("", "holdfast"):
                raise
            raise OperatorError(
                f"the driver {module} lacks its client library: there is no Python package {lacking}",
                place=site,
                hint=f"pip install 'holdfast[{extra}]'" if extra else f"install the Python package {lacking}",
            ) from error
        return opener(root, site=site, access=access)

    return open_


BUILT_IN: dict[str, BuiltIn] = {
    **dict.fromkeys(
        ("http", "https", "dav", "davs", "webdav"), BuiltIn(_from_file("webdav", "webdav"), "webdav.door.root_of")
    ),
    "posix": BuiltIn(_open_posix, "doors.posix_root", is_here=True),
    "xroot": BuiltIn(_from_file("xroot", "xrootd"), "xroot.address.parse"),
    "s3": BuiltIn(_from_file("s3", "s3"), "s3.door.parse"),
    "dump": BuiltIn(_from_file("dump", ""), "dump.options.parse", is_here=True, has_options=True),
    "xrdfs": BuiltIn(_from_file("xrdfs", ""), "xroot.address.parse"),
    **dict.fromkeys(("gfal", "srm", "gsiftp"), BuiltIn(_from_file("gfal", ""), "gfal.root.parse")),
}
"""All that is known of the protocols that need no plug-in, but where their roots lie (``model.door_space``)."""
