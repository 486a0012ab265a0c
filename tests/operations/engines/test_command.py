"""operations.engines.command: whatever the program does, a file counts when it is there and right.

Method: shell scripts of a line or two as movers between two folders; and the
programs that sites really have, where they are installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from folders import NoRename

from holdfast.config import CommandSettings
from holdfast.model.clock import system_clock
from holdfast.operations.codes import Code
from holdfast.operations.engine import ClaimLost, EngineDown, Job, Outcome, Place, Transfer, Verdict
from holdfast.operations.engines import mover_names
from holdfast.operations.engines.command import CommandEngine
from holdfast.operations.engines.proving import EngineFault
from holdfast.storage import doors, parts
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import StorageDriver
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.engine_hooks import MemoryDesk
from holdfast.testing.memory_driver import MemoryDriver
from support import real

COPY = ("cp", "{source}", "{destination}")
NAMES = (
    "/d/plain",
    "/d/with blank",
    "/d/100%25",
    "/d/quote'\"$(x)",
    "/d/-dash",
    "/e/\u00fcml\u00e4ut \u2603",
    "/d/empty",
)


class TestDesk(MemoryDesk):
    """A desk that may want to know when a file is settled."""

    __test__ = False
    on_settle: Callable[[int], None] | None = None

    async def keep(self, handle: str) -> None:
        raise AssertionError("there is no service")

    def settle(self, ordinal: int, outcome: Outcome) -> None:
        super().settle(ordinal, outcome)
        if self.on_settle is not None:
            self.on_settle(ordinal)


class Links:
    """Two folders, A and B, and the program between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots = {site: folder / site for site in "AB"}
        for root in self.roots.values():
            root.mkdir()
        self.drivers: dict[str, StorageDriver] = {
            site: PosixDriver(root, label=site) for site, root in self.roots.items()
        }
        self.access: Mapping[str, Access] = {site: Access(site=site) for site in "AB"}
        self.desk = TestDesk()

    def put(self, site: str, path: str, data: bytes) -> None:
        place = self.roots[site] / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def get(self, path: str, site: str = "B") -> bytes | None:
        place = self.roots[site] / path[1:]
        return place.read_bytes() if place.exists() else None

    def left(self) -> list[str]:
        """The names of all files at the destination."""
        root = self.roots["B"]
        return sorted(f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file())

    def place(self, site: str, path: str) -> Place:
        return Place(site, self.drivers[site], path, f"{self.roots[site]}{path}")

    def transfers(self, contents: Mapping[str, bytes], **given: Any) -> list[Transfer]:
        made = []
        for ordinal, (path, data) in enumerate(contents.items()):
            digests = digests_of(data, ["adler32", "sha256"])
            ends = (self.place("A", path), self.place("B", path))
            made.append(Transfer(ordinal, f"token{ordinal}", len(data), digests, *ends, **given))
        return made

    def engine(self, *template: str, **settings: Any) -> CommandEngine:
        configured = CommandSettings(template=template, **settings)
        return CommandEngine(configured, lambda site: self.access[site], system_clock)

    async def carrying(self, engine: CommandEngine, transfers: Sequence[Transfer], streams: int = 3) -> None:
        await engine.carry(Job("claim", transfers, streams=streams), self.desk)

    def carry(self, engine: CommandEngine, transfers: Sequence[Transfer], streams: int = 3) -> list[Outcome]:
        asyncio.run(self.carrying(engine, transfers, streams))
        return [self.desk.outcomes[transfer.ordinal] for transfer in transfers]

    def bring_one(self, engine: CommandEngine, **given: Any) -> Outcome:
        """Have /d/f brought, which has the bytes that are expected."""
        self.put("A", "/d/f", b"good bytes")
        [outcome] = self.carry(engine, self.transfers({"/d/f": b"good bytes"}, **given))
        return outcome

    def script(self, text: str) -> str:
        """A program that is this shell script; its arguments are $1 and so on."""
        path = self.folder / f"mover{len(list(self.folder.iterdir()))}"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)


@pytest.fixture
def links(tmp_path: Path) -> Links:
    return Links(tmp_path)


BATCH_COPY = """
python3 - "$1" "$2" <<'END'
import json, shutil, sys
with open(sys.argv[1], encoding="utf-8") as files, open(sys.argv[2], "w") as report:
    for line in files:
        file = json.loads(line)
        try:
            shutil.copyfile(file["source"], file["destination"])
            print(json.dumps({"id": file["id"], "state": "done"}), file=report, flush=True)
        except OSError as error:
            print(json.dumps({"id": file["id"], "state": "retry", "error": str(error)}), file=report, flush=True)
END
"""


def batch_engine(links: Links, text: str = BATCH_COPY, **settings: Any) -> CommandEngine:
    return links.engine(links.script(text), "{list}", "{report}", **settings)


CONTENTS = {path: path.encode() * (0 if path.endswith("empty") else 50) for path in NAMES}


@pytest.mark.parametrize("form", ["files", "batches"])
def test_files_of_any_name_are_copied_and_proved(links: Links, form: str):
    for path, data in CONTENTS.items():
        links.put("A", path, data)
    engine = links.engine(*COPY) if form == "files" else batch_engine(links)
    outcomes = links.carry(engine, links.transfers(CONTENTS))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.COPIED}, outcomes
    assert {path: links.get(path) for path in NAMES} == CONTENTS
    assert links.left() == sorted(NAMES)
    assert links.desk.n_bytes == {number: len(data) for number, data in enumerate(CONTENTS.values())}


@pytest.mark.parametrize("form", ["files", "batches"])
def test_where_the_storage_cannot_rename_the_final_name_is_written(links: Links, form: str):
    links.drivers["B"] = NoRename(links.roots["B"], label="B")
    for path, data in CONTENTS.items():
        links.put("A", path, data)
    engine = links.engine(*COPY) if form == "files" else batch_engine(links)
    outcomes = links.carry(engine, links.transfers(CONTENTS))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.COPIED}, outcomes
    assert links.left() == sorted(NAMES)


def test_the_program_sees_parts_names_only(links: Links):
    said = links.folder / "said"
    links.bring_one(links.engine(links.script(f'echo "$2" >> {said}; cp "$1" "$2"'), "{source}", "{destination}"))
    assert said.read_text().splitlines() == [f"{links.roots['B']}/d/{parts.part_name('token0')}"]


def test_all_that_may_stand_in_a_template(links: Links):
    said = links.folder / "said"
    fields = ("source_site", "source_path", "destination_site", "destination_path", "size", "checksum", "sha256")
    mover = links.script(f'printf "%s\\n" "$@" > {said}; cp "$1" "$2"')
    given = [f"{{{name}}}" for name in fields]
    outcome = links.bring_one(links.engine(mover, "{source}", "{destination}", *given, "{{x}}", "--size={size}"))
    assert outcome.verdict is Verdict.COPIED, outcome
    digests = digests_of(b"good bytes", ["adler32", "sha256"])
    part = f"/d/{parts.part_name('token0')}"
    assert said.read_text().splitlines()[2:] == [
        *("A", "/d/f", "B", part, "10", f"adler32:{digests['adler32']}", digests["sha256"], "{x}", "--size=10")
    ]


def test_a_checksum_that_is_not_known_is_not_made_up(links: Links):
    outcome = links.bring_one(links.engine(*COPY, "--md5={md5}"))
    assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.NO_CHECKSUM)
    assert "md5" in outcome.error
    assert links.left() == []


def test_what_is_there_is_found_and_the_program_not_run(links: Links):
    for path, data in CONTENTS.items():
        links.put("B", path, data)
    outcomes = links.carry(batch_engine(links, "exit 1"), links.transfers(CONTENTS))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.FOUND}


def test_a_different_file_stays_or_is_replaced(links: Links):
    links.put("B", "/d/f", b"other")
    outcome = links.bring_one(links.engine(*COPY))
    assert (outcome.code, links.get("/d/f")) == (Code.DESTINATION_OCCUPIED, b"other")
    links.desk = TestDesk()
    outcome = links.bring_one(links.engine(*COPY), replaceable=lambda: "")
    assert (outcome.verdict, outcome.has_replaced) == (Verdict.COPIED, True)
    assert links.get("/d/f") == b"good bytes"


def test_success_is_no_proof(links: Links):
    outcome = links.bring_one(links.engine("true", "{source}", "{destination}"))
    assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DESTINATION_EMPTY)
    links.desk = TestDesk()
    outcome = links.bring_one(links.engine(links.script('printf "wrong byte" > "$2"'), "{source}", "{destination}"))
    assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DAMAGED)
    assert links.left() == []


def test_failure_is_no_disproof(links: Links):
    mover = links.script('cp "$1" "$2"; echo "some attributes were not set" >&2; exit 23')
    assert links.bring_one(links.engine(mover, "{source}", "{destination}")).verdict is Verdict.COPIED


def test_a_wrong_or_missing_source_is_called_so(links: Links):
    files = {"/d/gone": b"x", "/d/longer": b"xy", "/d/other": b"xyz"}
    links.put("A", "/d/longer", b"xyxy")
    links.put("A", "/d/other", b"abc")
    outcomes = links.carry(links.engine(*COPY), links.transfers(files))
    assert [outcome.code for outcome in outcomes] == [Code.SOURCE_MISSING, Code.SOURCE_WRONG, Code.SOURCE_WRONG]
    assert all(outcome.error.startswith(("A:", "source is wrong: A:")) for outcome in outcomes), outcomes
    assert links.left() == []


def test_the_programs_last_words_are_told_without_secrets(links: Links):
    mover = links.script('echo "first" >&2; echo "no way to $2 with token=abcDEF123" >&2; exit 9')
    outcome = links.bring_one(links.engine(mover, "{source}", "{destination}"))
    assert outcome.code is Code.ENGINE_FAILED
    assert "ended with exit code 9: no way to {destination} with token=***" in outcome.error
    assert links.left() == []


def test_exit_codes_mean_what_is_configured(links: Links):
    mover = links.script('cp "$1" "$2"; exit $3')
    codes = {"retry_codes": (3,), "fatal_codes": (4,), "down_codes": (5,), "full_codes": (7,)}

    def outcome(code: int) -> Outcome:
        links.desk = TestDesk()
        return links.bring_one(links.engine(mover, "{source}", "{destination}", str(code), **codes))

    assert outcome(3).code is Code.ENGINE_FAILED
    assert outcome(4).code is Code.UNSUPPORTED
    assert outcome(7).code is Code.DESTINATION_FULL
    assert links.left() == []
    with pytest.raises(EngineDown, match="exit code 5"):
        outcome(5)
    assert links.left() == []
    assert links.desk.outcomes == {}
    assert outcome(6).verdict is Verdict.COPIED


def test_a_program_that_is_not_installed_is_an_engine_that_is_down(links: Links):
    with pytest.raises(EngineDown, match="holdfast-no-such-mover"):
        links.bring_one(links.engine("holdfast-no-such-mover", "{source}", "{destination}"))


def test_one_that_takes_too_long_or_is_silent_is_ended(links: Links):
    mover = links.script('printf half > "$2"; sleep 60')
    for limits in ({"timeout_s": 0.3}, {"silence_s": 0.3}):
        links.desk = TestDesk()
        outcome = links.bring_one(links.engine(mover, "{source}", "{destination}", **limits))
        assert outcome.code is Code.ENGINE_FAILED
        assert "was ended because it" in outcome.error
        assert links.left() == []


def test_what_came_before_the_limit_counts(links: Links):
    contents = {f"/d/{number}": b"x" * number for number in range(1, 5)}
    for path, data in contents.items():
        links.put("A", path, data)
    text = BATCH_COPY.replace("for line in files:", "for line in list(files)[:3]:") + "sleep 60"
    outcomes = links.carry(batch_engine(links, text, timeout_s=4.0), links.transfers(contents))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.COPIED] * 3 + [Verdict.FAILED]
    assert outcomes[3].code is Code.ENGINE_FAILED
    assert links.left() == ["/d/1", "/d/2", "/d/3"]


def test_what_is_reported_is_settled_while_the_program_runs(links: Links):
    contents = {"/d/1": b"x", "/d/2": b"yy"}
    for path, data in contents.items():
        links.put("A", path, data)
    go_on = links.folder / "go-on"
    links.desk.on_settle = lambda ordinal: go_on.touch()
    wait = f"while file['id'] and not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n        try:"
    text = BATCH_COPY.replace("import json", "import os, time, json").replace("try:", wait)
    outcomes = links.carry(batch_engine(links, text), links.transfers(contents))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.COPIED}
    assert list(links.desk.outcomes) == [0, 1]


def test_reports_may_say_what_has_failed_and_may_be_rubbish(links: Links):
    contents = {f"/d/{number}": b"x" * (number + 1) for number in range(6)}
    for path, data in contents.items():
        links.put("A", path, data)
    lines = [
        "rubbish",
        "[]",
        '{"id": true, "state": "done"}',
        '{"id": 77, "state": "done"}',
        '{"id": 1, "state": "retry", "error": "connection lost"}',
        '{"id": 2, "state": "failed", "error": "never"}',
        '{"id": 3, "state": "splendid"}',
        '{"id": 4, "state": "done"}',
        '{"id": 5, "state": "full"}',
        '{"id": 0, "state": "done"',
    ]
    report = "\n".join(f"printf '%s\\n' {shlex.quote(line)} >> $2" for line in lines)
    text = f"{BATCH_COPY.replace('file=report', 'file=sys.stderr')}\n{report}"
    outcomes = links.carry(batch_engine(links, text), links.transfers(contents))
    assert [outcome.code for outcome in outcomes] == [
        None,
        Code.ENGINE_FAILED,
        Code.UNSUPPORTED,
        None,
        None,
        Code.DESTINATION_FULL,
    ]
    assert "connection lost" in outcomes[1].error
    assert links.left() == ["/d/0", "/d/3", "/d/4"]


def test_the_list_as_columns(links: Links):
    contents = {path: data for path, data in CONTENTS.items() if "\u2603" not in path}
    contents["/d/back\\slash"] = b"x"
    for path, data in contents.items():
        links.put("A", path, data)
    kept = links.folder / "kept"
    text = f"""cp "$1" {kept}; python3 - "$1" <<'END'
import re, shutil, sys
for line in open(sys.argv[1], encoding="utf-8"):
    shutil.copyfile(*(re.sub(r"\\\\(.)", r"\\1", column) for column in line.split("\\t")[:2]))
END"""
    engine = links.engine(links.script(text), "{list}", list_format="tsv")
    outcomes = links.carry(engine, links.transfers(contents))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.COPIED}, (outcomes, kept.read_text())
    rows = [line.split("\t") for line in kept.read_text().splitlines()]
    assert [row[0] for row in rows] == [f"{links.roots['A']}{path}".replace("\\", "\\\\") for path in contents]
    adler32 = digests_of(b"x", ["adler32"])["adler32"]
    assert rows[-1][2:] == ["1", f"adler32:{adler32}", str(len(contents) - 1)]


def test_the_list_as_objects(links: Links):
    links.put("A", "/d/f", b"good bytes")
    kept = links.folder / "kept"
    engine = links.engine(
        links.script(f'cp "$1" {kept}; echo "$@" > {kept}.words'), "{list}", "{source_site}", "{streams}"
    )
    links.carry(engine, links.transfers({"/d/f": b"good bytes"}), streams=7)
    part = f"/d/{parts.part_name('token0')}"
    digests = digests_of(b"good bytes", ["adler32", "sha256"])
    assert json.loads(kept.read_text()) == {
        "id": 0,
        "source": f"{links.roots['A']}/d/f",
        "destination": f"{links.roots['B']}{part}",
        "size": 10,
        "checksum": f"adler32:{digests['adler32']}",
        "checksums": digests,
        "source_path": "/d/f",
        "destination_path": part,
    }
    assert Path(f"{kept}.words").read_text().split()[1:] == ["A", "7"]
    assert not Path(Path(f"{kept}.words").read_text().split()[0]).exists()


def test_credentials_are_told_as_files(links: Links, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a.token", "b.token"):
        (tmp_path / name).write_text(f"{name.replace('.', '')}\n")
        (tmp_path / name).chmod(0o600)
    links.access = {site: Access(AccessSettings(token=tmp_path / f"{site.lower()}.token"), site=site) for site in "AB"}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("RCLONE_CONFIG", "/etc/rclone.conf")
    said = links.folder / "said"
    mover = links.script(f'env > {said}; cp "$1" "$2"')
    engine = links.engine(mover, "{source}", "{destination}", inherit=("RCLONE_CONFIG", "NOT_SET"))
    assert links.bring_one(engine).verdict is Verdict.COPIED
    found = dict(line.split("=", 1) for line in said.read_text().splitlines())
    assert found["BEARER_TOKEN_FILE"] == found["HOLDFAST_DESTINATION_TOKEN"] == str(tmp_path / "b.token")
    assert found["HOLDFAST_SOURCE_TOKEN"] == str(tmp_path / "a.token")
    assert found["X509_USER_PROXY"] == "/nonexistent"
    assert found["RCLONE_CONFIG"] == "/etc/rclone.conf"
    assert "hidden" not in said.read_text()


def test_credentials_that_are_not_there_are_the_fault_of_their_end(links: Links, tmp_path: Path):
    links.access = {"A": Access(AccessSettings(token=tmp_path / "no.token"), site="A"), "B": Access(site="B")}
    for engine in (links.engine(*COPY), batch_engine(links)):
        links.desk = TestDesk()
        outcome = links.bring_one(engine)
        assert outcome.code is Code.SOURCE_FAILED
        assert "no.token" in outcome.error


@pytest.mark.parametrize("form", ["files", "batches"])
@pytest.mark.parametrize("rename", [True, False])
def test_a_cancelled_job_leaves_nothing_and_nobody(links: Links, form: str, rename: bool):
    if not rename:
        links.drivers["B"] = NoRename(links.roots["B"], label="B")
    contents = {f"/d/{number}": b"good" for number in range(4)}
    for path, data in contents.items():
        links.put("A", path, data)
    pid = links.folder / "pid"
    begin = f"echo $$ > {pid}.$$; mv {pid}.$$ {pid}"
    per_file = links.engine(links.script(f'printf ha > "$2"; {begin}; sleep 60'), "{source}", "{destination}")
    engine = per_file if form == "files" else batch_engine(links, f"{BATCH_COPY}\n{begin}; sleep 60")

    async def cancelled() -> None:
        job = asyncio.ensure_future(links.carrying(engine, links.transfers(contents), streams=1))
        while not pid.exists():
            await asyncio.sleep(0.01)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(cancelled())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert [path for path in links.left() if links.get(path) != b"good" or parts.is_part_name(path[3:])] == []


def test_a_lost_claim_changes_nothing(links: Links):
    ran = links.folder / "ran"
    for path, data in CONTENTS.items():
        links.put("A", path, data)
    mover = links.script(f"touch {ran}")
    for engine in (links.engine(mover, "{source}", "{destination}"), links.engine(mover, "{list}")):
        for lost_after in (0, 1):
            links.desk = TestDesk(checks=lost_after)
            with pytest.raises(ClaimLost):
                links.carry(engine, links.transfers(CONTENTS), streams=1)
            assert not ran.exists()
            assert links.left() == []


def test_a_claim_that_is_lost_while_the_program_runs_gives_no_final_name(links: Links):
    links.put("A", "/d/f", b"good bytes")
    links.desk = TestDesk(checks=2)
    with pytest.raises(ClaimLost):
        links.carry(links.engine(*COPY), links.transfers({"/d/f": b"good bytes"}))
    assert links.left() == []


def test_a_file_that_has_come_meanwhile_is_not_written_over(links: Links):
    links.drivers["B"] = NoRename(links.roots["B"], label="B")
    contents = {"/d/1": b"one", "/d/2": b"two"}
    for path, data in contents.items():
        links.put("A", path, data)
    n_looks = 0

    class Meanwhile(NoRename):
        async def make_directory(self, path: str) -> None:
            nonlocal n_looks
            n_looks += 1
            links.put("B", "/d/1", b"somebody's")
            await super().make_directory(path)

    links.drivers["B"] = Meanwhile(links.roots["B"], label="B")
    outcomes = links.carry(links.engine(*COPY), links.transfers(contents), streams=1)
    assert outcomes[0].verdict is Verdict.FAILED
    assert links.get("/d/1") == b"somebody's"
    assert (outcomes[1].verdict, n_looks) == (Verdict.COPIED, 1)


def test_discard_removes_what_carries_the_token(links: Links):
    links.put("B", f"/d/{parts.part_name('token0')}", b"half")
    links.put("B", f"/d/{parts.part_name('token1')}", b"half")
    [transfer] = links.transfers({"/d/f": b""})
    asyncio.run(links.engine(*COPY).discard(transfer.destination, transfer.token))
    asyncio.run(links.engine(*COPY).discard(transfer.destination, transfer.token))
    assert links.left() == [f"/d/{parts.part_name('token1')}"]


def test_a_program_dies_with_us(links: Links):
    real.require("setpriv")
    pid = links.folder / "pid"
    mover = links.script(f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60")
    links.put("A", "/d/f", b"good bytes")
    child = os.fork()
    if child == 0:
        links.carry(links.engine(mover, "{source}", "{destination}"), links.transfers({"/d/f": b"good bytes"}))
        os._exit(0)
    while not pid.exists():
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    for _ in range(200):
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{int(pid.read_text())}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the program goes on without us")


BETWEEN_FOLDERS = {
    "rsync": ("rsync", "--whole-file", "{source}", "{destination}"),
    "rclone": ("rclone", "copyto", "--config", "", "{source}", "{destination}"),
    "xrdcp": ("xrdcp", "--silent", "--nopbar", "--force", "{source}", "{destination}"),
}
RANDOM = {f"/d/{number}": os.urandom(100_000 * number) for number in range(4)} | {"/e/with blank": b"x"}


@pytest.mark.parametrize("mover", BETWEEN_FOLDERS)
def test_movers_that_sites_have(links: Links, mover: str):
    real.require({"xrdcp": "xrdfs"}.get(mover, mover))
    for path, data in RANDOM.items():
        links.put("A", path, data)
    outcomes = links.carry(links.engine(*BETWEEN_FOLDERS[mover]), links.transfers(RANDOM), streams=2)
    assert {outcome.verdict for outcome in outcomes} == {Verdict.COPIED}, outcomes
    assert links.left() == sorted(RANDOM)


class Served(Links):
    """A folder, and a server as the destination; ``root`` is its door's."""

    def __init__(self, folder: Path, root: str, data: Path, protocol: str) -> None:
        super().__init__(folder)
        self.root = root
        self.protocol = protocol
        self.roots["B"] = data

    def place(self, site: str, path: str) -> Place:
        return super().place(site, path) if site == "A" else Place("B", self.drivers["B"], path, self.root + path)

    async def carrying(self, engine: CommandEngine, transfers: Sequence[Transfer], streams: int = 3) -> None:
        # Drivers of servers belong to one event loop.
        self.drivers["B"] = driver = doors.open_driver(self.protocol, self.root, site="B")
        places = [replace(each, destination=replace(each.destination, driver=driver)) for each in transfers]
        try:
            await super().carrying(engine, places, streams)
        finally:
            await driver.close()


@pytest.mark.slow
@pytest.mark.real("xrootd", "xrdfs")
def test_xrdcp_to_a_server(tmp_path: Path):
    from holdfast.testing.servers.xrootd_server import xrootd_server  # Its asserts are rewritten only after conftest.

    with xrootd_server() as server:
        links = Served(tmp_path, server.root_url, server.data, "xrdfs")
        for path, data in RANDOM.items():
            links.put("A", path, data)
        engine = links.engine(*BETWEEN_FOLDERS["xrdcp"])
        wrong = links.transfers({**RANDOM, "/d/1": b"other"})
        outcomes = links.carry(engine, wrong)
        assert [outcome.code for outcome in outcomes] == [None, Code.SOURCE_WRONG, None, None, None]
        assert links.left() == sorted(RANDOM.keys() - {"/d/1"})


@pytest.mark.slow
@pytest.mark.real("rclone")
def test_rclone_moves_batches_to_a_server(tmp_path: Path):
    from holdfast.testing.servers.rclone_server import rclone_server  # Its asserts are rewritten only after conftest.

    with rclone_server() as server:
        links = Served(tmp_path, server.url, server.data, "webdav")
        for path, data in RANDOM.items():
            links.put("A", path, data)
        remote = f":webdav,url='{server.url}':"
        text = f"""
python3 - "$1" <<'END'
import json, subprocess, sys
for line in open(sys.argv[1], encoding="utf-8"):
    file = json.loads(line)
    target = "{remote}" + file["destination_path"]
    subprocess.run(["rclone", "copyto", "--config", "", file["source"], target], check=True)
END
"""
        outcomes = links.carry(links.engine(links.script(text), "{list}"), links.transfers(RANDOM))
        assert {outcome.verdict for outcome in outcomes} == {Verdict.COPIED}, outcomes
        assert links.left() == sorted(RANDOM)


STRANGE = {f"/d/{name}": name.encode() for name in ("a#b", "a?b", "a%41", "a b", "plain")}
"""Names that are another file's, or none, where they stand as they are in a URL."""


@pytest.mark.slow
@pytest.mark.real("rclone")
@pytest.mark.parametrize("is_of_batches", [False, True])
def test_strange_names_in_urls(tmp_path: Path, is_of_batches: bool):
    """Brought by curl, which takes a URL as it is given, to a real server."""
    from holdfast.testing.servers.rclone_server import rclone_server  # Its asserts are rewritten only after conftest.

    real.require("curl")
    with rclone_server() as server:
        links = Served(tmp_path, server.url, server.data, "webdav")
        for path, data in STRANGE.items():
            links.put("A", path, data)
        if is_of_batches:
            text = """tab=$(printf '\\t')
cut -f 1,2 "$1" | while IFS=$tab read -r from to; do curl -fsS -T - "$to" < "$from"; done"""
            engine = links.engine(links.script(text), "{list}", list_format="tsv")
        else:
            engine = links.engine(links.script('exec curl -fsS -T - "$2" < "$1"'), "{source}", "{destination}")
        outcomes = links.carry(engine, links.transfers(STRANGE))
        assert {outcome.verdict for outcome in outcomes} == {Verdict.COPIED}, outcomes
        assert links.left() == sorted(STRANGE)
        assert [links.get(path) for path in STRANGE] == list(STRANGE.values())


def named(root: str, path: str) -> str:
    return mover_names.destination_name(Place("A", MemoryDriver(), "/x", f"{root}/x"), path)


def test_what_programs_call_a_file():
    assert named("https://host:1/x%20y", "/d/a#b?c %41") == "https://host:1/x%20y/d/a%23b%3Fc%20%2541"
    assert named("/data", "/d/a#b?c %41") == "/data/d/a#b?c %41"
    assert named("file:///my%20data", "/d/a#b") == "/my data/d/a#b"
    assert named("root://host//store", "/d/a#b %41") == "root://host//store/d/a#b %41"
    with pytest.raises(EngineFault, match="can carry"):
        named("root://host//store", "/d/a?b")


def test_a_name_that_no_address_can_carry_is_of_another_source(links: Links):
    links.put("A", "/d/a?b", b"x")
    [transfer] = links.transfers({"/d/a?b": b"x"})
    there = replace(transfer.source, pfn="root://host//store/d/a?b")
    [outcome] = links.carry(links.engine("cp", "{source}", "{destination}"), [replace(transfer, source=there)])
    assert outcome.code is Code.UNSUPPORTED
