"""What a try means for its task. Pure: task, outcome, settings and a moment in, the task's next state out.

Rules
  * A passing failure is tried again, each time after a longer wait, up to
    ``attempts_max`` tries; a permanent one is final.
  * What is nobody's failure (released, the destination full) costs no attempt.
"""

from __future__ import annotations

from dataclasses import replace

from holdfast.config import OperationsSettings
from holdfast.operations import plan
from holdfast.operations.engine import Outcome, SourceFault, Verdict
from holdfast.operations.task import Settled, Task, TaskState


def settled(task: Task, outcome: Outcome, settings: OperationsSettings, *, now_us: int, seed: int) -> Settled:
    """The state that an outcome leads to."""
    match outcome.verdict:
        case Verdict.COPIED | Verdict.FOUND:
            return Settled(task, TaskState.DONE, task.attempts, source=outcome.source, verified_us=outcome.verified_us)
        case Verdict.FULL:
            return Settled(task, TaskState.QUEUED, task.attempts, error=outcome.error)
        case Verdict.FAILED:
            return Settled(task, TaskState.FAILED, task.attempts + 1, error=outcome.error)
        case Verdict.RETRY:
            return _again(task, outcome.error, settings, now_us, seed)


def _again(task: Task, error: str, settings: OperationsSettings, now_us: int, seed: int) -> Settled:
    attempts = task.attempts + 1
    if attempts >= settings.attempts_max:
        return Settled(task, TaskState.FAILED, attempts, error=f"given up after {attempts} tries: {error}")
    wait_us = plan.retry_delay_us(
        attempts,
        task.id,
        seed=seed,
        delay_s_min=settings.retry_delay_s_min,
        delay_s_max=settings.retry_delay_s_max,
    )
    return Settled(task, TaskState.QUEUED, attempts, not_before_us=now_us + wait_us, error=error)


def with_faults(outcome: Outcome, unasked: tuple[SourceFault, ...]) -> Outcome:
    """An outcome that also counts the sources which could not even be asked."""
    if not unasked and outcome.error != "no source":
        return outcome
    if outcome.verdict not in (Verdict.FAILED, Verdict.RETRY):
        return replace(outcome, faults=(*unasked, *outcome.faults))
    errors = [*(fault.error for fault in unasked), *([outcome.error] if outcome.faults else [])]
    verdict = outcome.verdict if all(fault.is_permanent for fault in unasked) else Verdict.RETRY
    error = "; ".join(errors) or "no source: no other ready site holds it"
    return Outcome(verdict, error=error, faults=(*unasked, *outcome.faults))


def released(task: Task) -> Settled:
    """Given back untried."""
    return Settled(task, TaskState.QUEUED, task.attempts)


def held_already(task: Task) -> Settled:
    """The inventory says that the destination has it: nothing to do and nothing to report."""
    return Settled(task, TaskState.REPORTED, task.attempts)


def refused(task: Task, error: str) -> Settled:
    """It cannot be transferred at all."""
    return Settled(task, TaskState.FAILED, task.attempts + 1, error=error)
