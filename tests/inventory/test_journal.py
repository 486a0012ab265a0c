"""The journal's form: what is written is read back, what is damaged is told, and digests bind everything."""

from __future__ import annotations

import contextlib
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory import journal
from holdfast.model import changes as c
from holdfast.model.errors import BadInput, BrokenInvariant, HoldfastError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    BlockFiles,
    CopyRequest,
    DeletionRequest,
    Evidence,
    FileColumns,
    Group,
    Lock,
    Orphan,
    RequestState,
)
from holdfast.testing import strategies as ours

TIMES = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
ORDINALS = st.lists(st.integers(0, 10_000), max_size=5).map(tuple)
SCOPE = st.lists(st.builds(BlockFiles, ours.block_names(), st.one_of(st.none(), ORDINALS)), max_size=3).map(tuple)
ORPHANS = st.lists(st.builds(Orphan, ours.lfns(), TIMES, TIMES, TEXT), max_size=3).map(tuple)
BLOCKS = st.lists(ours.block_keys(), max_size=3).map(tuple)
STATES = st.sampled_from(RequestState)

CHANGES: dict[type[c.Change], st.SearchStrategy[c.Change]] = {
    c.PutSite: st.builds(c.PutSite, ours.sites(), st.sampled_from(["put-site", "set-site"])),
    c.RemoveSite: st.builds(c.RemoveSite, ours.words()),
    c.PutGroup: st.builds(c.PutGroup, st.builds(Group, ours.words())),
    c.CreateDataset: st.builds(c.CreateDataset, st.one_of(ours.datasets(), ours.datasets(site="A"))),
    c.UpdateDataset: st.builds(
        c.UpdateDataset,
        ours.dataset_keys(),
        metadata=st.one_of(st.none(), ours.metadata()),
        is_open=st.one_of(st.none(), st.booleans()),
    ),
    c.RegisterFiles: st.builds(
        c.RegisterFiles, ours.block_keys(), TIMES, ours.file_columns(), TEXT, TEXT, st.one_of(st.none(), TIMES)
    ),
    c.RevealDataset: st.builds(c.RevealDataset, ours.dataset_keys(), TIMES, TIMES),
    c.AbandonStaged: st.builds(c.AbandonStaged, ours.dataset_keys()),
    c.RequestCopy: st.builds(
        c.RequestCopy,
        st.builds(
            CopyRequest,
            *(TEXT, ours.dataset_keys(), TEXT, SCOPE, TEXT, TEXT, STATES, TEXT, TIMES, st.booleans()),
            *(TEXT, st.integers(1, 5), st.one_of(st.none(), TIMES)),
        ),
    ),
    c.RequestDeletion: st.builds(
        c.RequestDeletion,
        st.builds(
            DeletionRequest,
            *(TEXT, TEXT, ORPHANS, TEXT, STATES, TEXT, TIMES, st.one_of(st.none(), ours.dataset_keys())),
            *(SCOPE, TEXT, st.integers(1, 5)),
        ),
    ),
    c.CloseRequest: st.builds(c.CloseRequest, TEXT, STATES, TEXT, st.sampled_from(["close-request", "end-request"])),
    c.ReduceRequest: st.builds(c.ReduceRequest, TEXT, SCOPE, TEXT),
    c.FilesDeleted: st.builds(c.FilesDeleted, ours.block_keys(), TEXT, ORDINALS, TEXT),
    c.FilesArrived: st.builds(c.FilesArrived, ours.block_keys(), TEXT, st.one_of(st.none(), ORDINALS), TIMES),
    c.FilesGone: st.builds(c.FilesGone, ours.block_keys(), TEXT, ORDINALS, st.sampled_from(Evidence), TEXT),
    c.FilesVerified: st.builds(c.FilesVerified, TEXT, st.lists(ours.block_keys(), max_size=3).map(tuple), TIMES),
    c.BlocksArrived: st.builds(c.BlocksArrived, TEXT, BLOCKS, TEXT, st.one_of(st.none(), TIMES), st.booleans()),
    c.RemoveReplicas: st.builds(c.RemoveReplicas, TEXT, BLOCKS, st.sampled_from(Evidence), TEXT),
    c.AssignReplicas: st.builds(
        c.AssignReplicas, TEXT, BLOCKS, st.one_of(st.none(), TEXT), st.one_of(st.none(), st.booleans())
    ),
    c.RemoveFiles: st.builds(c.RemoveFiles, ours.block_keys(), ORDINALS, TEXT),
    c.RenameFiles: st.builds(
        c.RenameFiles,
        ours.block_keys(),
        ORDINALS,
        st.lists(TEXT, max_size=2).map(tuple),
        ORDINALS,
        st.lists(TEXT, max_size=3).map(tuple),
        st.sampled_from(Evidence),
        TEXT,
    ),
    c.PutLock: st.builds(
        c.PutLock, st.one_of(ours.locks(), st.builds(Lock, TEXT, TEXT, ours.dataset_keys(), ours.block_names()))
    ),
    c.RemoveLock: st.builds(c.RemoveLock, TEXT),
    c.SetPermissions: st.builds(c.SetPermissions, st.lists(ours.permissions(), max_size=3).map(tuple)),
    c.StartEpoch: st.builds(c.StartEpoch, TEXT, TIMES, TEXT),
    c.ConfirmRestore: st.builds(c.ConfirmRestore, TEXT),
}
CHANGE = st.one_of(*CHANGES.values())
BODY = journal.encode(c.ChangeSet((c.PutGroup(Group("physics")), c.RemoveLock("a")), "me", "why"))
ENTRY: dict[str, Any] = {
    "before": "0" * 64,
    "body": BODY,
    "epoch": "e",
    "position": 7,
    "at_us": 5,
    "actor": "me",
    "cause": "why",
    "origin": c.Origin("far", "1"),
}


FORMAT = Path(__file__).parents[2] / "docs/formats/journal.md"


def kinds(change: type[c.Change]) -> tuple[str, ...]:
    """The words that stand for a change in an entry."""
    return get_args(get_type_hints(change)["kind"])


def test_every_change_has_a_strategy() -> None:
    assert CHANGES.keys() == set(c.Change.__args__)  # type: ignore[attr-defined]


def test_every_kind_of_change_is_described() -> None:
    described = re.findall(r"^\| `([a-z-]+)` \|", FORMAT.read_text(), re.MULTILINE)
    assert sorted(described) == sorted(kind for change in CHANGES for kind in kinds(change))


OLD_BODY = b"""[
{"request":{"id":"r1","dataset":["/a","1"],"site":"B","scope":[{"block":"0000","ordinals":[0,2]}],"reason":"why",
 "group":"physics","state":"open","detail":"","created_us":0,"replace":true},"kind":"request-copy"},
{"request":{"id":"d1","site":"A","orphans":[{"path":"/dark","size":5,"mtime_ns":1,"version":"v"}],"reason":"why",
 "state":"open","detail":"","created_us":0},"kind":"request-deletion"},
{"id":"r1","state":"done","detail":"all there","kind":"close-request"}
]"""
"""Requests as the first releases wrote them."""


def test_requests_of_the_first_releases_are_read() -> None:
    copy, deletion, end = journal.decode(OLD_BODY, position=1)
    scope = (BlockFiles("0000", (0, 2)),)
    assert copy == c.RequestCopy(CopyRequest("r1", DatasetKey("/a", "1"), "B", scope, "why", "physics", replace=True))
    assert deletion == c.RequestDeletion(DeletionRequest("d1", "A", (Orphan("/dark", 5, 1, "v"),), "why"))
    assert end == c.CloseRequest("r1", RequestState.DONE, "all there", kind="close-request")
    assert isinstance(end, c.CloseRequest)
    assert end.kind != c.CloseRequest("r1", RequestState.DONE).kind


@pytest.mark.parametrize("kind", CHANGES, ids=lambda kind: kind.__name__)
def test_every_change_is_read_back(kind: type[c.Change]) -> None:
    @given(CHANGES[kind])
    def is_read_back(change: c.Change) -> None:
        body = journal.encode(c.ChangeSet((change,), "me", "why"))
        stored = journal.pack(body)
        assert journal.unpack(stored, position=1) == body
        assert journal.decode(body, position=1) == (change,)

    is_read_back()


@given(st.lists(CHANGE, max_size=4).map(tuple))
def test_a_change_set_is_read_back_and_written_alike(changes: tuple[c.Change, ...]) -> None:
    body = journal.encode(c.ChangeSet(changes, "me", "why"))
    read = journal.decode(body, position=1)
    assert read == changes
    assert journal.encode(c.ChangeSet(read, "me", "why")) == body


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40).map(lambda text: text.encode(errors="surrogatepass"))))
def test_bytes_from_anywhere_raise_only_our_errors(data: bytes) -> None:
    for read in (journal.decode, journal.unpack):
        with contextlib.suppress(BrokenInvariant):
            assert read(data, position=3) is not None


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_a_changed_byte_is_an_error_or_another_digest(place: int, flip: int) -> None:
    damaged = BODY[:place] + bytes([BODY[place] ^ flip]) + BODY[place + 1 :]
    try:
        journal.decode(damaged, position=1)
    except BrokenInvariant:
        return
    assert journal.digest(**{**ENTRY, "body": damaged}) != journal.digest(**ENTRY)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[{}]",
        b'[{"kind":"no-such-change"}]',
        b'[{"kind":"put-group"}]',
        b'[{"kind":"put-group","group":{"name":7}}]',
        b'[{"kind":"remove-lock","id":"a"}',
        b"[" * 100_000,
    ],
    ids=lambda body: body[:40].decode(),
)
def test_a_body_that_makes_no_sense_is_told_with_its_place(body: bytes) -> None:
    with pytest.raises(BrokenInvariant) as caught:
        journal.decode(body, position=12)
    assert caught.value.place == "position 12"


def test_a_stored_body_that_is_cut_or_grown_is_told() -> None:
    stored = journal.pack(BODY)
    for damaged in (stored[:-1], stored[:5], b"", stored + b"x", stored + stored, BODY):
        with pytest.raises(BrokenInvariant):
            journal.unpack(damaged, position=1)


def test_a_stored_body_does_not_blow_up() -> None:
    bomb = zlib.compress(b"[" * (c.BYTES_MAX + 1), 9)
    with pytest.raises(BrokenInvariant, match="too long"):
        journal.unpack(bomb, position=1)


@pytest.mark.parametrize(
    "other",
    [
        {"before": "1" + "0" * 63},
        {"body": BODY + b" "},
        {"epoch": "f"},
        {"position": 8},
        {"at_us": 6},
        {"actor": "you"},
        {"cause": "whY"},
        {"origin": None},
        {"origin": c.Origin("far", "2")},
        {"origin": c.Origin("fa", "r1")},
        {"actor": "mewhy", "cause": ""},
        {"epoch": "e7", "position": 0},
    ],
    ids=lambda other: ",".join(other),
)
def test_the_digest_binds_every_field(other: dict[str, Any]) -> None:
    assert journal.digest(**{**ENTRY, **other}) != journal.digest(**ENTRY)


def test_the_digest_stays_what_it_was() -> None:
    # A vector, made with printf and sha256sum: other programs check our journals, so the form may not change unnoticed.
    assert BODY == b'[{"group":{"name":"physics"},"kind":"put-group"},{"id":"a","kind":"remove-lock"}]'
    assert journal.genesis("e") == "8e3073470060f3ebf077588f5ee4aa343e30333d7b83e3c501c676cb76686d98"
    assert journal.digest(**ENTRY) == "d2a7988e11300f5cc1c89d75da64128e34bdefb67016835413e8f22d5948d157"


def test_a_full_change_set_is_taken_and_a_fuller_one_refused() -> None:
    columns = FileColumns(("/d",), (0,) * c.ROWS_MAX, tuple(map(str, range(c.ROWS_MAX))), (1,) * c.ROWS_MAX)
    register = c.RegisterFiles(BlockKey(DatasetKey("/a"), "b"), 0, columns)
    full = c.ChangeSet((register,), "me", "why")
    assert journal.decode(journal.encode(full), position=1) == full.changes
    with pytest.raises(BadInput, match="50001 rows"):
        journal.encode(replace(full, changes=(register, c.RemoveLock("a"))))


@pytest.mark.parametrize("n_bytes", [c.BYTES_MAX, c.BYTES_MAX + 1])
def test_a_long_change_set_is_taken_and_a_longer_one_refused(n_bytes: int) -> None:
    empty = journal.encode(c.ChangeSet((c.RemoveLock(""),), "me", "why"))
    change_set = c.ChangeSet((c.RemoveLock("x" * (n_bytes - len(empty))),), "me", "why")
    if n_bytes <= c.BYTES_MAX:
        assert len(journal.encode(change_set)) == n_bytes
        stored = journal.pack(journal.encode(change_set))
        assert len(journal.unpack(stored, position=1)) == n_bytes
    else:
        with pytest.raises(BadInput, match="8000001 bytes"):
            journal.encode(change_set)


@given(ours.hostile_text())
def test_hostile_text_is_kept_or_refused(text: str) -> None:
    change_set = c.ChangeSet((c.RemoveLock(text),), text, text, origin=c.Origin(text, text))
    try:
        body = journal.encode(change_set)
    except HoldfastError as error:
        assert isinstance(error, BadInput)  # noqa: PT017 - both outcomes are right
    else:
        assert journal.decode(body, position=1) == change_set.changes
