"""Multistatus: the answer to PROPFIND, read as it comes in.

    asked = PROPERTIES          the body of the request
    answer = Multistatus()
    answer.feed(bytes)          any piece
    answer.take()               the members that are whole by now
    answer.close()              PeerError if it broke off

A ``Member`` is what the server said of one name, still in its own words: which
name that is, ``members`` knows.

Rules
  * Only what stands where RFC 4918 has it counts: a ``href`` within a property
    is no member, a property that is not in a propstat of status 200 is not told.
  * Memory is bounded by one member: what is longer than MEMBER_BYTES_MAX is
    refused, and so are document types, entities and anything nested too deep.
  * Names that are not UTF-8, or have control characters, are no reason to lose
    the others: such bytes are carried through the parser as lone surrogates
    and control characters, and stand so in ``href``.
  * Of what is no collection XRootD and some Microsoft servers say so by a
    property ``iscollection`` instead of a resource type; either is enough.
  * A property that is told twice counts as told first: XRootD says of a file
    that may be executed that it is no collection, and then that it is one.
  * What is no XML, no multistatus, or breaks off is PeerError.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterable
from typing import NamedTuple
from xml.parsers import expat

from holdfast.model.errors import PeerError

MEMBER_BYTES_MAX = 1 << 20
DEPTH_MAX = 64
FEW = 8
"""How many members an answer about one name may have."""

PROPERTIES = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"
)
"""Exactly what a Stat is made of."""

ALL_PROPERTIES = b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><allprop/></propfind>'
"""Another way of asking for the same."""

OK = 200
NOT_FOUND = 404


class Upset(PeerError):
    """Something went wrong on the server while it answered: it closed its list early and wrote why after it.

    Servers in Go do so if a file vanishes while its directory is read.
    """


class Member(NamedTuple):
    """What was said of one name; "" is what was not said."""

    href: str
    status: int
    """Of the member as a whole, or of the properties that were refused; 200 if nothing was."""
    collection: bool
    reference: bool
    """It stands for something elsewhere (RFC 4437), as a symbolic link does."""
    size: str
    mtime: str
    etag: str
    typed: bool = True
    """Whether it was said what it is: nobody takes what is not said to be a file for one."""


# Where, counted from the root, elements have to stand to be what they are called.
_DEPTHS: dict[str, tuple[int, ...]] = {
    "DAV: response": (2,),
    "DAV: href": (3,),
    "DAV: propstat": (3,),
    "DAV: status": (3, 4),
    "DAV: resourcetype": (5,),
    "DAV: iscollection": (5,),
    "DAV: collection": (6,),
    "DAV: redirectref": (6,),
    "DAV: getcontentlength": (5,),
    "DAV: getlastmodified": (5,),
    "DAV: getetag": (5,),
}
_TEXTS = frozenset(
    {"DAV: href", "DAV: status", "DAV: getcontentlength", "DAV: getlastmodified", "DAV: getetag", "DAV: iscollection"}
)
_STATUSES = {"HTTP/1.1 200 OK": OK, "HTTP/1.1 404 Not Found": NOT_FOUND}
_STATUS = re.compile(r"\s*HTTP/\d(?:\.\d)? (\d{3})(?!\d)", re.ASCII)

# Characters that XML cannot carry travel as private ones of the last plane and are turned back afterwards.
_CARRIED = 0x10FE00
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r")
_TO_CARRIED = {code: _CARRIED + code for code in _CONTROLS} | {0xFFFE: _CARRIED + 0x20, 0xFFFF: _CARRIED + 0x21}
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_FROM_CARRIED = {carried: code for code, carried in _TO_CARRIED.items()} | {
    _CARRIED + byte: 0xDC00 + byte for byte in range(0x80, 0x100)
}


def _carry(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(_CARRIED + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("holdfast-carry", _carry)


class Multistatus:
    """One answer on its way; see the module's docstring. ``place`` is where errors happened."""

    def __init__(self, *, place: str = "") -> None:
        self._place = place
        self._decoder = codecs.getincrementaldecoder("utf-8")("holdfast-carry")
        self._plain = True
        self._members: list[Member] = []
        self._since_member = 0
        self._depth = 0
        self._text: list[str] = []
        self._parser = self._make_parser()
        self._clear_member()
        self._clear_properties()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._since_member += len(data)
        count = len(self._members)
        self._parse(self._clean(data), final=False)
        if len(self._members) > count:
            self._since_member = 0
        elif self._since_member > MEMBER_BYTES_MAX:
            raise PeerError("the answer has a member without end", place=self._place)

    def take(self) -> list[Member]:
        """The members that have become whole since the last call."""
        members, self._members = self._members, []
        return members

    def close(self) -> None:
        """There are no more bytes."""
        self._parse(self._clean(b"", final=True), final=True)
        # Parser and handlers hold each other: of thousands of answers that would be much to wait for the collector.
        self._parser.StartElementHandler = self._parser.EndElementHandler = None
        self._parser.XmlDeclHandler = self._parser.StartDoctypeDeclHandler = None

    def _make_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        return parser

    def _parse(self, data: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(data, final)
        except expat.ExpatError as error:
            if expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT] == error.code:
                raise Upset("the storage broke off its answer in the middle", place=self._place) from error
            what = "breaks off" if final else "is no XML"
            raise PeerError(f"the answer {what}: {expat.ErrorString(error.code)}", place=self._place) from error

    def _clean(self, data: bytes, *, final: bool = False) -> bytes:
        """The same without what XML cannot carry."""
        if self._plain and not final and data.isascii() and len(data.translate(None, _CONTROLS)) == len(data):
            return data
        text = self._decoder.decode(data, final)
        # Half a character may wait in the decoder: what follows has to pass through it as well.
        self._plain = not self._decoder.getstate()[0]
        return (text.translate(_TO_CARRIED) if _UNFIT.search(text) else text).encode()

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
            raise PeerError(f"the answer is in {encoding[:20]!r} and not in UTF-8", place=self._place)

    def _doctype(self, *_: object) -> None:
        # Entities can only be declared in one, so that none is ever expanded.
        raise PeerError("the answer has a document type, which no multistatus has", place=self._place)

    # These two run about twenty times per member, and are written for that.

    def _begin(self, name: str, _attributes: list[str]) -> None:
        depth = self._depth = self._depth + 1
        wanted = _DEPTHS.get(name)
        if wanted is None:
            if depth == 1 or depth > DEPTH_MAX:
                self._begin_strange(name)
        elif depth in wanted:
            if name in _TEXTS:
                self._text = []
                self._parser.CharacterDataHandler = self._text.append
            elif name == "DAV: resourcetype":
                self._typed = True
            elif name == "DAV: collection":
                self._collection = True
            elif name == "DAV: redirectref":
                self._reference = True

    def _end(self, name: str) -> None:
        depth = self._depth
        self._depth = depth - 1
        wanted = _DEPTHS.get(name)
        if wanted is None or depth not in wanted:
            return
        if name in _TEXTS:
            self._parser.CharacterDataHandler = None
            text = "".join(self._text)
            if name == "DAV: status":
                self._told_status(depth, text)
            elif name == "DAV: href":
                self._hrefs.append(text)
            else:
                self._texts.setdefault(name, text)
        elif name == "DAV: propstat":
            self._end_properties()
        elif name == "DAV: response":
            self._end_member()

    def _begin_strange(self, name: str) -> None:
        if self._depth > DEPTH_MAX:
            raise PeerError("the answer is nested too deep", place=self._place)
        if name != "DAV: multistatus":
            raise PeerError("the answer is XML but no multistatus", place=self._place)

    def _told_status(self, depth: int, text: str) -> None:
        status = _STATUSES.get(text)
        if status is None:
            found = _STATUS.match(text)
            status = int(found[1]) if found else 0
        if depth == 4:
            self._properties_status = status
        else:
            self._status = status

    def _end_properties(self) -> None:
        if self._properties_status == OK:
            for name, text in self._texts.items():
                self._told.setdefault(name, text)
            self._told_collection |= self._collection
            self._told_reference |= self._reference
            self._told_typed |= self._typed
        elif self._properties_status != NOT_FOUND and self._status == OK:
            # Not "there is none", but "I do not say": nothing may be guessed of such a member.
            self._status = self._properties_status
        self._clear_properties()

    def _end_member(self) -> None:
        told = self._told.get
        is_collection = told("DAV: iscollection", "").strip()
        for href in self._hrefs:
            self._members.append(
                Member(
                    href,
                    self._status,
                    self._told_collection or is_collection == "1",
                    self._told_reference,
                    told("DAV: getcontentlength", ""),
                    told("DAV: getlastmodified", ""),
                    told("DAV: getetag", ""),
                    self._told_typed or is_collection in ("0", "1"),
                )
            )
        self._clear_member()

    def _clear_member(self) -> None:
        self._hrefs: list[str] = []
        self._status = OK
        self._told: dict[str, str] = {}
        self._told_collection = self._told_reference = self._told_typed = False

    def _clear_properties(self) -> None:
        self._properties_status = OK
        self._texts: dict[str, str] = {}
        self._collection = self._reference = self._typed = False


async def few(pieces: AsyncIterable[bytes], place: str) -> list[Member]:
    """The members of an answer that is to have one; PeerError if it has more than FEW."""
    answer, members = Multistatus(place=place), list[Member]()
    async for data in pieces:
        answer.feed(data)
        members += answer.take()
        if len(members) > FEW:
            raise PeerError("the storage was asked for one name and speaks of very many", place=place)
    answer.close()
    return members


def restored(href: str) -> str:
    """``href`` with what XML could not carry in its place again."""
    return href if href.isascii() else href.translate(_FROM_CARRIED)
