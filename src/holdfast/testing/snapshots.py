"""Comparing snapshots: are two forms of the inventory the same?

Everything the Snapshot protocol can be asked goes into the comparison, so that
two that pass answer every caller alike. Of checksums those count that both
forms keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from holdfast.inventory.store import Snapshot
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import FileColumns, FileRecord, Request

NO_DATASET = DatasetKey("/not/there")


def described(snapshot: Snapshot, digests: frozenset[str] | None = None) -> dict[str, object]:
    """All that a snapshot says, by question; of checksums only ``digests``, if they are given."""
    kept = snapshot.digests if digests is None else digests
    answers: dict[str, object] = {
        "head": snapshot.head,
        "sites": snapshot.sites(),
        "groups": snapshot.groups(),
        "visible datasets": snapshot.datasets(),
        "datasets": snapshot.datasets(staged=True),
        "replicas": snapshot.replicas(),
        "locks": snapshot.locks(),
        "open copies": snapshot.copy_requests(),
        "copies": snapshot.copy_requests(only_open=False),
        "open deletions": snapshot.deletion_requests(),
        "deletions": snapshot.deletion_requests(only_open=False),
        "permissions": snapshot.permissions(),
        "last touched": snapshot.last_touched(),
        "sums": snapshot.sums(),
    }
    requests: list[Request] = [*snapshot.copy_requests(only_open=False), *snapshot.deletion_requests(only_open=False)]
    answers.update({f"request {each.id}": snapshot.request(each.id) for each in requests})
    for position in {0, snapshot.head.position // 2, snapshot.head.position}:
        answers[f"changed since {position}"] = snapshot.changed_since(position)
    for site in snapshot.sites():
        answers[f"site {site.name}"] = snapshot.site(site.name), snapshot.replicas(site=site.name)
    for dataset in snapshot.datasets(staged=True):
        key = dataset.key
        answers[f"dataset {key}"] = snapshot.dataset(key), snapshot.blocks(key), snapshot.replicas(dataset=key)
        for block in snapshot.blocks(key):
            files = snapshot.files(block.key)
            answers[f"blocks below those of {block.key}"] = dict(snapshot.blocks_below(_directories(files)))
            answers[f"block {block.key}"] = _columns(files, kept), snapshot.replicas(block=block.key)
            found = snapshot.lookup([*files.lfns(), "/not/there"])
            answers[f"look-up in {block.key}"] = [each and _record(each, kept) for each in found]
    return answers | _found(snapshot)


def _directories(files: FileColumns) -> set[str]:
    """Directories of files, and the roots above them."""
    return {*files.dirs, *(f"/{each.split('/')[1]}" for each in files.dirs), "/"}


def _found(snapshot: Snapshot) -> dict[str, object]:
    """What the questions after many keys are answered."""
    datasets = [dataset.key for dataset in snapshot.datasets(staged=True)]
    blocks = [block.key for key in datasets for block in snapshot.blocks(key)]
    asked = [*blocks, *(BlockKey(key, "not there") for key in datasets), BlockKey(NO_DATASET, "x"), *blocks[:1]]
    sites = [*(site.name for site in snapshot.sites()), "none"]
    return {
        "datasets found": dict(snapshot.find_datasets([*datasets, NO_DATASET, *datasets[:1]])),
        "blocks found": dict(snapshot.find_blocks(asked)),
        "replicas of blocks found": dict(snapshot.find_replicas_of_blocks(asked)),
        **{f"replicas found at {site}": dict(snapshot.find_replicas(asked, site)) for site in sites},
    }


def _columns(files: FileColumns, digests: frozenset[str]) -> FileColumns:
    return files.with_digests(digests)


def _record(file: FileRecord, digests: frozenset[str]) -> FileRecord:
    return replace(file, checksums=_only(file.checksums, digests))


def _only(checksums: Mapping[str, object], digests: frozenset[str]) -> dict[str, Any]:
    return {algorithm: value for algorithm, value in checksums.items() if algorithm in digests}


def assert_same(first: Snapshot, *others: Snapshot) -> None:
    """AssertionError that tells the first difference between a snapshot and others."""
    for second in others:
        digests = first.digests & second.digests
        one, other = described(first, digests), described(second, digests)
        for question in {**one, **other}:
            answers = one.get(question, "nothing"), other.get(question, "nothing")
            assert answers[0] == answers[1], f"{question}: {answers[0]!r} is not {answers[1]!r}"
