"""PFNs by directory: rules applied once for a directory, then a name is only appended.

That is right if what the rules do cannot depend on the name. For many rules
people write it can be proved from the text of their patterns:

  * A step may begin with a *front* of plain characters, of classes that cannot
    match a slash, and of groups of these. How far a front reaches is settled
    by the slashes in the text, so it lies within the directory.
  * It ends with ``(.*)``, ``(.+)`` or ``(/.*)``, which takes whatever is left,
    or with ``/([^/]+)``, which is the name, wherever the front ends; then the
    front may have ``.*``, too.
  * Its template ends with that last group, and has it once.

Rules
  * A prefix is used only if it is proved that prefix and name are the PFN for
    every name; else the rules are applied to each LFN.
  * Whatever a pattern has beyond that grammar proves nothing.
"""

from __future__ import annotations

import re

from holdfast.model import pfn
from holdfast.model.errors import InvalidName
from holdfast.model.names import COMPONENT_BYTES_MAX, LFN_BYTES_MAX

_PLAIN = r"[A-Za-z0-9_=:@%~,;!#&'\"<>/-]|\\[^A-Za-z0-9]"
_CLASS = r"(?:\[\^/\]|\[(?:a-z|A-Z|0-9|a-f|A-F|_|\\\.|\\-)+\]|\\d)[+*]?"
"""What cannot match a slash."""
_WORD = r"[A-Za-z0-9_-]+"
_GROUP = rf"\((?:(?:{_PLAIN}|{_CLASS})+|{_WORD}(?:\|{_WORD})+)\)"
_ANY = r"\.[*+]|\(\.[*+]\)"
_FRONT_AND_REST = re.compile(rf"(?P<front>(?:{_PLAIN}|{_CLASS}|{_GROUP})*)\((?P<slash>/?)\.[*+]\)\Z")
_FRONT_AND_NAME = re.compile(rf"(?:{_PLAIN}|{_CLASS}|{_GROUP}|{_ANY})*/\(\[\^/\][+*]\)\Z")
_PROBE = "x"
DIRECTORIES_REMEMBERED = 100_000


class ByDirectory:
    """The PFNs that one door makes. What it has found out of a directory it remembers; any thread may ask."""

    __slots__ = ("_made", "_n_slashes", "_prefixes")

    def __init__(self, root: str, rules: pfn.PfnRules) -> None:
        self._made = pfn.compiled(root, rules)
        self._n_slashes = slashes_needed(rules)
        self._prefixes: dict[str, str | None] = {}

    def pfn(self, directory: str, name: str) -> str | None:
        """The PFN of a valid LFN, None if the rules make no valid path of it; ``directory`` ends with a slash."""
        prefixes = self._prefixes
        if directory in prefixes:
            prefix = prefixes[directory]
        else:
            if len(prefixes) >= DIRECTORIES_REMEMBERED:
                prefixes = self._prefixes = {}
            prefix = prefixes[directory] = self.prefix(directory)
        if prefix is None:
            try:
                return self._made(directory + name)
            except InvalidName:
                return None
        return prefix + name if prefix else None

    def prefix(self, directory: str) -> str | None:
        """What makes the PFN of any file in ``directory`` when its name is appended; None: nothing that is proved.

        "" stands for no PFN at all: the rules have none for this directory.
        """
        if self._n_slashes is None or directory.count("/") < self._n_slashes:
            return None
        try:
            whole = self._made(directory + _PROBE)
        except InvalidName:
            return None
        if whole is None:
            return ""
        # Every name then gives a valid path: the components are valid, and it cannot become too long.
        if whole[-2:] != f"/{_PROBE}" or len(whole.encode()) + COMPONENT_BYTES_MAX > LFN_BYTES_MAX:
            return None
        return whole[:-1]


def slashes_needed(rules: pfn.PfnRules) -> int | None:
    """How many slashes a directory, with that at its end, must have; None: nothing is proved of these rules."""
    steps = [step for chain in rules.chains for step in chain]
    if not all(map(_is_proved, steps)):
        return None
    return max(map(_n_slashes, steps), default=0)


def _is_proved(step: pfn.RewriteStep) -> bool:
    groups = re.compile(step.pattern).groups
    last = f"{{{groups - 1}}}"
    if not step.template.endswith(last) or step.template.count(last) != 1 or step.template.endswith(f"{{{last}"):
        return False
    return bool(_FRONT_AND_REST.match(step.pattern) or _FRONT_AND_NAME.match(step.pattern))


def _n_slashes(step: pfn.RewriteStep) -> int:
    """How many slashes the directory must have for the front to end in it."""
    match = _FRONT_AND_REST.match(step.pattern)
    if match is None or match["front"].endswith("/"):
        return 0
    return match["front"].replace("[^/]", "").count("/") + 1
