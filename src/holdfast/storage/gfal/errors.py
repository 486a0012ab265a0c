"""What gfal2's error numbers mean in the words of the StorageDriver contract.

They are errno's, but what a plug-in makes of its protocol's answers varies:
where a number was seen for several things it is Unclear, and ``guarded`` looks
closer.

Rules
  * Numbers decide, except those of XRootD's plug-in; the text is passed on, on one line, without URLs' parameters
    and without anything that looks like a token.
  * What is not known is PeerError.
"""

from __future__ import annotations

import errno
import os
import re

from holdfast.model.errors import HoldfastError, InvalidName, PeerError
from holdfast.storage.driver import (
    AlreadyThere,
    DirectoryNotEmpty,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    Unsupported,
)
from holdfast.storage.gfal.calls import GfalRefusal
from holdfast.storage.guarded.hands import Unclear, Unreadable

_FAMILY: dict[int, type[HoldfastError]] = {
    errno.ENOENT: NotThere,
    errno.EEXIST: AlreadyThere,
    errno.ENOTDIR: NotADirectory,
    errno.ELOOP: NotADirectory,
    errno.EISDIR: NotAFile,
    errno.ENOTEMPTY: DirectoryNotEmpty,
    errno.EACCES: NotAllowed,
    errno.EPERM: NotAllowed,
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.EROFS: NoSpace,
    errno.EFBIG: NoSpace,
    errno.ENAMETOOLONG: InvalidName,
    errno.ENOSYS: Unsupported,
    errno.EOPNOTSUPP: Unsupported,
    errno.EPROTONOSUPPORT: Unsupported,
    # XRootD's "file system error", "a directory was needed" and answers nobody could read; WebDAV's status 500.
    errno.ENODEV: Unclear,
    errno.EILSEQ: Unclear,
    errno.EIO: Unclear,
}

_WORDS: dict[type[HoldfastError], str] = {
    NotThere: "no such file or directory",
    AlreadyThere: "is there already",
    NotAFile: "is a directory, not a file",
    NotADirectory: "is not a directory",
}

_HINTS: dict[type[HoldfastError], str] = {
    NotAllowed: "look at the credentials of the site and at the storage's permissions",
    NoSpace: "free space, raise the quota, or make the storage writable",
}

_NUMBERS = {os.strerror(number).lower(): number for number in errno.errorcode}
_LAST_WORDS = re.compile(r"\(([^()]*)\)\s*\Z")
_UNREADABLE = "Invalid response"
_NO_TLS = "SSL handshake failed"
"""Comes with the number of a refusal, whatever it was that answered in place of a handshake."""
_SECRETS = re.compile(r"\?\S*|(?i:authz|bearer|token)\S*[= ]\S+")


def meaning(refusal: GfalRefusal, *, by_words: bool) -> HoldfastError:
    """A refusal as an error of the contract, without a place.

    ``by_words``: the plug-in of XRootD gives a number that may be left over from something else; what it means
    stands in parentheses at the end of its words.
    """
    said = _SECRETS.sub("?...", " ".join(refusal.message.split()))[:300]
    number = _number_in(refusal.message) if by_words else refusal.number
    family = _FAMILY.get(number, PeerError) if number else Unclear
    if _NO_TLS in said:
        family = PeerError
    if _UNREADABLE in said:
        return Unreadable("the listing cannot be made out; a name in it may hold a line feed")
    return family(_WORDS.get(family) or f"gfal2 says: {said}", hint=_HINTS.get(family, ""))


def _number_in(text: str) -> int:
    """The errno whose words stand at the end; 0 if none do."""
    found = _LAST_WORDS.search(text)
    return _NUMBERS.get(found[1].lower(), 0) if found else 0
