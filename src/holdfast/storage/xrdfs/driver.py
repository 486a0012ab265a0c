"""XrdfsDriver: XRootD storages, through the command-line tools of its client.

For machines that have the tools and not the client library, and for looking
at a storage as its users do. The driver ``xroot`` is the faster one.

Rules, beside those of the contract and of ``guarded``
  * A name with a question mark is listed, but no path can have one.
  * A token is never shown in plain: with one, the root is written ``roots://``.
  * Symbolic links are the server's business: it follows them, and ``ls -l``
    leaves out those that lead nowhere; ``names`` shows them.
  * ``ls -l`` knows files and directories only: what is neither is listed as a
    file, and ``stat`` tells what the server says of it.
  * What is written is in the server's hands when the call returns; the tools
    have no request that makes it durable.
"""

from __future__ import annotations

from holdfast.storage.access import Access
from holdfast.storage.driver import StorageDriver
from holdfast.storage.guarded.driver import GuardedDriver
from holdfast.storage.xrdfs.hands import XrdfsHands
from holdfast.storage.xroot.address import parse, require_encryption


class XrdfsDriver(GuardedDriver):
    """The tree below ``root://host:port//folder``; without ``shells`` a program is run for every request."""

    def __init__(self, root: str, *, label: str = "", access: Access | None = None, shells: bool = True) -> None:
        address, access = parse(root), access or Access()
        require_encryption(address.scheme, access, label or root)
        self.hands = XrdfsHands(address, access, shells=shells)
        super().__init__(self.hands, label=label or root)


def open_door(root: str, *, site: str, access: Access) -> StorageDriver:
    """The driver of a root like ``root://host:port//folder``; nothing is asked of the server yet."""
    return XrdfsDriver(root, label=f"{site}:{root}", access=access)
