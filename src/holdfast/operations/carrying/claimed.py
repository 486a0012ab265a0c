"""Claimed: a batch under way, and what has become of its files since that was last written down.

Rules
  * Of each file one outcome is taken; what is said of it later changes nothing.
  * Files that fare alike are written down as one: of failures that will be
    tried again the first words stand for the others.
  * What has been taken to be written down is not taken again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from holdfast.config import OperationsSettings
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import Batch, BatchFailure, BatchState, Settled
from holdfast.operations.carrying import outcomes
from holdfast.operations.carrying.outcomes import Setback
from holdfast.operations.codes import Code

_GOES_ON = frozenset({Code.STOPPED, Code.ENGINE_FAILED})
"""Failures after which a service may still be at it."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is to be written down of one claim. ``told``: the files that the inventory is to be told of."""

    batch: Batch
    settled: Settled
    told: FileSet
    verified_us: int
    """When the first of them was proved."""
    n_copied: int = 0
    """Of those done: neither found in place nor gone already."""
    size_copied: int = 0
    seconds: float = 0.0
    """For how long that was worked on, by all streams together."""

    @property
    def n_files(self) -> int:
        """How many files it is about."""
        return len(self.settled.done) + sum(len(each.files) for each in self.settled.failures)

    @property
    def has_failures(self) -> bool:
        """Whether anything is not as it was asked for."""
        return any(each.state is not BatchState.QUEUED for each in self.settled.failures)


class Claimed:
    """One claimed batch. ``sizes``: bytes of its files, by ordinal."""

    def __init__(self, batch: Batch, sizes: Mapping[int, int]) -> None:
        self.batch = batch
        self.sizes = sizes
        self.left = set(batch.files)
        """Files that nothing has been said of yet."""
        self.is_lost = False
        """The claim is not ours any more: nothing of it is written down."""
        self.gives_back = False
        """It has ended early: what is left goes back into the queue."""
        self.why = ""
        """Why it has ended early."""
        self._done: list[int] = []
        self._told: list[int] = []
        self._n_found = 0
        self._verified_us = 0
        self._setbacks: dict[tuple[Code, str], list[int]] = {}
        self._words: dict[Code, str] = {}
        self._decided: list[BatchFailure] = []
        self._is_job_over = False
        self._has_ended_well = True
        """No file has failed in a way that leaves open whether its job goes on."""
        self.n_waiting = 0
        """Files with an outcome that is not written down yet."""

    @property
    def is_over(self) -> bool:
        """Whether something was said of every file."""
        return not self.left

    def cleaned(self) -> None:
        """Nothing of earlier claims is left behind."""
        self.batch = replace(self.batch, left=())

    def keep(self, handle: str) -> None:
        """What the engine calls its job."""
        self.batch = replace(self.batch, handle=handle)

    def carried(self) -> None:
        """The engine has come to the end of it; a job at a service may go on only where a file was stopped."""
        self._is_job_over = self._has_ended_well

    def ends_early(self, why: str, *, is_lost: bool = False) -> None:
        """What is left is given back, if the claim still stands; or, if it is known not to, nothing is written."""
        self.why = why
        self.is_lost = self.is_lost or is_lost
        self.gives_back = not self.is_lost

    def interrupted(self) -> None:
        """It was ended from here. A job at a service goes on: whoever comes next takes it up under this claim."""
        self.why = "interrupted"
        self.gives_back = not (self.is_lost or self.batch.handle)

    def done(self, ordinal: int, *, is_found: bool, verified_us: int = 0, is_known: bool = False) -> bool:
        """A file is where it should be, or gone; ``is_known``: and the inventory knows. False: said before."""
        if ordinal not in self.left:
            return False
        self.left.remove(ordinal)
        self.n_waiting += 1
        self._done.append(ordinal)
        self._n_found += is_found
        if not is_known:
            self._told.append(ordinal)
            # The oldest proof among them: younger would be claiming too much.
            self._verified_us = min(self._verified_us or verified_us, verified_us)
        return True

    def failed(self, ordinal: int, code: Code, error: str) -> bool:
        """A try has failed. False: said before."""
        if ordinal not in self.left:
            return False
        self.left.remove(ordinal)
        self.n_waiting += 1
        self._has_ended_well &= code not in _GOES_ON
        words = error if code.is_permanent else self._words.setdefault(code, error)
        self._setbacks.setdefault((code, words), []).append(ordinal)
        return True

    def decided(self, failure: BatchFailure) -> None:
        """How some files go on, where that is no matter of a try."""
        ordinals = self.left.intersection(failure.files)
        if ordinals:
            self.left -= ordinals
            self.n_waiting += len(ordinals)
            self._decided.append(replace(failure, files=FileSet.of(ordinals), size=self.size_of(ordinals)))

    def rest(self) -> FileSet:
        """What is left, as a set of files."""
        return FileSet.of(self.left)

    def size_of(self, ordinals: FileSet | set[int] | list[int]) -> int:
        """The bytes of some files."""
        return sum(map(self.sizes.__getitem__, ordinals))

    def take(self, settings: OperationsSettings, *, now_us: int, seed: int, seconds: float = 0.0) -> Gathered | None:
        """What has gathered, to be written down; None: nothing, and nothing is given back."""
        if self.is_lost or not (self.n_waiting or self.gives_back):
            return None
        failures = list(self._decided)
        for (code, error), ordinals in self._setbacks.items():
            setback = Setback(FileSet.of(ordinals), self.size_of(ordinals), code, error)
            failures.append(outcomes.failure(self.batch, setback, settings, now_us=now_us, seed=seed))
        size = self.size_of(self._done)
        settled = Settled(
            self.batch.claim,
            FileSet.of(self._done),
            size,
            self._n_found,
            tuple(failures),
            self.gives_back,
            self._is_job_over,
        )
        n_copied = len(self._done) - self._n_found
        copied = size if not self._n_found else size * n_copied // len(self._done)
        gathered = Gathered(
            self.batch, settled, FileSet.of(self._told), self._verified_us, n_copied, copied, seconds=seconds
        )
        self._done, self._told, self._setbacks, self._decided = [], [], {}, []
        self._n_found = self._verified_us = self.n_waiting = 0
        return gathered
