"""Writes into stores that pass over conditions, lose bytes, or say "200 OK" and mean an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from holdfast.model.errors import HoldfastError, OperatorError, PeerError
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import AlreadyThere, NoSpace, NotAllowed, Stat
from holdfast.testing.driver_hooks import pattern, stream
from support.s3_store import HEADED, Answer, Asked, KeyStore, error, reply

MIB = 1 << 20


@dataclass
class Forgetful:
    """A store that keeps only ``kept`` bytes of anything and no conditions; objects are their ETag and size."""

    kept: int = 1 << 40
    heard_etag: str = "e"
    """What it says to whoever uploads; HEAD says "e"."""
    there: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    parts: int = 0

    def __call__(self, asked: Asked) -> Answer:
        size = int(asked.headers.get("content-length", "0"))
        if not asked.key:
            return None
        if "uploads" in asked.query:
            return reply(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        if "partNumber" in asked.query:
            self.parts += size
            return reply(200, b"", 'ETag: "part"\r\n')
        if asked.method == "POST":
            self.there[asked.key] = ("e", min(self.parts, self.kept))
            said = f'<ETag>"{self.heard_etag}"</ETag>'.encode()
            return reply(200, b"<CompleteMultipartUploadResult>%b</CompleteMultipartUploadResult>" % said)
        if asked.method == "PUT":
            self.there[asked.key] = ("e", min(size, self.kept))
            return reply(200, b"", f'ETag: "{self.heard_etag}"\r\n')
        if asked.method == "DELETE":
            if "uploadId" not in asked.query:
                self.there.pop(asked.key, None)
            return reply(204)
        if asked.key not in self.there:
            return reply(404)
        etag, size = self.there[asked.key]
        told = reply(200, b"", f'Last-Modified: {HEADED}\r\nETag: "{etag}"\r\n')
        return told.replace(b"Length: 0", b"Length: %d" % size, 1)


def write(store: KeyStore, chunks: AsyncIterator[bytes], **options: object) -> Stat:
    async def whole() -> Stat:
        async with store.open():
            access = Access(AccessSettings(call_timeout_s=5))
            driver = open_driver("s3", store.root(**options), site="SITE", access=access)
            try:
                return await driver.write("/file", chunks)
            finally:
                await driver.close()

    return asyncio.run(whole())


@pytest.mark.parametrize("size", [5, 6 * MIB])
def test_a_store_that_passes_over_conditions_is_looked_at_right_before(size: int) -> None:
    store = Forgetful()
    keys = KeyStore(answers=store)

    async def source() -> AsyncIterator[bytes]:
        yield pattern(size)
        store.there[b"file"] = ("somebody else's", 7)

    with pytest.raises(AlreadyThere):
        write(keys, source(), part_mb=5)
    assert store.there == {b"file": ("somebody else's", 7)}


def test_the_store_is_asked_to_replace_nothing_and_looked_at_all_the_same() -> None:
    keys = KeyStore(answers=Forgetful())
    write(keys, stream(b"12345"))
    place = next(number for number, asked in enumerate(keys.asked) if asked.method == "PUT")
    assert keys.asked[place].headers["if-none-match"] == "*"
    assert (keys.asked[place - 1].method, keys.asked[place - 1].key) == ("HEAD", b"file")


def test_a_name_that_is_taken_between_the_look_and_the_request_is_not_replaced() -> None:
    store = Forgetful()
    refused = error(412, "PreconditionFailed")
    keys = KeyStore(answers=lambda asked: refused if asked.method == "PUT" else store(asked))
    with pytest.raises(AlreadyThere):
        write(keys, stream(b"12345"))


@pytest.mark.parametrize("size", [5, 6 * MIB])
def test_what_did_not_arrive_whole_is_removed(size: int) -> None:
    store = Forgetful(kept=3)
    with pytest.raises(PeerError, match=f"3 bytes of the {size} that it took; it was removed") as caught:
        write(KeyStore(answers=store), stream(pattern(size)), part_mb=5)
    assert caught.value.place == "SITE:s3://bucket:/file"
    assert store.there == {}


def test_what_may_be_somebody_elses_is_not_removed() -> None:
    store = Forgetful(kept=3, heard_etag="of the parts")
    with pytest.raises(PeerError, match="it is still there"):
        write(KeyStore(answers=store), stream(pattern(6 * MIB)), part_mb=5)
    assert b"file" in store.there


def test_the_etag_of_what_came_in_parts_may_be_another() -> None:
    store = Forgetful(heard_etag="of the parts")
    assert write(KeyStore(answers=store), stream(pattern(6 * MIB)), part_mb=5).size == 6 * MIB


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("AccessDenied", NotAllowed),
        ("QuotaExceeded", NoSpace),
        ("NoSuchBucket", OperatorError),
        ("PreconditionFailed", AlreadyThere),
        ("InternalError", PeerError),
        ("SomethingNew", PeerError),
    ],
)
@pytest.mark.parametrize("size", [5, 6 * MIB])
def test_ok_with_an_error_in_it_is_that_error(size: int, code: str, raised: type[HoldfastError]) -> None:
    """Stores begin to answer before they know: the code in the body decides."""
    store = Forgetful()
    said = error(200, code).replace(b"<Error>", b'<?xml version="1.0" encoding="UTF-8"?>\n \n<Error>')
    body = said.partition(b"\r\n\r\n")[2]

    def answers(asked: Asked) -> Answer:
        binds = asked.method == "POST" and "uploads" not in asked.query
        return reply(200, body) if binds or (asked.method == "PUT" and not asked.query) else store(asked)

    with pytest.raises(HoldfastError) as caught:
        write(KeyStore(answers=answers), stream(pattern(size)), part_mb=5)
    assert type(caught.value) is raised
    assert store.there == {}
