"""What ``xrdfs`` and ``xrdcp`` complain of, in the words of the StorageDriver contract.

The server's number stands in brackets in what they print, and decides. Where
the client itself gives up there is no number, only the first words of its
message. ``xroot_errors`` has the meaning of the numbers.

Rules
  * No complaint at all is None, never an error and never a success by itself.
  * A number that stands for several things is Unclear, unless the server adds
    the system's own words for the one that it means.
  * What is not known is PeerError.
"""

from __future__ import annotations

import re

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.driver import DirectoryNotEmpty, NotADirectory, NotAllowed
from holdfast.storage.guarded.hands import Unclear, Unreadable
from holdfast.storage.xroot import errors as xroot_errors

_COMPLAINT = re.compile(rb"\[(?:ERROR|FATAL)\] ?([^\n\0]*)")
_NUMBER = re.compile(r"Server responded with an error: \[(\d+)\] ?(.*)")
# strerror's words, which servers append to the number of a file system error.
_MEANT: dict[str, type[HoldfastError]] = {
    "not a directory": NotADirectory,
    "directory not empty": DirectoryNotEmpty,
}
_NOT_ALLOWED = ("Auth failed", "Login failed")
_UNREADABLE = "Invalid response"
_PARTIAL = b"result may be incomplete"


def complaint(said: bytes) -> str:
    """The last thing that was complained of; "" if nothing was."""
    found = _COMPLAINT.findall(said)
    return found[-1].decode(errors="replace").strip() if found else ""


def meaning(said: bytes) -> HoldfastError | None:
    """What standard error says, as an error without a place; None if it complains of nothing."""
    text = complaint(said)
    if not text:
        return None
    found = _NUMBER.match(text)
    if not found:
        return _of_client(text)
    number, words = int(found[1]), found[2]
    error = xroot_errors.meaning({"code": xroot_errors.SERVER_ANSWERED, "errno": number, "message": words}, "")
    if isinstance(error, xroot_errors.Unclear):
        meant = _MEANT.get(words.rpartition("; ")[2].lower(), Unclear)
        return meant(error.message)
    return error


def is_partial(said: bytes) -> bool:
    """Whether the client warns that the server kept something back."""
    return _PARTIAL in said


def _of_client(text: str) -> HoldfastError:
    shown = xroot_errors.text_of({"message": text})
    if text.startswith(_NOT_ALLOWED):
        return NotAllowed(f"the server refuses us: {shown}", hint="look at the credentials of the site")
    if text.startswith(_UNREADABLE):
        return Unreadable("the listing cannot be made out; a name in it may hold a line feed")
    return PeerError(f"the tool of XRootD gave up: {shown}")
