"""What xrdfs prints and complains of, read to the letter."""

from __future__ import annotations

import pytest

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.driver import (
    AlreadyThere,
    DirectoryNotEmpty,
    Kind,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    Unsupported,
)
from holdfast.storage.guarded.hands import Unclear, Unreadable
from holdfast.storage.xrdfs import errors as xrdfs_errors
from holdfast.storage.xrdfs import replies as xrdfs_replies
from holdfast.storage.xrdfs.shell import is_plain

SECOND_NS = 1_000_000_000
MOMENT_NS = 981173106 * SECOND_NS


def test_the_long_form() -> None:
    heard = xrdfs_replies.listing(
        b"drwxr-xr-x xrootd xrootd 4096 2001-02-03 04:05:06 /d/sub\n"
        b"---------- nobody 1234      0 1960-01-01 00:00:00 /d/%\n"
        b"-rwsr-xr-t a      b         7 2001-02-03 04:05:06 /d/ name 5 2001-02-03 04:05:06 /d/x \n",
        "/d",
    )
    assert heard.entries == (
        ("sub", Stat(Kind.DIRECTORY, 4096, MOMENT_NS)),
        ("%", Stat(Kind.FILE, 0, -315619200 * SECOND_NS)),
    )
    # A name with a slash in it is none, whatever it looks like.
    assert [entry.raw for entry in heard.unnameable] == [b" name 5 2001-02-03 04:05:06 /d/x "]


def test_the_short_form_of_servers_that_do_not_say_who_owns_it() -> None:
    heard = xrdfs_replies.listing(
        b"dr-x 2001-02-03 04:05:06        4096 /d/sub\n-rw- 2001-02-03 04:05:06           7 /d/a b\n", "/d"
    )
    assert heard.entries == (("sub", Stat(Kind.DIRECTORY, 4096, MOMENT_NS)), ("a b", Stat(Kind.FILE, 7, MOMENT_NS)))


def test_an_entry_of_which_nothing_is_said_is_to_be_looked_at() -> None:
    heard = xrdfs_replies.listing(b"---- 0000-00-00 00:00:00            ? /d/name\n", "/d")
    assert (heard.entries, heard.bare) == ((), ("name",))


def test_names_that_are_none_are_kept() -> None:
    line = b"-rw-r--r-- a b 7 2001-02-03 04:05:06 /d/"
    heard = xrdfs_replies.listing(line + b"bad\xff\n" + line + b"cr\r\n" + line + b"gr\xc3\xbc\xc3\x9fe\n", "/d")
    assert [entry.name for entry in heard.entries] == ["grüße"]
    assert [entry.raw for entry in heard.unnameable] == [b"bad\xff", b"cr\r"]


def test_the_root_of_a_server() -> None:
    assert xrdfs_replies.listing(b"drwxr-xr-x a b 0 2001-02-03 04:05:06 /data\n", "/").entries[0].name == "data"
    assert xrdfs_replies.only_names(b"/data\n/x y\n", "/").names == ("data", "x y")


@pytest.mark.parametrize(
    "reply",
    [
        b"something else\n",
        b"-rw-r--r-- a b 7 2001-02-03 04:05:06 /elsewhere/x\n",
        b"-rw-r--r-- a b -7 2001-02-03 04:05:06 /d/x\n",
        b"-rw-r--r-- a b 7 2001-02-03 04:05 /d/x\n",
        b"-rw-r--r-- a b 7 2001-13-03 04:05:06 /d/x\n",
        b"-rw-r--r-- a b 7 2001-02-03 04:05:06 /d/x",
        b"\n",
        b"\xff\xff\n",
    ],
    ids=ascii,
)
def test_what_is_not_understood_is_no_listing(reply: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        xrdfs_replies.listing(reply, "/d")
    assert "\n" not in str(caught.value)


def test_a_file_that_was_asked_for_its_entries() -> None:
    with pytest.raises(NotADirectory):
        xrdfs_replies.listing(b"-rw-r--r-- a b 7 2001-02-03 04:05:06 /d/file\n", "/d/file")
    with pytest.raises(NotADirectory):
        xrdfs_replies.only_names(b"/d/file\n", "/d/file")


def test_nothing_is_an_empty_listing() -> None:
    assert xrdfs_replies.listing(b"", "/d").entries == ()
    assert xrdfs_replies.only_names(b"", "/d").names == ()


@pytest.mark.parametrize(
    ("flags", "kind"),
    [("48 (IsReadable|IsWritable)", Kind.FILE), ("51 (XBitSet|IsDir)", Kind.DIRECTORY), ("20 (Other)", Kind.OTHER)],
)
def test_stat(flags: str, kind: Kind) -> None:
    reply = f"\nPath:   /d/Size: 5\nId:     1\nSize:   7\nMTime:  2001-02-03 04:05:06\nFlags:  {flags}\n".encode()
    assert xrdfs_replies.stat(reply) == Stat(kind, 7, MOMENT_NS)


@pytest.mark.parametrize("reply", [b"", b"Size: 7\n", b"Path: x\nSize: -1\nMTime: 2001-02-03 04:05:06\nFlags: 1\n"])
def test_what_is_no_stat(reply: bytes) -> None:
    with pytest.raises(PeerError):
        xrdfs_replies.stat(reply)


def test_digests() -> None:
    assert xrdfs_replies.digest(b"adler32 6480215\n", "adler32") == {"adler32": "06480215"}
    # A server that has not what was asked for says what it has.
    assert xrdfs_replies.digest(b"adler32 06480215\n", "md5") == {}
    for reply in (b"", b"\n", b"md5 \n", b"md5 Error_accessing /d/x\n", b"md5 06480215\n", b"rot13 06480215\n"):
        with pytest.raises(PeerError):
            xrdfs_replies.digest(reply, "md5")


def refusal(number: int, words: str = "text") -> bytes:
    return f"[ERROR] Server responded with an error: [{number}] {words}\0\n\n".encode()


@pytest.mark.parametrize(
    ("said", "family"),
    [
        (refusal(3011, "Unable to locate /x; no such file or directory"), NotThere),
        (refusal(3010, "Stating path '/etc' is disallowed."), NotAllowed),
        (refusal(3016, "Unable to open /x; is a directory"), NotAFile),
        (refusal(3018, "Unable to mkdir /x; file exists"), AlreadyThere),
        (refusal(3009), NoSpace),
        (refusal(3021), NoSpace),
        (refusal(3013), Unsupported),
        (refusal(3005, "Unable to locate /a/b; not a directory"), NotADirectory),
        (refusal(3005, "Unable to remove /a; directory not empty"), DirectoryNotEmpty),
        (refusal(3005, "Unable to remove /a; no such device"), Unclear),
        (refusal(3012, "sha256 checksum not supported."), Unclear),
        (refusal(3024), PeerError),
        (b"Run: [ERROR] Server responded with an error: [3011] no such file\0 (source)\n\n", NotThere),
        (b"[FATAL] Connection error\n", PeerError),
        (b"[ERROR] Operation expired\n", PeerError),
        (b"[FATAL] Auth failed: No protocols left to try\n", NotAllowed),
        (b"[ERROR] Invalid response\n", Unreadable),
    ],
    ids=ascii,
)
def test_complaints(said: bytes, family: type[HoldfastError]) -> None:
    error = xrdfs_errors.meaning(said)
    assert type(error) is family
    assert "\n" not in str(error)
    assert "\0" not in str(error)


def test_no_complaint_is_no_error() -> None:
    for said in (b"", b"\n", b"[!] Some of the requests failed. The result may be incomplete.\n"):
        assert xrdfs_errors.meaning(said) is None


def test_no_token_is_in_an_error() -> None:
    error = xrdfs_errors.meaning(refusal(3010, "Opening /x?authz=Bearer%20SECRET is disallowed"))
    assert "SECRET" not in str(error)


@pytest.mark.parametrize("word", ["/a/b c", "/#;*[]{}~$`\\&|<>()!", "-p"])
def test_what_a_shell_takes_as_it_is(word: str) -> None:
    assert is_plain(["ls", word])


@pytest.mark.parametrize("word", ["/a\tb", '/a"b', "/a'b", "/grüße", "/a\nb", "/a\x7fb", ""])
def test_what_a_shell_does_not_take(word: str) -> None:
    assert not is_plain(["ls", word])
