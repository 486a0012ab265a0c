"""What goes out to object stores and what comes back: signatures, replies, TLS."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from holdfast.model.errors import OperatorError, PeerError
from holdfast.storage.access import Access, AccessSettings, Keys
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import Kind, Stat
from holdfast.storage.s3 import replies as s3_replies
from holdfast.storage.s3.door import encode
from holdfast.storage.s3.signing import EMPTY_SHA256, signed_headers
from holdfast.testing.servers.test_authority import TestAuthority
from support.s3_store import KeyStore

EXAMPLE = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
MOMENT_US = int(datetime(2013, 5, 24, tzinfo=UTC).timestamp()) * 1_000_000
WELCOME_SHA256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"


# The examples that Amazon has published with the algorithm.


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body_sha256", "signature"),
    [
        (
            "GET",
            "/test.txt",
            "",
            {"Range": "bytes=0-9"},
            EMPTY_SHA256,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            "",
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            WELCOME_SHA256,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/",
            "lifecycle=",
            {},
            EMPTY_SHA256,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/",
            "max-keys=2&prefix=J",
            {},
            EMPTY_SHA256,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_signatures_are_those_published(
    method: str, path: str, query: str, headers: dict[str, str], body_sha256: str, signature: str
) -> None:
    signed = signed_headers(
        EXAMPLE,
        method=method,
        host=HOST,
        path=path,
        query=query,
        headers=headers,
        body_sha256=body_sha256,
        region="us-east-1",
        at_us=MOMENT_US,
    )
    assert signed["authorization"].endswith(f"Signature={signature}")


@pytest.mark.real("moto")
def test_signatures_of_odd_keys_are_those_of_another_client() -> None:
    request, auth, credentials = (import_module(f"botocore.{name}") for name in ("awsrequest", "auth", "credentials"))
    for key in ("a b", "per%41cent", "a+b&c=d", "~tilde-._", "grüße/文件", "star*(x)'!", "back\\slash", "a//b"):
        path, query = f"/bucket/{encode(key, keep='/')}", f"prefix={encode(key)}"
        theirs = request.AWSRequest(method="GET", url=f"https://host:99{path}?{query}")
        signer = auth.S3SigV4Auth(credentials.Credentials("id", "secret", "session"), "s3", "eu-1")
        signer.add_auth(theirs)
        at = datetime.strptime(theirs.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        ours = signed_headers(
            Keys("id", "secret", "session"),
            method="GET",
            host="host:99",
            path=path,
            query=query,
            headers={},
            body_sha256=EMPTY_SHA256,
            region="eu-1",
            at_us=int(at.timestamp()) * 1_000_000,
        )
        assert ours["authorization"] == theirs.headers["Authorization"]


def test_without_keys_nothing_is_signed() -> None:
    headers = signed_headers(
        None, method="GET", host="h", path="/", query="", headers={"a": "b"}, body_sha256="", region="r", at_us=0
    )
    assert headers == {"a": "b", "host": "h"}


@given(some.text(some.characters(exclude_categories=["Cs"])))
def test_encoding_is_undone_by_every_server(text: str) -> None:
    assert unquote(encode(text)) == text
    assert encode(text) == quote(text, safe="-_.~")


# Replies.


@given(some.binary(max_size=200))
def test_rubbish_is_nothing_but_a_peer_error(data: bytes) -> None:
    with pytest.raises(PeerError):
        s3_replies.page(data)
    with pytest.raises(PeerError):
        s3_replies.receipt(data, "CopyObjectResult", "ETag")
    assert s3_replies.complaint(data) == ("", "")


WHOLE = (
    b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false'
    b"</IsTruncated><KeyCount>2</KeyCount><EncodingType>url</EncodingType><Contents><Key>a%0Ab</Key><LastModified>"
    b"2026-03-04T05:06:07.890Z</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size><StorageClass>STANDARD"
    b"</StorageClass><Owner><ID>me</ID></Owner></Contents><CommonPrefixes>"
    b"<Prefix>sub+dir/</Prefix></CommonPrefixes></ListBucketResult>"
)


def by_parser(data: bytes) -> s3_replies.Page:
    """A page as the parser reads it that all else falls back on."""
    return s3_replies.page(data.replace(b"<Contents>", b"<Contents >"))


@given(some.integers(0, len(WHOLE) - 1), some.binary(max_size=4), some.integers(0, 4))
@example(WHOLE.index(b"%0A"), b"\xc3\xa9", 3)
@example(WHOLE.index(b"%0A"), b"&lt;", 3)
@example(WHOLE.index(b"%0A"), b"\r\n", 3)
@example(WHOLE.index(b"%0A"), b"%FF+", 3)
@example(WHOLE.index(b"STANDARD"), b"&", 1)
@example(WHOLE.index(b"STANDARD"), b"\0", 1)
@example(WHOLE.index(b"STANDARD"), b"\x01", 1)
@example(WHOLE.index(b"STANDARD"), b"\xef\xbf\xbf", 1)
@example(WHOLE.index(b"e&quot;"), b"<x/>", 1)
def test_a_damaged_page_is_a_peer_error_or_what_the_parser_says(place: int, put: bytes, cut: int) -> None:
    data = WHOLE[:place] + put + WHOLE[place + cut :]
    try:
        page = s3_replies.page(data)
    except PeerError:
        with pytest.raises(PeerError):
            by_parser(data)
        return
    assert page == by_parser(data)
    assert all(stat.size >= 0 and isinstance(key, bytes) for key, stat in page.objects)


def test_a_page_cut_anywhere_is_a_peer_error() -> None:
    for place in range(len(WHOLE)):
        with pytest.raises(PeerError):
            s3_replies.page(WHOLE[:place])


def test_a_page_is_read() -> None:
    page = s3_replies.page(WHOLE)
    (found,) = page.objects
    assert found == (b"a\nb", Stat(Kind.FILE, 5, 1_772_600_767_000_000_000, "e"))
    assert isinstance(found[1], Stat)
    assert (page.prefixes, page.more, page.doubt) == ([b"sub dir/"], None, "")


def test_an_object_may_lack_its_etag() -> None:
    second = WHOLE[WHOLE.index(b"<Contents>") : WHOLE.index(b"<CommonPrefixes>")]
    without = second.replace(b"<ETag>&quot;e&quot;</ETag>", b"").replace(b"a%0Ab", b"c")
    page = s3_replies.page(WHOLE.replace(second, second + without))
    assert [(key, stat.version) for key, stat in page.objects] == [(b"a\nb", "e"), (b"c", "")]


def test_words_of_a_store_are_one_short_line() -> None:
    said = s3_replies.complaint(
        b"<Error><Code>Bad\n<x/>Code</Code><Message>a\n\x7fb " + b"x" * 999 + b"</Message></Error>"
    )
    assert said.message.startswith("a b x")
    assert len(said.message) <= 200


def test_no_secret_of_a_message_is_shown_in_part() -> None:
    body = b"<Error><Code>X</Code><Message>" + b"x" * 195 + b" secret-of-many-letters</Message></Error>"
    assert s3_replies.complaint(body, ["secret-of-many-letters"]).message == "x" * 195 + " ***"


@pytest.mark.parametrize(
    "declared",
    [
        b'<?xml version="1.0" encoding="ISO-8859-1"?>',
        b"<?xml version='1.0'  encoding = 'utf-7' ?>",
        b'<?xml version="1.0" encoding="UTF-16"?>',
        b'<?xml version="1.0" encoding="cp037"?>',
        b'<?xml version="1.0"?><!DOCTYPE x>',
        b'<?xml version="1.0"?><!doctype x [<!ENTITY a "b">]>',
    ],
)
def test_only_utf_8_without_document_types_is_read(declared: bytes) -> None:
    said = declared + WHOLE.partition(b"?>")[2]
    with pytest.raises(PeerError):
        s3_replies.page(said)
    with pytest.raises(PeerError):
        by_parser(said)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp037"])
def test_a_document_type_in_another_encoding_is_not_read(encoding: str) -> None:
    name = encoding.removesuffix("-le").removesuffix("-be")
    text = f'<?xml version="1.0" encoding="{name}"?><!DOCTYPE x [<!ENTITY a "b">]>{WHOLE.decode()[21:]}'
    with pytest.raises(PeerError):
        s3_replies.page(text.encode(encoding))
    without = f'<?xml version="1.0" encoding="{name}"?>{WHOLE.decode()[21:]}'
    with pytest.raises(PeerError):
        s3_replies.page(without.encode(encoding))


@pytest.mark.parametrize("encoding", [b"", b' encoding="UTF-8"', b" encoding='utf-8'"])
def test_utf_8_is_read_however_it_is_named(encoding: bytes) -> None:
    page = s3_replies.page(b'<?xml version="1.0"' + encoding + b"?>" + WHOLE.partition(b"?>")[2])
    assert page == s3_replies.page(WHOLE)


# TLS.


def test_tls_is_verified_by_the_authorities_of_the_site(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    authority = TestAuthority(tmp_path / "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.host_certificate, authority.host_key)
    store = KeyStore([b"file"])

    async def scenario() -> None:
        async with store.open(context):
            root = f"s3://bucket?endpoint=https://127.0.0.1:{store.port}"
            trusting = open_driver("s3", root, site="SITE", access=Access(AccessSettings(authorities=authority.certs)))
            assert (await trusting.list("/")).entries[0].name == "file"
            await trusting.close()
            stranger = open_driver("s3", root, site="SITE")
            with pytest.raises(OperatorError, match="not trusted") as caught:
                await stranger.list("/")
            assert "authorities" in caught.value.hint
            await stranger.close()

    asyncio.run(scenario())
