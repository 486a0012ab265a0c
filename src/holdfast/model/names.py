"""Names and the rules they keep, checked on the way in.

Site and group names are short words; a dataset is ``NAME`` or
``NAME#VERSION``; a block is ``DATASET::BLOCK``. A file has one LFN, an
absolute path that is kept as a directory and a name everywhere.

Rules
  * Text is valid UTF-8: no lone surrogates (that is how Python shows bytes
    that are not UTF-8).
  * No control characters: C0, DEL, C1, and the line and paragraph separators
    U+2028 and U+2029 that some tools take for newlines.
  * No empty path component, no ``.`` and no ``..``.
  * Lengths are bytes of UTF-8: 255 per component, 1024 per LFN, 512 per
    dataset name, 64 per site or group.
  * Names are compared byte for byte; nothing is normalised or case-folded.

InvalidName says what is wrong, with which character, and where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from holdfast.model.errors import InvalidName

COMPONENT_BYTES_MAX = 255
LFN_BYTES_MAX = 1024
DATASET_BYTES_MAX = 512
BLOCK_BYTES_MAX = 128
VERSION_BYTES_MAX = 64

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FORBIDDEN_IN_LINES = re.compile(_FORBIDDEN.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
_NO_NAMES = frozenset({"", ".", ".."})
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-+]*\Z")
_BLOCK_MARK = "::"


class DatasetKey(NamedTuple):
    """A dataset's identity: name and version, where "" is "no version"."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name}#{self.version}" if self.version else self.name


class BlockKey(NamedTuple):
    """A block's identity: its dataset and its name within it."""

    dataset: DatasetKey
    block: str

    def __str__(self) -> str:
        return f"{self.dataset}{_BLOCK_MARK}{self.block}"


class Lfn(NamedTuple):
    """A logical file name: directory (absolute, no trailing slash unless root) and name."""

    dir: str
    name: str

    def __str__(self) -> str:
        return join(self.dir, self.name)


def _fail(what: str, text: str, problem: str, hint: str = "") -> InvalidName:
    shown = text if len(text) <= 120 else f"{text[:117]}..."
    return InvalidName(f"{what} {shown!r} {problem}", hint=hint)


def _check_text(what: str, text: str, bytes_max: int) -> None:
    if not text:
        raise _fail(what, text, "is empty")
    bad = _FORBIDDEN.search(text)
    if bad:
        code = ord(bad.group())
        kind = "a byte that is not UTF-8" if 0xD800 <= code <= 0xDFFF else f"the control character U+{code:04X}"
        raise _fail(what, text, f"has {kind} at position {bad.start()}", "rename it")
    size = len(text.encode())
    if size > bytes_max:
        raise _fail(what, text, f"is {size} bytes long, more than {bytes_max}")


def site_name(text: str) -> str:
    """``text`` if it can name a site, else InvalidName."""
    return _word("site name", text)


def group_name(text: str) -> str:
    """``text`` if it can name a group, else InvalidName."""
    return _word("group name", text)


def _word(what: str, text: str) -> str:
    if not _WORD.match(text):
        raise _fail(what, text, "is not a name", "1 to 64 of A-Z a-z 0-9 _ . - beginning with a letter or digit")
    return text


def dataset_key(text: str) -> DatasetKey:
    """Parse ``NAME`` or ``NAME#VERSION``."""
    name, mark, version = text.partition("#")
    _check_text("dataset name", name, DATASET_BYTES_MAX)
    if _BLOCK_MARK in name:
        raise _fail("dataset name", text, f"contains {_BLOCK_MARK!r}", "that mark divides dataset and block")
    if name != name.strip():
        raise _fail("dataset name", text, "begins or ends with a blank")
    _check_components("dataset name", name.removeprefix("/"), text)
    if mark and (not _VERSION.match(version) or len(version) > VERSION_BYTES_MAX):
        raise _fail(
            "dataset version",
            version,
            f"in {text[:120]!r} is not a version",
            "1 to 64 of A-Z a-z 0-9 _ . - +",
        )
    return DatasetKey(name, version)


def block_key(text: str) -> BlockKey:
    """Parse ``DATASET::BLOCK``."""
    dataset, mark, block = text.rpartition(_BLOCK_MARK)
    if not mark:
        raise _fail("block", text, f"lacks {_BLOCK_MARK!r}", "write DATASET::BLOCK")
    return BlockKey(dataset_key(dataset), block_name(block))


def label(what: str, text: str, bytes_max: int = COMPONENT_BYTES_MAX) -> str:
    """``text`` if it can be an id or another label of one line, else InvalidName."""
    _check_text(what, text, bytes_max)
    return text


def block_name(text: str) -> str:
    """``text`` if it can name a block within a dataset, else InvalidName."""
    _check_text("block name", text, BLOCK_BYTES_MAX)
    if _BLOCK_MARK in text or "/" in text or "#" in text:
        raise _fail("block name", text, "contains '/', '#' or '::'")
    if text.startswith(":"):
        raise _fail("block name", text, "begins with ':'", "DATASET::BLOCK could be cut in two places")
    return text


def _check_components(what: str, path: str, shown: str) -> None:
    for number, component in enumerate(path.split("/"), 1):
        if component in ("", ".", ".."):
            problem = "is empty" if not component else f"is {component!r}"
            raise _fail(what, shown, f"has a component that {problem} (number {number})")
        if len(component.encode(errors="surrogatepass")) > COMPONENT_BYTES_MAX:
            raise _fail(what, shown, f"has a component longer than {COMPONENT_BYTES_MAX} bytes (number {number})")


def directory(text: str) -> str:
    """``text`` if it can be an LFN's directory: "/" or "/a/b", else InvalidName."""
    _check_text("directory", text, LFN_BYTES_MAX)
    if text == "/":
        return text
    if not text.startswith("/"):
        raise _fail("directory", text, "is not absolute", "begin it with '/'")
    _check_components("directory", text[1:], text)
    return text


def file_name(text: str) -> str:
    """``text`` if it can be an LFN's last component, else InvalidName."""
    _check_text("file name", text, COMPONENT_BYTES_MAX)
    if "/" in text or text in (".", ".."):
        raise _fail("file name", text, "contains '/' or is a dot name")
    return text


def join(dir: str, name: str) -> str:
    """The LFN's text: directory and name joined by one slash."""
    return f"/{name}" if dir == "/" else f"{dir}/{name}"


def split(path: str) -> tuple[str, str]:
    """Directory and name of an absolute path; no validation."""
    head, _, tail = path.rpartition("/")
    return head or "/", tail


def lfn(text: str) -> Lfn:
    """Parse an LFN."""
    _check_text("LFN", text, LFN_BYTES_MAX)
    if not text.startswith("/"):
        raise _fail("LFN", text, "is not absolute", "begin it with '/'")
    _check_components("LFN", text[1:], text)
    return Lfn(*split(text))


def all_plain(names: Sequence[str]) -> bool:
    """Whether all are surely names of files; if not, one by one will tell."""
    if not names or max(map(len, names)) > COMPONENT_BYTES_MAX // 4 or not _NO_NAMES.isdisjoint(names):
        return False
    together = "\n".join(names)
    return together.count("\n") == len(names) - 1 and "/" not in together and not _FORBIDDEN_IN_LINES.search(together)


def check_files(dirs: Sequence[str], dir_index: Sequence[int], names: Sequence[str]) -> None:
    """Validate the names of many files at once; the first bad one is named.

    ``dirs`` are the distinct directories, ``dir_index[i]`` is the place of
    file i's directory in ``dirs``.
    """
    for text in dirs:
        directory(text)
    dir_bytes = [len(text.encode()) for text in dirs]
    if all_plain(names) and max(dir_bytes, default=0) + 1 + COMPONENT_BYTES_MAX <= LFN_BYTES_MAX:
        return  # The common case, without a Python call per name.
    for position, name in enumerate(names):
        if len(name) > 63 or _FORBIDDEN.search(name) or "/" in name or name in ("", ".", ".."):
            file_name(name)
        if dir_bytes[dir_index[position]] + 1 + len(name.encode()) > LFN_BYTES_MAX:
            raise _fail("LFN", join(dirs[dir_index[position]], name), f"is longer than {LFN_BYTES_MAX} bytes")
