"""What Holdfast's operations do in the simulated world: copies and deletions asked for, carried out, taken back.

One worker, or two: side by side, or one whose machine falls asleep in the
middle of a call while the other takes over.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from holdfast.config import OperationsSettings
from holdfast.model.changes import UpdateDataset
from holdfast.model.errors import Conflict
from holdfast.model.names import DatasetKey
from holdfast.model.records import CopyRequest
from holdfast.operations import executor, requests
from holdfast.operations.deletion_report import DeletionReport
from holdfast.operations.progress import RunReport
from holdfast.operations.requesting import steering
from holdfast.testing.simulation import timeless
from holdfast.testing.simulation.world import SITES, World

Result = TypeVar("Result")

ACTOR = "simulated"
LEASE_S = 60.0
MACHINES = ("here", "there")
"""On one machine others see at once who has died; from another they wait for the end of his lease."""


@dataclass
class Operating:
    """Deeds of operations."""

    world: World
    is_deleting: bool = False
    """Whether this deed may delete what it was asked to."""
    was_asleep: bool = False
    """Whether a worker slept past its lease in this deed: what it had sent before is carried out when it wakes up."""

    has_worked_undisturbed: bool = False
    """Whether workers have come to the end of all that there was to do."""

    began_us: int = 0
    """When this deed began."""
    verified_age_days: float = 0.0
    """For how long a proof of another copy was enough, for the most trusting worker of this deed."""

    def begin(self) -> None:
        """Another deed begins."""
        self.is_deleting = self.was_asleep = self.has_worked_undisturbed = False
        self.began_us, self.verified_age_days = self.world.clock.now_us, 0.0

    @property
    def source(self) -> random.Random:
        """Chance."""
        return self.world.source

    # ---- asking --------------------------------------------------------------------

    def ask_copy(self) -> str:
        """Ask for a dataset at a site."""
        known = self._datasets()
        return self.ask_copy_of(self.source.choice(known), self.source.choice(SITES)) if known else "nothing"

    def ask_copy_of(self, key: DatasetKey, site: str, *, may_replace: bool = False) -> str:
        """Ask for one dataset at one site; ``may_replace``: whatever lies there."""
        asked = requests.request_copy(
            self.world.store,
            key,
            site,
            reason="simulated",
            actor=ACTOR,
            clock=self.world.clock,
            may_replace=may_replace,
            priority=self.source.randint(1, 5),
            new_id=self.world.new_id,
        )
        return f"{key} to {site}: {asked.request.id or asked.request.state.value}"

    def ask_replica_deletion(self) -> str:
        """Ask that one site, or several, lose a dataset."""
        with self.world.store.snapshot() as view:
            places: dict[DatasetKey, set[str]] = {}
            for replica in view.replicas():
                places.setdefault(replica.block.dataset, set()).add(replica.site)
        # Mostly what may go; sometimes what must not be asked for.
        least = 2 if self.source.random() < 0.8 else 1
        likely = sorted(key for key, sites in places.items() if len(sites) >= least)
        if not likely:
            return "nothing"
        key = self.source.choice(likely)
        sites = self.source.sample(sorted(places[key]), self.source.randint(1, len(places[key])))
        return f"{key}: {', '.join(self._ask_deletion_of(key, site) for site in sites)}"

    def _ask_deletion_of(self, key: DatasetKey, site: str) -> str:
        try:
            asked = requests.request_replica_deletion(
                self.world.store,
                key,
                site,
                reason="simulated",
                actor=ACTOR,
                clock=self.world.clock,
                priority=self.source.randint(1, 5),
                new_id=self.world.new_id,
            )
        except Conflict:
            return f"{site} must stay"
        return f"{site} {asked.request.id or asked.request.state.value}"

    def require_copies(self) -> str:
        """Somebody wants more copies of a dataset, or is content with fewer."""
        known = self._datasets()
        if not known:
            return "nothing"
        key, n_copies = self.source.choice(known), self.source.randint(1, 2)
        self.world.commit(UpdateDataset(key, required_copies=n_copies))
        return f"{n_copies} of {key}"

    def cancel(self) -> str:
        """Give up an open request, often a deletion that may have been begun."""
        ids = self._open_requests()
        if not ids:
            return "nothing"
        with self.world.store.snapshot() as view:
            going = [each.id for each in view.deletion_requests() if each.dataset is not None]
        id = self.source.choice(going if going and self.source.random() < 0.7 else ids)
        requests.cancel(self.world.store, id, reason="simulated", actor=ACTOR)
        return id

    def hold(self) -> str:
        """Hold back an open request."""
        ids = self._open_requests()
        if not ids:
            return "nothing"
        id = self.source.choice(ids)
        steering.hold(self.world.store, id, actor=ACTOR, reason="simulated")
        return id

    def release(self) -> str:
        """Let all requests go on."""
        ids = self._open_requests()
        for id in ids:
            steering.release(self.world.store, id)
        return ", ".join(ids) or "nothing"

    # ---- carrying out ----------------------------------------------------------------

    def carry(self) -> str:
        """One worker."""
        self.is_deleting = True
        return self._told([self._run(lambda: self._worker(self.source.choice(MACHINES)))])

    def carry_changing(self) -> str:
        """One worker, and people who change their minds while it works; often about what is to go."""
        faults = self.world.faults
        if self.source.random() < 0.6:
            self.ask_replica_deletion()
        faults.meddle_at, faults.meddle = self.source.randint(1, 40), self._change_minds
        return self.carry()

    def _change_minds(self) -> None:
        """Somebody gives a request up, or asks for the opposite. Chance is that of the faults: this is one."""
        world, chance = self.world, self.world.faults.source
        ids = self._open_requests()
        if not ids:
            return
        with world.store.snapshot() as view:
            request = view.request(chance.choice(ids))
        if request is None or request.dataset is None or chance.random() < 0.5:
            world.in_peace(lambda: requests.cancel(world.store, chance.choice(ids), reason="simulated", actor="people"))
            return
        asked = {"reason": "simulated", "actor": "people", "clock": world.clock, "new_id": world.new_id}
        ask = requests.request_replica_deletion if isinstance(request, CopyRequest) else requests.request_copy
        world.in_peace(lambda: ask(world.store, request.dataset, request.site, **asked))  # type: ignore[arg-type]

    def carry_together(self) -> str:
        """Two workers side by side."""
        self.is_deleting = True
        machines = [self.source.choice(MACHINES) for _ in range(2)]

        async def both() -> Sequence[RunReport]:
            return await asyncio.gather(*(self._worker(machine) for machine in machines))

        return self._told(self._run(both))

    def carry_asleep(self) -> str:
        """A worker whose machine falls asleep in the middle of a call, and another one that takes over."""
        world = self.world
        self.is_deleting = True
        if not self._open_requests():
            self.ask_copy()
        reports: list[RunReport] = []
        errors: list[BaseException] = []
        faults, one, two = world.faults, *(self.source.choice(MACHINES) for _ in range(2))

        def work() -> None:
            try:
                reports.append(self._run(lambda: self._worker(two)))
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        def sleep() -> None:
            self.was_asleep, fell_asleep_s = True, world.clock.monotonic()
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            for error in errors:
                raise error
            if world.clock.monotonic() - fell_asleep_s >= LEASE_S:
                world.counts["workers past their lease"] += 1
                faults.overslept = threading.get_ident()

        faults.meddle_at, faults.meddle = self.source.randint(1, 30), sleep
        reports.insert(0, self._run(lambda: self._worker(one, streams_max=1)))
        return self._told(reports)

    def _worker(self, machine: str, streams_max: int = 3) -> Coroutine[Any, Any, RunReport]:
        world = self.world
        settings = OperationsSettings(
            concurrency=self.source.randint(1, streams_max),
            deletions_per_site=self.source.randint(1, streams_max),
            attempts_max=3,
            lease_s=LEASE_S,
            retry_delay_s_min=1,
            retry_delay_s_max=10,
            verified_age_days=self.source.choice((0, 0.5, 90)),
            remove_empty_directories=self.source.random() < 0.5,
        )
        self.verified_age_days = max(self.verified_age_days, settings.verified_age_days)
        return executor.run(
            world.store,
            world.driver,
            settings=settings,
            clock=world.clock,
            workers_dir=world.folder / machine,
            monotonic=world.clock.monotonic,
            seed=world.seed,
            new_id=world.new_id,
        )

    def _told(self, reports: Sequence[RunReport]) -> str:
        self.has_worked_undisturbed = True
        self.world.counts["files copied"] += sum(report.files_copied for report in reports)
        return " | ".join(map(_word, reports))

    def _datasets(self) -> list[DatasetKey]:
        with self.world.store.snapshot() as view:
            return [dataset.key for dataset in view.datasets()]

    def _open_requests(self) -> list[str]:
        with self.world.store.snapshot() as view:
            return [each.id for each in view.copy_requests()] + [each.id for each in view.deletion_requests()]

    def _run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        return timeless.run(work(), self.world.clock)


def _word(report: RunReport) -> str:
    stopped = f", stopped {sorted(report.stopped)}" if report.stopped else ""
    copied = f"copied {report.files_copied}, found {report.files_found}, failed {report.files_failed}"
    deleted = "".join(f"; {_deleted(each)}" for each in report.deletions)
    return f"{copied}, held {report.files_held}{stopped}{deleted}"


def _deleted(report: DeletionReport) -> str:
    return f"{report.site}: {report.detail or report.error or 'open'}"
