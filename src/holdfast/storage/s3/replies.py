"""What object stores answer, read and checked: pages of a listing, errors, receipts of uploads.

Pure: bytes in, values out.

Rules
  * A reply that is not whole, not XML, of another kind than was asked for, or
    whose figures make no sense is PeerError; nothing of it is used.
  * Keys come as bytes, exactly: stores encode them on request, because XML
    cannot carry every character.
  * A page that counts more than it has says so in ``doubt``.
  * Document types and entities are refused, and so is what says that it is
    written otherwise than in UTF-8: nobody needs them here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import repeat
from typing import NamedTuple
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

from holdfast.model.errors import PeerError
from holdfast.storage.driver import Kind, Stat

SECOND_NS = 1_000_000_000

Objects = Sequence[tuple[bytes, Stat]]

_ENCODED = "<EncodingType>url</EncodingType>"
_OTHERS = "(?:{})*?".format(
    "|".join(
        [f"<{name}>[^<&]*</{name}>" for name in ("StorageClass", "ChecksumAlgorithm", "ChecksumType", "Type")]
        + ["<Owner>(?:<ID>[^<&]*</ID>|<DisplayName>[^<&]*</DisplayName>)*</Owner>"]
    )
)
_CONTENTS = re.compile(
    rf"<Contents>{_OTHERS}<Key>([^<]+)</Key>{_OTHERS}<LastModified>([0-9TZ:.+-]+)</LastModified>{_OTHERS}<ETag>(?:W/)?"
    rf"(?:&quot;|\")?([^<&\"]*)(?:&quot;|\")?</ETag>{_OTHERS}<Size>([0-9]{{1,18}})</Size>{_OTHERS}</Contents>",
    re.ASCII,
)
# Made by the hundred thousand, in one loop that is not Python's.
_stat = partial(tuple.__new__, Stat)
_SHOWN_MAX = 200
_CODE_MAX = 80
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ERROR = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]*>\s*)*<(?:[A-Za-z0-9_.-]+:)?Error[\s/>]")
_ENCODING = re.compile(rb"<\?xml[^>]*\sencoding\s*=\s*[\"']([^\"'>]*)")


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a request for a listing; objects and prefixes each as the store ordered them."""

    objects: Sequence[tuple[bytes, Stat]]
    """Keys and what is said of them."""
    prefixes: Sequence[bytes]
    """Each ends in the delimiter."""
    more: str | None
    """What to show for the next page; None on the last one."""
    doubt: str = ""


class Complaint(NamedTuple):
    """What a store says of a request that it did not carry out."""

    code: str
    message: str


def page(data: bytes) -> Page:
    """A page of ListObjectsV2, or of the older ListObjects."""
    found, rest = _plain_objects(data)
    root = _root(rest, "ListBucketResult")
    space = root.tag[: -len("ListBucketResult")]
    encoded = _text(root, space, "EncodingType") == "url"
    objects = found if found is not None else _objects(root, space, encoded)
    prefixes = [_key(each, encoded) for each in _texts(root.iterfind(f"{space}CommonPrefixes/{space}Prefix"))]
    truncated = _text(root, space, "IsTruncated")
    if truncated not in ("true", "false"):
        raise PeerError("the listing does not say whether it is the last page")
    more = _next(root, space, encoded, objects, prefixes) if truncated == "true" else None
    count = _text(root, space, "KeyCount")
    sent = len(objects) + len(prefixes)
    counted = _number(count, "KeyCount") if count else 0
    doubt = f"the storage counted {counted} keys and sent {sent}" if counted > sent else ""
    return Page(objects, prefixes, more, doubt)


def is_complaint(data: bytes) -> bool:
    """Whether a reply is an error, whatever its status says."""
    return _ERROR.match(data) is not None


def complaint(data: bytes, secrets: Iterable[str] = ()) -> Complaint:
    """What an error's body says, without ``secrets``; of a body that is no such thing nothing is known."""
    try:
        root = _root(data, "Error")
    except PeerError:
        return Complaint("", "")
    space = root.tag[: -len("Error")]
    code = re.sub(r"[^A-Za-z0-9_.]", "", _text(root, space, "Code"))
    words = "".join(c for c in " ".join(_text(root, space, "Message").split()) if c.isprintable())
    for secret in secrets:
        code, words = code.replace(secret, "***"), words.replace(secret, "***")
    return Complaint(code[:_CODE_MAX], words[:_SHOWN_MAX])


def receipt(data: bytes, kind: str, field: str) -> str:
    """One field of a reply of that kind, which it has to have."""
    root = _root(data, kind)
    found = _text(root, root.tag[: -len(kind)], field)
    if not found:
        raise PeerError(f"the answer {kind} lacks {field}")
    return found


def etag(text: str | None) -> str:
    """An ETag without its quotes."""
    return (text or "").strip().removeprefix("W/").strip('"')


@lru_cache(maxsize=4096)
def listed_ns(text: str) -> int:
    """A time of a listing (ISO 8601) to the second, rounded down as the other replies are."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise PeerError(f"{text[:40]!r} is no time") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() // 1) * SECOND_NS


def _root(data: bytes, kind: str) -> ElementTree.Element:
    if b"<!" in data:
        raise PeerError("the answer has a document type in it, which is refused")
    if b"\0" in data:
        # In UTF-16 and UTF-32 every tag has such bytes, in UTF-8 there are none.
        raise PeerError("the answer is not in UTF-8")
    said = _ENCODING.search(data[:400])
    if said and said[1].lower() != b"utf-8":
        raise PeerError(f"the answer is in {ascii(said[1].decode(errors='replace'))[:40]} and not in UTF-8")
    try:
        # Whatever it says of itself, it is read as UTF-8.
        root = ElementTree.fromstring(data, ElementTree.XMLParser(encoding="utf-8"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise PeerError(f"the answer is not whole, or no XML: {error}") from error
    name = root.tag.rpartition("}")[2]
    if name != kind:
        raise PeerError(f"the answer is {name[:40]!r} and not {kind}")
    return root


def _plain_objects(data: bytes) -> tuple[Objects | None, bytes]:
    """The objects of a page on which they all have the usual form, and the page without them; else None and all of it.

    Several times as fast as a parser of XML, which still reads what is left: an object that is taken out is a
    whole element, so the rest is well-formed exactly if the page is.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None, data
    if _NO_XML.search(text):
        return None, data
    pieces = _CONTENTS.split(text)
    # Between the matches stand four groups each.
    rest = "".join(pieces[::5])
    if "<Contents" in rest:
        return None, data
    keys, times, etags, sizes = (pieces[first::5] for first in range(1, 5))
    together = "".join(keys)
    if "&" in together or not together.isprintable():
        return None, data
    exact = _ENCODED not in rest or ("%" not in together and "+" not in together)
    raw = [key.encode() for key in keys] if exact else [_key(key, True) for key in keys]
    stats = map(_stat, zip(repeat(Kind.FILE), map(int, sizes), map(listed_ns, times), etags, repeat(None)))
    return list(zip(raw, stats, strict=True)), rest.encode()


def _objects(root: ElementTree.Element, space: str, encoded: bool) -> Objects:
    found = []
    for each in root.iterfind(f"{space}Contents"):
        key, at, size = (each.findtext(f"{space}{name}") for name in ("Key", "LastModified", "Size"))
        if not key or not at or not size:
            raise PeerError("the listing has objects without a key, a time or a size")
        stat = Stat(Kind.FILE, _number(size, "Size"), listed_ns(at), etag(_text(each, space, "ETag")))
        found.append((_key(key, encoded), stat))
    return found


def _next(
    root: ElementTree.Element,
    space: str,
    encoded: bool,
    objects: Objects,
    prefixes: Sequence[bytes],
) -> str:
    token = _text(root, space, "NextContinuationToken")
    if token:
        return token
    marker = _text(root, space, "NextMarker")
    if marker:
        return _key(marker, encoded).decode(errors="surrogateescape")
    if _text(root, space, "KeyCount") or not (objects or prefixes):
        raise PeerError("the listing has a next page and does not say where")
    last = max([key for key, _ in objects[-1:]] + list(prefixes[-1:]))
    return last.decode(errors="surrogateescape")


def _key(text: str, encoded: bool) -> bytes:
    if not encoded or ("%" not in text and "+" not in text):
        return text.encode()
    return unquote_to_bytes(text.replace("+", " "))


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise PeerError(f"the {what} {text[:40]!r} is no number")
    return int(text)


def _texts(elements: Iterable[ElementTree.Element]) -> Iterable[str]:
    return (element.text or "" for element in elements)


def _text(element: ElementTree.Element, space: str, name: str) -> str:
    return element.findtext(f"{space}{name}") or ""
