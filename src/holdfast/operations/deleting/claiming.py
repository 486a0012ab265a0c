"""Claims of deletions: the whole check and the claim in one transaction.

Rules
  * Nothing is claimed that has not passed the check at that position of the
    inventory.
  * What must stay is held, with its reason, until nothing stands in its way any
    more; orphans are left alone.
  * One that cannot be claimed does not keep others from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from holdfast import logs
from holdfast.inventory.store import Head
from holdfast.model import steps
from holdfast.model.changes import ChangeSet
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.records import DeletionRequest
from holdfast.model.requirements import Requirement
from holdfast.operations.actor import ACTOR, cause_of
from holdfast.operations.batch import Batch, BatchFailure, BatchState
from holdfast.operations.carrying.outcomes import ERROR_CHARS
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.carrying.taking import Decided, Taking, WantedFiles, size_of
from holdfast.operations.codes import Code
from holdfast.operations.deleting import gate
from holdfast.operations.planning.sizes import Sizes

TRIES = 20
"""How often one claim is made smaller because more must stay, before it waits for the next turn."""

_log = logs.get("operations")


@dataclass(frozen=True, slots=True)
class Passed:
    """A claimed batch, and the point of the inventory's history at which it passed the check."""

    batch: Batch
    head: Head


class DeletionClaims:
    """Claims deletions for one worker. ``requests``: the open ones, by id; ``sizes``: of files, by batch."""

    def __init__(self, tools: Tools, worker: str, requests: Mapping[str, DeletionRequest], sizes: Sizes) -> None:
        self._tools = tools
        self._worker = worker
        self._requests = requests
        self._sizes = sizes
        self._decided: list[Decided] = []
        """What stands in the queue already, of that which ``claim`` will answer."""

    def claim(self, wanted: Sequence[WantedFiles]) -> tuple[list[Passed], list[Decided]]:
        """All that passes; and what is left alone, or waits, and is written down as that."""
        self._decided = []
        wanted = [each for each in wanted if each.batch.request.id in self._requests]
        if not wanted:
            return [], []
        try:
            passed = self._commit(wanted)
        except (Conflict, BadInput):
            passed = [each for one in wanted for each in self._claim_one(one)]
        if passed:
            steps.reach("deletion.claimed")
            _log.info("deletions claimed", batches=len(passed), files=sum(each.batch.n_files for each in passed))
        return passed, self._decided

    def _claim_one(self, wanted: WantedFiles) -> list[Passed]:
        decided: list[Decided] = []
        for _ in range(TRIES):
            try:
                return self._commit([wanted] if wanted.files else [], decided)
            except (Conflict, BadInput) as error:
                found = self._refused(wanted)
                if not found:
                    # Not about single files: closed or reduced meanwhile, or its site is gone. The next look will tell.
                    _log.info("a deletion is not claimed", request=wanted.batch.request.id, reason=str(error))
                    return []
                decided += found
                left = wanted.files
                for each in found:
                    left -= each.failure.files
                wanted = replace(wanted, files=left, size=size_of(wanted.batch, left, self._sizes))
        return []

    def _commit(self, wanted: Sequence[WantedFiles], decided: Sequence[Decided] = ()) -> list[Passed]:
        claimed: list[Batch] = []
        written: list[Decided] = []
        outside = self._tools.outside

        def also(connection: Connection) -> None:
            claimed.clear()
            written.clear()
            taking = Taking(connection, self._tools.queue, self._worker, now_us=outside.clock(), new_id=outside.new_id)
            written.extend(taking.decide(decided))
            claimed.extend(batch for _, batch in taking.take(wanted))

        required: list[Requirement] = []
        for each in wanted:
            request = self._requests[each.batch.request.id]
            required += gate.requirements(request, each.batch.block, each.files)
        batches = [each.batch for each in wanted] + [each.batch for each in decided]
        cause = cause_of(batch.request for batch in batches)
        change_set = ChangeSet((), actor=ACTOR, cause=cause, requirements=tuple(required))
        head = self._tools.store.commit(change_set, also=also)
        self._decided += written
        return [Passed(batch, head) for batch in claimed]

    def _refused(self, wanted: WantedFiles) -> list[Decided]:
        """What must stay of a claim, and how that goes on; nothing if that is not what is wrong."""
        batch, request = wanted.batch, self._requests[wanted.batch.request.id]
        now_us = self._tools.outside.clock()
        if request.site not in self._tools.places.sites:
            return []
        with self._tools.store.snapshot() as view:
            refused = gate.refusals(view, request, batch, wanted.files, now_us=now_us)
        found = []
        for files, removed, held in refused:
            size = size_of(batch, files, self._sizes)
            state = BatchState.HELD if held else BatchState.SKIPPED
            reason = removed.reason[:ERROR_CHARS]
            failure = BatchFailure(
                files, size, state, batch.attempts, Code.MUST_STAY, reason, held=held, left=batch.left
            )
            found.append(Decided(batch, failure))
        return found
