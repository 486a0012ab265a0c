"""Registration: what a publish does to the inventory.

Every change set carries the guard of the publication's claim, so that of two
publishers of one dataset only the one who came last changes anything.

Rules
  * The dataset is created unseen, filled a block a change set, and revealed
    by one small change that names its totals.
  * A block that is registered as planned is left alone. If the registered
    blocks are anything but the first ones of the plan, or the dataset is
    described otherwise now, all of it is forgotten and begun again: in the
    inventory only, and while nobody can see it.
  * What is read is proved behind the site's first door: it is still that one when the dataset is staged.
  * A published dataset is never changed. The same content is no error; other
    content needs another version.

Raises Conflict, naming datasets or files. A failure leaves the dataset staged
as far as it is, or as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.inventory import dry_run
from holdfast.inventory.store import Head, Snapshot, Store
from holdfast.model import checksums, steps
from holdfast.model.changes import AbandonStaged, Change, ChangeSet, CreateDataset, RegisterFiles, RevealDataset
from holdfast.model.errors import Conflict, UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Staging
from holdfast.model.requirements import Requirement, SameDoor
from holdfast.replication import plan
from holdfast.replication.plan import PlannedBlock, ReadFile
from holdfast.replication.publication import Publication

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROWS_SHOWN = 20

Guard = Callable[["Connection"], None]


@dataclass(frozen=True, slots=True)
class Registered:
    """What has been registered: the dataset's totals."""

    n_files: int
    size: int
    n_blocks: int


class Registration:
    """One publication's way into the inventory."""

    def __init__(self, store: Store, publication: Publication, *, actor: str) -> None:
        self._store = store
        self._publication = publication
        self._key = publication.dataset
        self._actor = actor

    def find(self) -> Dataset | None:
        """The dataset as it is.

        Conflict if it is being published from elsewhere, is described
        otherwise and published, or is published and not held by our site.
        """
        with self._store.snapshot() as snapshot:
            self._check_group(snapshot)  # Now, and not when the first block is registered, after hours of reading.
            dataset = find_dataset(snapshot, self._key)
            if dataset is None:
                return None
            if dataset.staging is not None:
                self._check_place(dataset.staging)
            else:
                self._check_description(dataset)
                self._check_held(snapshot)
            return dataset

    def stage(self, dataset: Dataset | None, guard: Guard) -> None:
        """Have the dataset there, unseen; ``dataset`` is what is there of it.

        Conflict if the site's first door is another one than what is read from. As long as the dataset is there, it
        cannot become one.
        """
        self._commit(guard, *self._staging(dataset), requirements=self._same_door())
        steps.reach("publish.staged")

    def check_stage(self, dataset: Dataset | None) -> None:
        """Whatever ``stage`` would raise, by the whole transaction, which is then undone."""
        change_set = ChangeSet(
            changes=self._staging(dataset), actor=self._actor, cause="preview", requirements=self._same_door()
        )
        dry_run.commit(self._store, change_set, dry_run=True)

    def check_free(self, lfns: Sequence[str]) -> None:
        """Conflict if other datasets have files of these names."""
        with self._store.snapshot() as snapshot:
            found = snapshot.lookup(lfns)
        taken = [record for record in found if record is not None and record.block.dataset != self._key]
        if taken:
            first = taken[0]
            raise Conflict(
                f"{first.lfn} belongs to dataset {first.block.dataset} already"
                + (f", and so do {len(taken) - 1} more" if len(taken) > 1 else ""),
                rows=tuple(record.lfn for record in taken[:ROWS_SHOWN]),
                hint="a file belongs to one dataset: publish a directory that shares none with another",
            )

    def register(
        self,
        planned: Callable[[], Iterable[PlannedBlock]],
        guard: Guard,
        *,
        progress: Callable[[Registered], None],
    ) -> Registered:
        """Register what is not yet; ``planned`` begins the plan anew each time it is called."""
        done = self._resume(planned, guard)
        so_far = Registered(0, 0, 0)
        for n_blocks, block in enumerate(planned(), 1):
            if block.name not in done:
                self._register_block(block, guard)
            so_far = Registered(so_far.n_files + len(block.files), so_far.size + block.size, n_blocks)
            progress(so_far)
        return so_far

    def reveal(self, registered: Registered, guard: Guard) -> Head:
        """Show the dataset to everybody."""
        head = self._commit(guard, RevealDataset(self._key, n_files=registered.n_files, size=registered.size))
        steps.reach("publish.revealed")
        return head

    def abandon(self, guard: Guard) -> None:
        """Forget the staged dataset."""
        self._commit(guard, AbandonStaged(self._key))

    def check_totals(self, n_files: int, size: int) -> Registered:
        """The totals of the published dataset; Conflict if they are not these."""
        with self._store.snapshot() as snapshot:
            blocks = snapshot.blocks(self._key)
        found = Registered(sum(block.n_files for block in blocks), sum(block.size for block in blocks), len(blocks))
        if (found.n_files, found.size) != (n_files, size):
            raise self._other_content(
                f"it has {found.n_files} files of {found.size} bytes, here are {n_files} of {size}"
            )
        return found

    def check_content(self, rows: Sequence[ReadFile]) -> None:
        """Conflict unless the published dataset has these files, proved by their cryptographic digest."""
        lfns = [row.lfn for row in rows]
        with self._store.snapshot() as snapshot:
            found = snapshot.lookup(lfns)
        algorithm, different = self._publication.algorithm, []
        for row, record in zip(rows, found, strict=True):
            if record is None or record.block.dataset != self._key or record.size != row.size:
                different.append(row.lfn)
                continue
            outcome = checksums.compare({algorithm: row.strong}, record.checksums)
            if outcome is checksums.ChecksumComparison.DIFFERENT:
                different.append(row.lfn)
            elif outcome is not checksums.ChecksumComparison.EQUAL:
                raise self._incomparable(record.lfn, record.checksums)
        if different:
            raise self._other_content(f"{different[0]} is another file", different)

    def _register_block(self, block: PlannedBlock, guard: Guard) -> None:
        description = self._publication.description
        change = RegisterFiles(
            block=BlockKey(self._key, block.name),
            first_ordinal=0,
            files=block.files,
            site=self._publication.site.name,
            group=description.group,
            verified_us=block.verified_us,
        )
        self._commit(guard, change)
        steps.reach("publish.block-staged")

    def _resume(self, planned: Callable[[], Iterable[PlannedBlock]], guard: Guard) -> frozenset[str]:
        """The names of the blocks that are registered as planned; anything else that is registered is forgotten."""
        with self._store.snapshot() as snapshot:
            registered = {block.key.block for block in snapshot.blocks(self._key)}
            if not registered or self._is_as_planned(snapshot, planned(), registered):
                return frozenset(registered)
        self._commit(guard, AbandonStaged(self._key), CreateDataset(self._wanted()))
        return frozenset()

    def _is_as_planned(self, snapshot: Snapshot, planned: Iterable[PlannedBlock], registered: set[str]) -> bool:
        publication = self._publication
        held = {
            replica.block.block
            for replica in snapshot.replicas(dataset=self._key, site=publication.site.name)
            if replica.is_complete and replica.group == publication.description.group
        }
        if held != registered:
            return False
        remaining = len(registered)
        for block in planned:
            if not remaining:
                break
            if block.name not in registered:
                return False
            if not plan.same_files(snapshot.files(BlockKey(self._key, block.name)), block.files):
                return False
            remaining -= 1
        return remaining == 0

    def _staging(self, dataset: Dataset | None) -> tuple[Change, ...]:
        wanted = self._wanted()
        if dataset is None:
            return (CreateDataset(wanted),)
        return () if _described(dataset) == _described(wanted) else (AbandonStaged(self._key), CreateDataset(wanted))

    def _same_door(self) -> tuple[Requirement, ...]:
        site = self._publication.site
        return (SameDoor(site.name, site.first_door),)

    def _wanted(self) -> Dataset:
        publication, description = self._publication, self._publication.description
        return Dataset(
            key=self._key,
            type=description.type,
            software_version=description.software_version,
            metadata=description.metadata,
            required_copies=description.required_copies,
            staging=Staging(site=publication.site.name, directory=publication.directory),
        )

    def _check_group(self, snapshot: Snapshot) -> None:
        group = self._publication.description.group
        if group and group not in snapshot.groups():
            raise UnknownName(f"there is no group {group!r}", hint=f"add it with `holdfast group add {group}`")

    def _check_place(self, staging: Staging) -> None:
        publication = self._publication
        if (staging.site, staging.directory) != (publication.site.name, publication.directory):
            raise Conflict(
                f"dataset {self._key} is being published from {staging.site}:{staging.directory}",
                rows=(str(self._key),),
                hint=f"finish that, or give it up with `holdfast publish --abandon --dataset {self._key}`",
            )

    def _check_description(self, dataset: Dataset) -> None:
        """What was not given is not compared: who publishes again need not repeat it all."""
        given, wanted, nothing = _described(dataset), _described(self._wanted()), _described(Dataset(self._key))
        for field, value in wanted.items():
            if value != nothing[field] and value != given[field]:
                raise Conflict(
                    f"dataset {self._key} is published already, with {field} {given[field]!r}",
                    rows=(str(self._key),),
                    hint="a published version does not change; publish NAME#VERSION with a new version",
                )

    def _check_held(self, snapshot: Snapshot) -> None:
        site = self._publication.site.name
        held = {each.block for each in snapshot.replicas(dataset=self._key, site=site) if each.is_complete}
        if {block.key for block in snapshot.blocks(self._key)} - held:
            raise Conflict(
                f"dataset {self._key} is published already, and {site} does not hold all of it",
                rows=(str(self._key),),
                hint=f"bring it there with `holdfast copy {self._key} --to {site}`",
            )

    def _other_content(self, detail: str, lfns: Sequence[str] = ()) -> Conflict:
        return Conflict(
            f"dataset {self._key} is published already, with other content: {detail}",
            rows=tuple(lfns[:ROWS_SHOWN]),
            hint="a published version does not change; publish NAME#VERSION with a new version",
        )

    def _incomparable(self, lfn: str, known: checksums.Checksums) -> Conflict:
        strong = sorted(known.keys() & checksums.CRYPTOGRAPHIC)
        remedy = f"compare with --digest {strong[0]}" if strong else "publish NAME#VERSION with a new version"
        return Conflict(
            f"dataset {self._key} is published already, without {self._publication.algorithm} digests",
            rows=(lfn,),
            hint=remedy,
        )

    def _commit(self, guard: Guard, *changes: Change, requirements: tuple[Requirement, ...] = ()) -> Head:
        cause = f"publish {self._publication.place}"
        change_set = ChangeSet(changes=changes, actor=self._actor, cause=cause, requirements=requirements)
        try:
            return self._store.commit(change_set, also=guard)
        except (Conflict, UnknownName):
            # Most likely the one who took over has done this already; then the guard, asked alone, says so.
            self._store.commit(ChangeSet(changes=(), actor=self._actor, cause=change_set.cause), also=guard)
            raise


def find_dataset(snapshot: Snapshot, key: DatasetKey) -> Dataset | None:
    """The dataset, visible or not, if there is one."""
    try:
        return snapshot.dataset(key)
    except UnknownName:
        return None


def _described(dataset: Dataset) -> dict[str, object]:
    return {
        "type": dataset.type,
        "software version": dataset.software_version,
        "metadata": dict(dataset.metadata),
        "required copies": dataset.required_copies,
    }
