"""Comparing snapshots: are two forms of the inventory the same?

Everything the Snapshot protocol can be asked goes into the comparison, so that
two that pass answer every caller alike.
"""

from __future__ import annotations

from holdfast.inventory.store import Snapshot
from holdfast.model.records import Request


def described(snapshot: Snapshot) -> dict[str, object]:
    """All that a snapshot says, by question."""
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
            answers[f"block {block.key}"] = files, snapshot.replicas(block=block.key)
            answers[f"look-up in {block.key}"] = snapshot.lookup([*files.lfns(), "/not/there"])
    return answers


def assert_same(first: Snapshot, *others: Snapshot) -> None:
    """AssertionError that tells the first difference between a snapshot and others."""
    one = described(first)
    for other in map(described, others):
        for question in {**one, **other}:
            answers = one.get(question, "nothing"), other.get(question, "nothing")
            assert answers[0] == answers[1], f"{question}: {answers[0]!r} is not {answers[1]!r}"
