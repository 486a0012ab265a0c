"""POSIX access control lists, from the kernel's bytes to text.

The text is that of ``acl(5)`` in its short form, numbers for the named users
and groups: ``user::rw-,user:1001:r--,group::r--,mask::r--,other::---``. Names are
not looked up: they differ from machine to machine.

Bytes that are no ACL give ValueError.
"""

from __future__ import annotations

import struct

XATTR = "system.posix_acl_access"
"""Where Linux keeps the ACL of a file."""

_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")

# Tag in the kernel's form: the word for it, and whether a number belongs to it.
_TAGS: dict[int, tuple[str, bool]] = {
    0x01: ("user", False),
    0x02: ("user", True),
    0x04: ("group", False),
    0x08: ("group", True),
    0x10: ("mask", False),
    0x20: ("other", False),
}


def acl_text(raw: bytes) -> str:
    """The ACL in ``raw`` as text."""
    if len(raw) < _HEADER.size or (len(raw) - _HEADER.size) % _ENTRY.size:
        raise ValueError(f"an ACL of {len(raw)} bytes")
    (version,) = _HEADER.unpack_from(raw)
    if version != _VERSION:
        raise ValueError(f"an ACL of version {version}")
    return ",".join(_entry_text(*entry) for entry in _ENTRY.iter_unpack(raw[_HEADER.size :]))


def _entry_text(tag: int, bits: int, number: int) -> str:
    if tag not in _TAGS or bits > 7:
        raise ValueError(f"an ACL entry with tag {tag} and permissions {bits}")
    word, numbered = _TAGS[tag]
    letters = "".join(letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
    return f"{word}:{number if numbered else ''}:{letters}"
