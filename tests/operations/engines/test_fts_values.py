"""What FTS3 says, as values of ours; what we ask of it; the proxy that we sign for it: all without a service."""

from __future__ import annotations

import asyncio
import json
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from fts_world import place

from holdfast.config.engines import FtsSettings
from holdfast.model.clock import SECOND_US, system_clock
from holdfast.model.errors import HoldfastError
from holdfast.operations.codes import Code
from holdfast.operations.engine import EngineDown, Place, Transfer
from holdfast.operations.engines.fts import addresses, delegation, errors, reasons, replies, submission
from holdfast.operations.engines.fts.api import FtsApi, Timing
from holdfast.operations.engines.fts.errors import Away, Refused, Rejected
from holdfast.operations.engines.fts.replies import BadReply, Hidden, JobReport
from holdfast.operations.engines.fts.submission import FileToBring, Handle
from holdfast.operations.engines.proving import EngineFault
from holdfast.storage.abilities import FarFile
from holdfast.storage.access import Access
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.servers.test_authority import TestAuthority, new_key, pem
from holdfast.testing.servers.test_user import TestUser

VO = str(uuid.UUID(int=7))


# Why files failed.


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SOURCE [2] No such file or directory", Code.SOURCE_MISSING),
        ("SOURCE [21] Is a directory", Code.SOURCE_MISSING),
        ("SOURCE [13] Permission denied", Code.SOURCE_REFUSED),
        ("SOURCE [1] Operation not permitted", Code.SOURCE_REFUSED),
        ("SOURCE [36] File name too long", Code.UNNAMEABLE),
        ("SOURCE [93] Protocol not supported", Code.UNSUPPORTED),
        ("SOURCE [110] Connection timed out", Code.SOURCE_FAILED),
        ("STAGING [2] gone", Code.SOURCE_MISSING),
        ("STAGING [62] Timer expired", Code.SOURCE_FAILED),
        ("DESTINATION [28] No space left on device", Code.DESTINATION_FULL),
        ("DESTINATION [122] Disk quota exceeded", Code.DESTINATION_FULL),
        ("DESTINATION [30] Read-only file system", Code.DESTINATION_FULL),
        ("DESTINATION [13] Permission denied", Code.DESTINATION_REFUSED),
        ("DESTINATION [21] Is a directory", Code.DESTINATION_OCCUPIED),
        ("DESTINATION [17] Destination file exists", Code.DESTINATION_FAILED),
        ("DESTINATION [22] Source and destination file size mismatch", Code.DESTINATION_FAILED),
        ("ARCHIVING [110] timed out", Code.DESTINATION_FAILED),
        ("TRANSFER [28] No space left on device", Code.DESTINATION_FULL),
        ("TRANSFER [125] Transfer canceled", Code.STOPPED),
        ("TRANSFER [13] Permission denied", Code.ENGINE_FAILED),
        ("TRANSFER [5] checksums do not match", Code.ENGINE_FAILED),
        ("GENERAL_FAILURE [22] Unknown exception", Code.ENGINE_FAILED),
        ("No space left on device", Code.ENGINE_FAILED),
        ("SOURCE no number [2]", Code.ENGINE_FAILED),
        ("", Code.ENGINE_FAILED),
    ],
)
def test_scope_and_number_decide(text: str, code: Code) -> None:
    assert reasons.of(text).code is code


@pytest.mark.parametrize("text", ["TRANSFER [5] x", "TRANSFER [22] x", "TRANSFER [2] x", "SOURCE [5] x"])
def test_of_these_the_source_has_to_be_asked(text: str) -> None:
    assert reasons.of(text).is_suspect


@pytest.mark.parametrize(
    "text", ["DESTINATION [5] x", "SOURCE [2] x", "TRANSFER [110] x", "GENERAL_FAILURE [5] x", "x"]
)
def test_of_these_it_has_not(text: str) -> None:
    assert not reasons.of(text).is_suspect


def test_something_in_the_place_is_told() -> None:
    assert reasons.of("DESTINATION [17] x").is_occupied
    assert reasons.of("TRANSFER [17] x").is_occupied
    assert not reasons.of("SOURCE [17] x").is_occupied


# What it answers.


def test_jobs_and_files_are_read() -> None:
    row: dict[str, Any] = {
        "job_id": "a",
        "job_state": "ACTIVE",
        "reason": None,
        "files": [
            {"file_state": "FINISHED", "dest_surl": "u", "reason": None, "file_metadata": {"ordinal": 3}},
            {"file_state": "FAILED", "dest_surl": "v", "reason": "SOURCE [2] a\nb", "file_metadata": '{"ordinal": 4}'},
            {"file_state": "ON_HOLD", "dest_surl": "w", "file_metadata": None},
        ],
    }
    report = replies.jobs(row, ["a"])["a"]
    assert isinstance(report, JobReport)
    assert not report.is_over
    assert [(file.ordinal, file.is_over, file.reason) for file in report.files] == [
        (3, True, ""),
        (4, True, "SOURCE [2] a b"),
        (None, False, ""),
    ]


def test_of_several_jobs_those_that_are_not_shown_are_told() -> None:
    rows = [
        {"job_id": "a", "job_state": "FINISHED"},
        {"job_id": "b", "http_status": "404 Not Found", "http_message": "no"},
    ]
    found = replies.jobs(rows, ["a", "b"])
    assert found["b"] == Hidden("b", 404, "no")
    assert isinstance(found["a"], JobReport)
    assert found["a"].is_over


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {"job_id": "b", "job_state": "ACTIVE"},
        {"job_id": "a"},
        {"job_id": "a", "http_status": "teapot"},
        {"job_id": "a", "job_state": "ACTIVE", "files": {}},
        {"job_id": "a", "job_state": "ACTIVE", "files": [{"dest_surl": "u"}]},
        {"job_id": "a", "job_state": "ACTIVE", "files": [{"file_state": 1, "dest_surl": "u"}]},
    ],
)
def test_what_makes_no_sense_is_no_value(document: object) -> None:
    with pytest.raises(BadReply):
        replies.jobs(document, ["a"])


@pytest.mark.parametrize(
    "document", [None, {}, [], {"method": "unauthenticated", "vos_id": []}, {"delegation_id": "x"}]
)
def test_nobody_is_no_identity(document: object) -> None:
    with pytest.raises(BadReply):
        replies.identity(document)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Refused), (403, Rejected), (404, Rejected), (419, Rejected), (429, Away), (500, Away), (503, Away)],
)
def test_statuses_have_their_meaning(status: int, kind: type[HoldfastError]) -> None:
    error = errors.meaning(status, "words", place="here", retry_after="7")
    assert type(error) is kind
    assert getattr(error, "wait_s", 7) == 7


# What is asked.


def transfer(ordinal: int = 0, **changed: Any) -> Transfer:
    source = place("bern", MemoryDriver(), "root://bern.test:1094/", f"/f{ordinal}")
    destination = place("oslo", MemoryDriver(), "davs://oslo.test/data", f"/f{ordinal}")
    made = Transfer(ordinal, f"t{ordinal}", 5, {"adler32": "0a0b0c0d", "md5": "0" * 32}, source, destination)
    return replace(made, **changed)


def telling(made: Place, *algorithms: str) -> Place:
    class Driver(MemoryDriver):
        @property
        def capabilities(self):  # type: ignore[no-untyped-def]
            return replace(super().capabilities, told=frozenset(algorithms))

    return replace(made, driver=Driver())


def document(
    *transfers: Transfer, bearer: str = "", tokens: tuple[str, str] = ("", ""), **settings: Any
) -> dict[str, Any]:
    files = [
        FileToBring(each, FarFile(each.source.pfn, tokens[0]), FarFile(each.destination.pfn, tokens[1]))
        for each in transfers
    ]
    handle = Handle.new("claim", VO)
    return submission.document(handle, files, FtsSettings(**settings), priority=4, bearer=bearer)


def test_a_handle_survives_being_written() -> None:
    handle = Handle.new("claim/with/strokes", VO)
    assert Handle.parse(str(handle)) == handle
    assert Handle.new("claim/with/strokes", VO) == handle
    assert Handle.new("other", VO).job_id != handle.job_id


def test_nothing_is_overwritten_and_nobody_tries_again_behind_our_back() -> None:
    params = document(transfer())["params"]
    assert params["overwrite"] is False
    assert params["retry"] == -1
    assert (params["id_generator"], params["sid"], params["priority"]) == ("deterministic", "claim", 4)
    assert params["max_time_in_queue"] == "86400s"
    assert "bring_online" not in params


def test_a_source_on_tape_is_staged() -> None:
    made = transfer()
    params = document(replace(made, source=replace(made.source, is_tape=True)), bring_online_s=7, pin_lifetime_s=8)[
        "params"
    ]
    assert (params["bring_online"], params["copy_pin_lifetime"]) == (7, 8)
    assert "max_time_in_queue" not in params


@pytest.mark.parametrize(
    ("source", "destination", "setting", "checksum", "ends"),
    [
        (["adler32"], ["adler32"], "both", "ADLER32:0a0b0c0d", "both"),
        (["md5"], ["adler32", "md5"], "both", "MD5:" + "0" * 32, "both"),
        ([], ["adler32"], "both", "ADLER32:0a0b0c0d", "target"),
        (["adler32"], [], "both", "ADLER32:0a0b0c0d", "source"),
        (["md5"], ["adler32"], "both", "ADLER32:0a0b0c0d", "target"),
        ([], [], "both", None, "none"),
        (["sha256"], ["sha256"], "both", None, "none"),
        (["adler32"], ["adler32"], "source", "ADLER32:0a0b0c0d", "source"),
        (["adler32"], ["adler32"], "none", None, "none"),
    ],
)
def test_checksums_are_compared_where_they_are_told(
    source: list[str], destination: list[str], setting: str, checksum: str | None, ends: str
) -> None:
    made = transfer()
    made = replace(made, source=telling(made.source, *source), destination=telling(made.destination, *destination))
    asked = document(made, verify_checksum=setting)
    assert asked["files"][0].get("checksum") == checksum
    assert asked["params"]["verify_checksum"] == ends


def test_all_files_of_a_job_are_compared_by_one_algorithm() -> None:
    made = [
        replace(
            each, source=telling(each.source, "adler32", "md5"), destination=telling(each.destination, "adler32", "md5")
        )
        for each in (transfer(0), transfer(1, checksums={"md5": "1" * 32}))
    ]
    asked = document(*made)
    assert [file["checksum"] for file in asked["files"]] == ["MD5:" + "0" * 32, "MD5:" + "1" * 32]


def test_tokens_of_storages_go_with_their_files() -> None:
    assert "source_tokens" not in document(transfer(), bearer="own")["files"][0]
    file = document(transfer(), bearer="own", tokens=("", "theirs"))["files"][0]
    assert (file["source_tokens"], file["destination_tokens"]) == (["own"], ["theirs"])
    assert "source_tokens" not in document(transfer(), tokens=("a", "b"))["files"][0], (
        "who shows a proxy shows no tokens"
    )


@pytest.mark.parametrize(
    ("url", "path", "address"),
    [
        ("davs://oslo.test/data", "/a b%", "davs://oslo.test/data/a%20b%25"),
        ("root://oslo.test/", "/a b%", "root://oslo.test//a b%"),
        ("https://oslo.test", "/a?b#c", "https://oslo.test/a%3Fb%23c"),
    ],
)
def test_addresses_carry_names(url: str, path: str, address: str) -> None:
    made = place("oslo", MemoryDriver(), url, path)
    assert asyncio.run(addresses.of_source(made)).url == address
    assert addresses.name_in(address) == path.split("/")[-1]


class CopyingDriver(MemoryDriver):
    """One that speaks to other storages, and says in addresses what it shows them."""

    far = FarFile("root://oslo.test//a%b")
    copies_over = "root"

    @property
    def capabilities(self):  # type: ignore[no-untyped-def]
        return replace(super().capabilities, third_party_copy=True)

    async def far_file(self, path: str) -> FarFile:
        return self.far

    async def told(self, *_: Any, **__: Any) -> Any:
        raise AssertionError

    pull = push = told


@pytest.mark.parametrize(
    ("far", "token"),
    [
        (FarFile("root://oslo.test//a%b"), ""),
        (FarFile("root://oslo.test//a%b", "mine"), "mine"),
        (FarFile("root://oslo.test//a%b?xrd.gsiusrpxy=/secret/proxy&authz=Bearer%20mine"), "mine"),
        (FarFile("root://oslo.test//a%b?xrd.gsiusrpxy=/secret/proxy"), ""),
    ],
)
def test_addresses_say_nothing_of_what_we_show_ourselves(far: FarFile, token: str) -> None:
    driver = CopyingDriver()
    driver.far = far
    made = place("oslo", driver, "root://oslo.test/", "/a%b")
    assert asyncio.run(addresses.of_destination(made, "/other")) == FarFile("root://oslo.test//a%b", token)


@pytest.mark.parametrize("path", ["/a?b", "/a#b", "/blank "])
def test_names_that_no_address_carries_are_told(path: str) -> None:
    with pytest.raises(EngineFault) as told:
        asyncio.run(addresses.of_source(place("oslo", MemoryDriver(), "root://oslo.test/", path)))
    assert told.value.code is Code.UNNAMEABLE


# Patience.


def test_pauses_grow_with_jitter_and_are_no_shorter_than_asked_for() -> None:
    timing = Timing(asyncio.sleep, lambda: 0.0, lambda: 1.0)
    assert [timing.pause_s(attempt) for attempt in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert timing.pause_s(0, 12.0) == 12.0
    assert timing.pause_s(0, 1e9) == 30.0
    assert Timing(asyncio.sleep, lambda: 0.0, lambda: 0.0).pause_s(3) == 2


def test_patience_ends() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    api = FtsApi("https://nowhere.test", Access(), Timing(sleep, lambda: sum(slept), lambda: 1.0))
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise Away("not now")

    with pytest.raises(Away):
        asyncio.run(api.patiently(call, 10.0))
    assert slept == [0.5, 1, 2, 4]
    assert calls == 5


# The proxy that we sign.


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> TestUser:
    return TestUser(TestAuthority(tmp_path_factory.mktemp("authority") / "ca"), "Alice")


def request_of(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Dummy")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("kind", ["proxy", "credentials"])
def test_what_we_sign_is_a_proxy_that_openssl_takes(user: TestUser, tmp_path: Path, kind: str) -> None:
    key = new_key()
    credential = getattr(user, kind)(tmp_path / "credential").read_bytes()
    chain = delegation.signed(request_of(key), credential, now_us=system_clock(), lifetime_s=3600)
    assert b"PRIVATE KEY" not in chain
    made, *above = x509.load_pem_x509_certificates(chain)
    assert made.public_key() == key.public_key()
    assert list(made.subject)[:-1] == list(above[0].subject)
    (tmp_path / "made").write_bytes(pem(made))
    (tmp_path / "above").write_bytes(b"".join(map(pem, above)))
    command = ["openssl", "verify", "-allow_proxy_certs", "-CAfile", str(user._authority.bundle)]
    ran = subprocess.run(
        [*command, "-untrusted", str(tmp_path / "above"), str(tmp_path / "made")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_it_counts_no_longer_than_its_chain(user: TestUser, tmp_path: Path) -> None:
    now_us = system_clock()
    short = user.proxy(tmp_path / "short", lifetime_s=600).read_bytes()
    made, above, *_ = x509.load_pem_x509_certificates(
        delegation.signed(request_of(new_key()), short, now_us=now_us, lifetime_s=7200)
    )
    assert made.not_valid_after_utc == above.not_valid_after_utc
    long = user.credentials(tmp_path / "long").read_bytes()
    made, *_ = x509.load_pem_x509_certificates(
        delegation.signed(request_of(new_key()), long, now_us=now_us, lifetime_s=7200)
    )
    assert abs(made.not_valid_after_utc.timestamp() - now_us / SECOND_US - 7200) < 2


def test_a_request_that_its_key_has_not_signed_is_not_signed_by_us(user: TestUser, tmp_path: Path) -> None:
    credential = user.credentials(tmp_path / "own").read_bytes()
    good = x509.load_pem_x509_csr(request_of(new_key())).public_bytes(serialization.Encoding.DER)
    bad = good[:-1] + bytes([good[-1] ^ 1])
    request = bytearray(x509.load_der_x509_csr(bad).public_bytes(serialization.Encoding.PEM))
    for each in (bytes(request), b"nonsense"):
        with pytest.raises(BadReply):
            delegation.signed(each, credential, now_us=system_clock(), lifetime_s=60)


def test_without_a_key_nothing_is_signed(user: TestUser) -> None:
    with pytest.raises(EngineDown):
        delegation.signed(request_of(new_key()), pem(user.certificate), now_us=system_clock(), lifetime_s=60)


def test_no_secret_is_in_a_representation() -> None:
    wanted = FileToBring(transfer(), FarFile("u", "secret-token"), FarFile("v", "secret-token"))
    assert "secret-token" not in repr(wanted)
    assert "secret-token" in json.dumps(document(transfer(), bearer="own", tokens=("secret-token", "x")))
