"""StoreSuite: the rules of the Store contract and of ``holdfast.inventory.rules``, one test each.

Every store has a test class that inherits from StoreSuite and gives it three
hooks. Each test gets a fresh, empty store.

    class TestMyStore(StoreSuite):
        def make_store(self, clock): ...
        def reopen(self, store, clock): ...
        def restored(self, store, clock): ...

``reopen`` is what a new process finds after the one that had ``store`` died,
``restored`` another store that was made from a backup of ``store``. Nobody
overrides a test.
"""

from __future__ import annotations

import sys

import pytest

# Asserts then tell what was compared, like those in test files. Only before a module is imported it is not too late.
for _name in (
    "snapshots",
    "store_hooks",
    "store_bulk_rules",
    "store_dataset_rules",
    "store_deletion_rules",
    "store_directory_rules",
    "store_file_rules",
    "store_journal_rules",
    "store_proof_rules",
    "store_reading_rules",
    "store_replica_deletion_rules",
    "store_replica_rules",
    "store_request_rules",
    "store_retention_rules",
    "store_room_rules",
):
    if f"holdfast.testing.{_name}" not in sys.modules:
        pytest.register_assert_rewrite(f"holdfast.testing.{_name}")

from holdfast.testing.store_bulk_rules import AssignReplicasRules, BlocksArrivedRules, RemoveReplicasRules  # noqa: E402
from holdfast.testing.store_dataset_rules import DatasetRules, RegistrationRules, SiteRules  # noqa: E402
from holdfast.testing.store_deletion_rules import DeletionRules, RequirementRules  # noqa: E402
from holdfast.testing.store_directory_rules import DirectoryRules, IntoRules  # noqa: E402
from holdfast.testing.store_file_rules import RemoveFilesRules, RenameFilesRules  # noqa: E402
from holdfast.testing.store_journal_rules import EpochRules, JournalRules, NewsRules  # noqa: E402
from holdfast.testing.store_proof_rules import MovedSiteRules, ProofRules  # noqa: E402
from holdfast.testing.store_reading_rules import StoreReadingRules  # noqa: E402
from holdfast.testing.store_replica_deletion_rules import ReplicaDeletionRules  # noqa: E402
from holdfast.testing.store_replica_rules import LockRules, ReplicaRules, RequestRules  # noqa: E402
from holdfast.testing.store_request_rules import EndOfCopyRules, FilesDeletedRules, ReduceRequestRules  # noqa: E402
from holdfast.testing.store_retention_rules import RetentionRules  # noqa: E402
from holdfast.testing.store_room_rules import ConcurrencyRules, RoomRules  # noqa: E402


class StoreSuite(
    JournalRules,
    EpochRules,
    NewsRules,
    RetentionRules,
    RoomRules,
    ConcurrencyRules,
    SiteRules,
    DatasetRules,
    RegistrationRules,
    RequestRules,
    ReduceRequestRules,
    FilesDeletedRules,
    EndOfCopyRules,
    ReplicaRules,
    LockRules,
    ProofRules,
    MovedSiteRules,
    BlocksArrivedRules,
    RemoveReplicasRules,
    AssignReplicasRules,
    RemoveFilesRules,
    RenameFilesRules,
    DeletionRules,
    DirectoryRules,
    IntoRules,
    ReplicaDeletionRules,
    RequirementRules,
    StoreReadingRules,
):
    """All rules. See the module's docstring for what a subclass has to give."""
