"""LocalDoubt: a directory of a local tree in which fewer names were found than expected.

An empty folder may be the place where something is not mounted just now, and a
network file system under load may leave names out. What to believe is as in
``doubt``: each look is the same question at the same door.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.storage.listing import doubt
from holdfast.storage.listing.answer import DirectoryAnswer, seen_in
from holdfast.storage.listing.doubt import DoubtStep, Look
from holdfast.storage.listing.pieces import seen_whole
from holdfast.storage.listing.tables import Directory


@dataclass(eq=False)
class LocalDoubt:
    """The directory ``name`` in ``above``, which ends with a slash, and the looks at it so far."""

    above: str
    name: str
    mtime_ns: int | None
    expected: int
    _answers: list[DirectoryAnswer] = field(default_factory=list)
    _looks: list[Look] = field(default_factory=list)

    def hear(self, answer: DirectoryAnswer) -> Directory | None:
        """Another look; the directory as it is to be kept, None if it is to be looked at again."""
        contradicts = bool(answer.contradictions)
        seen = seen_whole(seen_in(answer.directory))
        self._answers.append(answer)
        self._looks.append(Look(seen, answer.names, contradicts_itself=contradicts))
        step = doubt.next_step(self._looks, self.expected, names_can_be_asked=False)
        if step is DoubtStep.BELIEVE:
            return answer.directory
        return self.give_up() if step is DoubtStep.DOUBT else None

    def give_up(self, last_error: str = "") -> Directory:
        """The directory in doubt, with all that was seen."""
        why = doubt.suspicion(self._looks[0].names, 0, "", self.expected)
        reason = doubt.reason(why, self._looks, last_error)
        return doubt.union([answer.directory for answer in self._answers], (), reason)
