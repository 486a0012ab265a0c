"""Protected: the paths at a site that running workflows need.

Rules
  * A path that is protected, or lies below one that is, stays. So does one above:
    removing it would remove what is protected.
  * Lists name LFNs as often as paths. So an entry counts as it stands and as the
    path that the site's rules make of it, and a path by itself and by its LFN.
  * Lists that name nothing in any area were made for another place, or their
    names mean something else here: they are not believed.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.consistency.cleaning.protecting.lists import NotBelieved
from holdfast.model import names, pfn
from holdfast.model.errors import InvalidName


class Protected:
    """Paths at one site that stay with all below and above them."""

    def __init__(self, paths: Iterable[str], rules: pfn.PfnRules) -> None:
        """``paths``: at the site, or LFNs; ``rules``: of the site's first door."""
        self._rules = rules
        self._paths = {each for path in paths for each in _meanings(path, rules)}
        self._above: set[str] = set()
        for path in self._paths:
            while path != "/" and (path := names.split(path)[0]) not in self._above:
                self._above.add(path)

    def __len__(self) -> int:
        return len(self._paths)

    def reason(self, path: str) -> str:
        """Why a path stays; "" if nothing here is against its going."""
        reason = self._reason(path)
        if not reason and self._rules.chains and (lfn := pfn.lfn_of(self._rules, path)) is not None:
            reason = self._reason(lfn)
        return reason

    def _reason(self, path: str) -> str:
        if path in self._above and path not in self._paths:
            return "something below it is protected"
        place = path
        while place not in self._paths:
            if place == "/":
                return ""
            place = names.split(place)[0]
        return "protected" if place == path else f"protected with {place}"

    def require_about(self, areas: Sequence[str]) -> None:
        """NotBelieved unless at least one protected path lies in one of the areas, or above it."""
        if not any(self.reason(area) for area in areas):
            raise NotBelieved(
                f"none of the {len(self):,} protected paths lies in {' or '.join(areas)}",
                hint="are they LFNs that the site's rules do not know, or those of another site?",
            )


def _meanings(path: str, rules: pfn.PfnRules) -> set[str]:
    try:
        other = pfn.path_of(rules, path)
    except InvalidName:
        other = None  # A path that cannot be there needs no protection.
    return {path} if other is None else {path, other}
