"""Mover names: how a file is called for a program that a site has.

Rules
  * Behind a door of HTTP's kind it is a URL, in which percent signs stand for
    bytes: a blank, ``#``, ``?`` or ``%`` of the name would make it another file's.
  * What lies in a folder of this machine is a plain path, however the door's
    root is written.
  * Elsewhere the name goes as it is, for that is how such programs take it; one
    with ``?`` in it no address of XRootD can carry: a Fault, UNNAMEABLE at the
    destination and UNSUPPORTED at the source.
"""

from __future__ import annotations

from urllib.parse import quote

from holdfast.operations.codes import Code
from holdfast.operations.engine import Place
from holdfast.operations.engines.proving import EngineFault
from holdfast.storage.doors import posix_root

_ENCODED = frozenset({"http", "https", "dav", "davs", "webdav"})
_XROOT = frozenset({"root", "roots", "xroot", "xroots"})


def source_name(place: Place) -> str:
    """What a program calls the file at its source."""
    # Another source may do.
    return _name(place, place.path, Code.UNSUPPORTED)


def destination_name(place: Place, path: str) -> str:
    """What a program calls a path of the destination's, which is not always the place's own."""
    return _name(place, path, Code.UNNAMEABLE)


def _name(place: Place, path: str, code: Code) -> str:
    root = place.pfn.removesuffix(place.path)
    scheme, is_url, _ = root.partition("://")
    if not is_url:
        return root + path
    if scheme in _ENCODED:
        return root + quote(path)
    if scheme == "file":
        return str(posix_root(root or "/")).rstrip("/") + path
    if scheme in _XROOT and "?" in path:
        raise EngineFault(code, f"{place}: no address of its door can carry this name")
    return root + path
