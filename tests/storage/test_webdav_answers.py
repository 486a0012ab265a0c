"""What is read from answers to PROPFIND: XML, hrefs, times; and what is refused."""

from __future__ import annotations

import pytest

from holdfast.model.errors import PeerError
from holdfast.storage.driver import NOT_TOLD, Kind, Stat, Unnameable
from holdfast.storage.webdav import members as webdav_members
from holdfast.storage.webdav import times as webdav_times
from holdfast.storage.webdav.members import FoundMembers, Way
from holdfast.storage.webdav.propfind import DEPTH_MAX, MEMBER_BYTES_MAX, Member, Multistatus, Upset
from support.scripted_http import member, multistatus

AT_S = 1795238943
AT = "Sat, 21 Nov 2026 05:29:03 GMT"


def members_of(data: bytes, *, piece: int = 1 << 16) -> list[Member]:
    answer = Multistatus(place="SITE:/")
    for start in range(0, len(data), piece):
        answer.feed(data[start : start + piece])
    answer.close()
    return answer.take()


def found_in(*responses: str, base: str = "/d", way: Way = Way.ENCODED) -> FoundMembers:
    return webdav_members.read(members_of(multistatus(*responses)), base, way)


def names_in(*responses: str, base: str = "/d", way: Way = Way.ENCODED) -> list[str]:
    return [entry.name for entry in found_in(*responses, base=base, way=way).entries]


# XML.


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 16])
def test_members_are_the_same_in_whatever_pieces_they_come(piece: int) -> None:
    data = multistatus(
        member("/d/"), member("/d/ünï文", size=5), member("/d/b", size=0, more="<D:getetag>x</D:getetag>")
    )
    assert members_of(data, piece=piece) == [
        Member("/d/", 200, True, False, "", AT, ""),
        Member("/d/ünï文", 200, False, False, "5", AT, ""),
        Member("/d/b", 200, False, False, "0", AT, "x"),
    ]


def test_members_come_while_the_answer_still_goes_on() -> None:
    answer = Multistatus()
    data = multistatus(*(member(f"/d/{number}", size=1) for number in range(100)))
    answer.feed(data[: len(data) // 2])
    assert 40 < len(answer.take()) < 60
    answer.feed(data[len(data) // 2 :])
    assert 40 < len(answer.take()) < 60


@pytest.mark.parametrize("cut", [1, 20, 60, 200, -1, -20])
def test_an_answer_that_breaks_off_is_no_answer(cut: int) -> None:
    data = multistatus(member("/d/"), member("/d/a", size=5))
    with pytest.raises(PeerError):
        members_of(data[:cut])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"this is no XML",
        b"<html><body>login</body></html>",
        b'<multistatus xmlns="http://elsewhere"/>',
        b'<?xml version="1.0" encoding="iso-8859-1"?><multistatus xmlns="DAV:"/>',
        '<?xml version="1.0" encoding="utf-16"?><multistatus xmlns="DAV:"/>'.encode("utf-16"),
        multistatus("<D:response>"),
        multistatus("<D:href>&nothing;</D:href>"),
        multistatus("<D:a>" * (DEPTH_MAX + 1) + "</D:a>" * (DEPTH_MAX + 1)),
        bytes(range(256)),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_garbage_is_no_answer(data: bytes) -> None:
    with pytest.raises(PeerError):
        members_of(data)


def test_entities_are_refused_before_they_grow() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    with pytest.raises(PeerError, match="document type"):
        members_of(bomb.encode() + multistatus(member("/d/&b;", size=1))[21:])


@pytest.mark.parametrize("begin", ["<D:response><D:href>", "<D:response><D:href a='", "<!--", "<D:response "])
def test_a_member_without_end_is_refused(begin: str) -> None:
    answer = Multistatus()
    answer.feed(multistatus()[:-16] + begin.encode())
    for _ in range(MEMBER_BYTES_MAX // 65536 - 1):
        answer.feed(b"x" * 65536)
    with pytest.raises(PeerError, match="without end"):
        answer.feed(b"x" * 131072)


def test_what_is_written_after_the_answer_upsets_it() -> None:
    with pytest.raises(Upset):
        members_of(multistatus(member("/d/")) + b"Internal Server Error")


def test_only_what_stands_in_its_place_counts() -> None:
    nested = "<D:owner><D:href>/elsewhere</D:href><D:getcontentlength>7</D:getcontentlength></D:owner>"
    assert members_of(multistatus(member("/d/a", size=5, more=nested))) == [
        Member("/d/a", 200, False, False, "5", AT, "")
    ]


def test_properties_that_were_not_told_are_not_told() -> None:
    lacking = (
        "<D:response><D:href>/d/a</D:href>"
        "<D:propstat><D:prop><D:resourcetype/></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
        "<D:propstat><D:prop><D:getcontentlength>9</D:getcontentlength></D:prop>"
        "<D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>"
    )
    assert found_in(lacking).entries == [("a", Stat(Kind.FILE, NOT_TOLD, NOT_TOLD))]


@pytest.mark.parametrize(
    "refused",
    [
        "<D:response><D:href>/d/a</D:href><D:status>HTTP/1.1 403 Forbidden</D:status></D:response>",
        "<D:response><D:href>/d/a</D:href><D:propstat><D:prop><D:getcontentlength/></D:prop>"
        "<D:status>HTTP/1.1 403 Forbidden</D:status></D:propstat></D:response>",
    ],
    ids=["member", "properties"],
)
def test_a_member_that_came_with_an_error_is_reported(refused: str) -> None:
    found = found_in(member("/d/"), refused, member("/d/b", size=1))
    assert [entry.name for entry in found.entries] == ["b"]
    assert [(each.raw, "403" in each.reason) for each in found.unnameable] == [(b"a", True)]
    assert found.errors == 1


@pytest.mark.parametrize("size", ["-1", "12x", "1e3", "0x10", "9" * 19, "9" * 30, "½"])
def test_a_size_that_is_none_makes_the_answer_worthless(size: str) -> None:
    broken = member("/d/a", size=1).replace(">1<", f">{size}<")
    with pytest.raises(PeerError):
        found_in(broken)


def test_what_is_not_said_to_be_a_file_is_none() -> None:
    untyped = member("/d/a", size=1).replace("<D:resourcetype/>", "")
    refused = untyped.replace(
        "</D:propstat>",
        "</D:propstat><D:propstat><D:prop><D:resourcetype/></D:prop>"
        "<D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>",
    )
    found = found_in(member("/d/"), untyped, refused, member("/d/b", size=1))
    assert [entry.stat.kind for entry in found.entries] == [Kind.OTHER, Kind.OTHER, Kind.FILE]
    assert found.untyped == 2


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("0", Kind.FILE),
        ("1", Kind.DIRECTORY),
        ("", Kind.OTHER),
        # As XRootD says it of a file that may be executed.
        ("0</D:iscollection><D:executable>T</D:executable><D:iscollection>1", Kind.FILE),
    ],
)
def test_what_is_no_collection_may_say_so_in_xrootds_way(told: str, kind: Kind) -> None:
    said = member("/d/a", size=1).replace("<D:resourcetype/>", f"<D:iscollection>{told}</D:iscollection>")
    assert found_in(said).entries[0].stat.kind is kind


def test_a_reference_is_neither_a_file_nor_a_directory() -> None:
    reference = member("/d/a", size=1).replace("<D:resourcetype/>", "<D:resourcetype><D:redirectref/></D:resourcetype>")
    assert found_in(reference).entries[0].stat.kind is Kind.OTHER


# Names.


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("/d/a", "a"),
        ("/d/a/", "a"),
        ("a", "a"),
        ("./a", "a"),
        ("http://host/d/a", "a"),
        ("https://[::1]:1094/d/a", "a"),
        ("/d//a", "a"),
        ("\n  /d/a\n  ", "a"),
        ("/d/with%20blank", "with blank"),
        ("/d/per%2541cent", "per%41cent"),
        ("/d/%C3%A9", "\u00e9"),
        ("/d/e%CC%81", "e\u0301"),
        ("/%64/a", "a"),
        ("/d/a%2fb", None),
        ("/d/a%2F", None),
        ("/d/a/b", None),
        ("/d/..", None),
        ("/d/%2e%2e", None),
        ("/d/.", None),
        ("/elsewhere", None),
        ("/dd", None),
        ("/", None),
        ("http://host", None),
        ("../a", None),
    ],
)
def test_an_href_names_a_child_or_is_refused(href: str, name: str | None) -> None:
    found = found_in(member("/d/"), member(href, size=1))
    assert [entry.name for entry in found.entries] == ([] if name is None else [name])
    assert [each.raw for each in found.unnameable] == ([] if name is not None else [href.encode()])
    assert found.errors == (name is None)


@pytest.mark.parametrize("href", ["/d", "/d/", "http://host/d/", "/%64", "//d//"])
def test_the_directory_itself_is_no_entry(href: str) -> None:
    found = found_in(member(href))
    assert found.entries == []
    assert found.itself == Stat(Kind.DIRECTORY, 0, AT_S * 10**9)


@pytest.mark.parametrize(
    "name", ["with blank", " lead and trail ", "per%41cent", "100%", "a#b?c", "\u00e9", "plus+", "back\\slash", "a%2Fb"]
)
def test_bare_names_are_taken_as_they_are(name: str) -> None:
    assert names_in(member("/d"), member(f"/d/{name}", size=1), way=Way.BARE) == [name]


def test_the_root_has_children_as_well() -> None:
    assert names_in(member("/"), member("/a", size=1), member("//b", size=1), base="/") == ["a", "b"]


@pytest.mark.parametrize(
    ("hrefs", "way"),
    [
        (["/d/a b"], Way.BARE),
        (["/d/100%"], Way.BARE),
        (["/d/a%20b"], None),
        (["\n/d/a\n"], None),
        (["/d/\u00e9"], None),
    ],
)
def test_how_names_are_written_is_seen_where_it_can_be_seen(hrefs: list[str], way: Way | None) -> None:
    assert webdav_members.way_of(members_of(multistatus(*map(member, hrefs)))) is way


def test_hrefs_that_could_be_read_in_two_ways_are_disputed() -> None:
    members = members_of(multistatus(member("/d/a%20b"), member("/d/plain"), member("/d/100%")))
    assert webdav_members.disputed(members) == ["/d/a%20b"]
    assert webdav_members.both_ways("/d/a%20b", "/d") == ("a b", "a%20b")
    assert webdav_members.both_ways("/d/a%2Fb", "/d") is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"caf\xe9", "UTF-8"),
        (b"\xff\xfe", "UTF-8"),
        (b"a\x01b", "control"),
        (b"tab\t.", "control"),
        (b"\xed\xa0\x80", "UTF"),
    ],
)
def test_bytes_that_are_no_text_are_reported_and_lose_nothing_else(raw: bytes, reason: str) -> None:
    data = multistatus(member("/d"), member("/d/RAW", size=1), member("/d/other", size=2)).replace(b"RAW", raw)
    found = webdav_members.read(members_of(data, piece=3), "/d", Way.BARE)
    assert [entry.name for entry in found.entries] == ["other"]
    assert [each.raw for each in found.unnameable] == [raw]
    assert reason in found.unnameable[0].reason


def test_encoded_bytes_that_are_no_text_are_reported() -> None:
    found = found_in(member("/d/caf%E9", size=1), member("/d/line%0Abreak", size=1), member("/d/ok", size=1))
    assert [entry.name for entry in found.entries] == ["ok"]
    assert [each.raw for each in found.unnameable] == [b"caf\xe9", b"line\nbreak"]
    assert all(isinstance(each, Unnameable) and each.reason for each in found.unnameable)


def test_characters_xml_has_no_room_for_come_back() -> None:
    name = "a\uffffb\U0010fe41"
    data = multistatus(member(f"/d/{name}", size=1))
    assert [entry.name for entry in webdav_members.read(members_of(data), "/d", Way.BARE).entries] == [name]


# Times.


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        (AT, AT_S),
        ("2026-11-21T05:29:03Z", AT_S),
        ("2026-11-21T06:29:03.750+01:00", AT_S),
        ("2026-11-21 05:29:03", AT_S),
        ("Saturday, 21-Nov-26 05:29:03 GMT", AT_S),
        ("Sat Nov 21 05:29:03 2026", AT_S),
        ("Sat, 21 Nov 2026 05:29:03 +0000", AT_S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Tue, 29 Feb 2028 23:59:59 GMT", 1835481599),
    ],
)
def test_times_of_the_wild_are_read(text: str, at_s: int) -> None:
    assert webdav_times.parse(text) == at_s * 10**9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "Sat, 31 Feb 2026 05:29:03 GMT",
        "Sat, 21 Nov 2026 25:29:03 GMT",
        "Sat, 21 Nov 2026 05:60:03 GMT",
        "Fri, 01 Jan 9999 00:00:00 GMT",
        "Thu, 01 Jan 1600 00:00:00 GMT",
        "x" * 29,
        "1795238943",
    ],
)
def test_what_is_no_time_is_not_told(text: str) -> None:
    assert webdav_times.parse(text) == NOT_TOLD
