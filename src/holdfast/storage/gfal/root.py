"""GfalRoot: the root of a gfal door, and the URLs below it.

    davs://host:443/folder  https://  http://  dav://    root://host:1094//folder  roots://
    srm://host:8443/srm/managerv2?SFN=/folder            gsiftp://host/folder
    file:///folder          any further scheme gfal2 has a plug-in for

Rules
  * The base of the root is written as the protocol wants it, and kept as it is;
    what is below is encoded here.
  * WebDAV and XRootD are given encoded paths, files are given as they are. Of
    the others it is not known what is decoded where: what could matter is in
    no path.
  * A path of WebDAV or XRootD has no question mark: XRootD cuts it off there,
    over WebDAV too, and then answers for something else.
  * No user and no password is in a root: they would be shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from holdfast.model.errors import BadInput

_ROOT = re.compile(r"(?P<scheme>[a-z][a-z0-9+.\-]*)://(?P<host>[^/?#@\s]*)(?P<base>/[^\s#]*)?\Z")
_WEB = frozenset({"http", "https", "dav", "davs", "s3", "s3s", "gcloud", "gclouds", "swift", "swifts", "cs3", "cs3s"})
_XROOTD = frozenset({"root", "roots", "xroot", "xroots"})
_HINT = "write the root as gfal2 wants it, such as davs://host:443/folder"


@dataclass(frozen=True, slots=True)
class GfalRoot:
    """A scheme, and the URL that is the root of a door, without a slash at its end."""

    scheme: str
    base: str

    @property
    def is_web(self) -> bool:
        """Whether this is HTTP in one of its clothes."""
        return self.scheme in _WEB

    @property
    def is_xrootd(self) -> bool:
        """Whether this is XRootD's own protocol."""
        return self.scheme in _XROOTD

    @property
    def is_file(self) -> bool:
        """Whether this is a folder of this machine."""
        return self.scheme == "file"

    @property
    def not_in_paths(self) -> str:
        """Characters that no path can hold."""
        if self.is_file:
            return ""
        return "?" if self.is_web or self.is_xrootd else "?#%"

    def url(self, path: str) -> str:
        """What gfal2 knows a path of ours as."""
        below = "" if path == "/" else path
        if self.is_web or self.is_xrootd:
            below = quote(below)
        return (self.base + below) or "/"


def parse(root: str) -> GfalRoot:
    """The root in the text of a door; BadInput if it is none."""
    found = _ROOT.match(root)
    if found is None or (not found["host"] and found["scheme"] != "file"):
        shown = re.sub(r"//[^/@]*@", "//...@", root)[:200]
        raise BadInput(f"{shown!r} is not the root of a gfal door", hint=_HINT)
    scheme, base = found["scheme"], found["base"] or ""
    if "?" in base and scheme != "srm":
        raise BadInput("the root of a gfal door has parameters", hint="credentials belong into holdfast.toml")
    start = root[: len(root) - len(base)]
    return GfalRoot(scheme, start + (base.rstrip("/") or ("/" if scheme == "file" else "")))
