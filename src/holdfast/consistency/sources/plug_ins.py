"""Inventories of other makers: entry points of the group ``holdfast.inventory``.

Each names an inventory and points at a callable ``open(options) -> Inventory``;
``options`` are texts by name, as the operator has written them. Such an
inventory writes Parquet itself, or has ``catalogue_table`` do it:

    class OurCatalogue:
        label = "our catalogue"

        def write(self, site, target):
            return catalogue_table.write_batches(batches_of(site.name), site, target, place=self.label)

Rules
  * A built-in inventory is never replaced by a plug-in of the same name.
  * A plug-in is loaded only when it is asked for.
  * Whatever it raises that is no error of ours is told as OperatorError with its name.

Raises BadInput for a name that nobody has, OperatorError where the installation is at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from holdfast.consistency.sources.inventory import Inventory, Written
from holdfast.model.errors import BadInput, HoldfastError, OperatorError
from holdfast.model.records import Site

GROUP = "holdfast.inventory"
BUILT_IN = ("snapshot", "sql", "dump")


def known() -> list[str]:
    """The names of all inventories that there are here, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def open_plug_in(name: str, options: Mapping[str, str]) -> Inventory:
    """The inventory of the plug-in ``name``."""
    point = _point(name)
    with _told(point):
        opened: Callable[[Mapping[str, str]], object] = point.load()
        inventory = opened(dict(options))
    if not isinstance(inventory, Inventory):
        raise OperatorError(
            f"the plug-in {point.value} for the inventory {name!r} made no Inventory but {type(inventory)!r}",
            hint="see holdfast.consistency.sources.inventory for what it has to be",
        )
    return _Guarded(inventory, point)


def _point(name: str) -> EntryPoint:
    # One distribution may be seen twice, on two entries of the search path; that is no contradiction.
    distinct = {point.value: point for point in entry_points(group=GROUP, name=name)}
    if not distinct:
        hint = f"known are {', '.join(known())}; others come with plug-ins"
        raise BadInput(f"there is no inventory {name!r}", hint=hint)
    if len(distinct) > 1:
        found = ", ".join(sorted(distinct))
        raise OperatorError(f"several plug-ins are the inventory {name!r}: {found}", hint="uninstall all but one")
    return next(iter(distinct.values()))


class _Guarded:
    """An inventory of another maker, whose errors are told as such."""

    def __init__(self, inventory: Inventory, point: EntryPoint) -> None:
        self._inventory = inventory
        self._point = point

    @property
    def label(self) -> str:
        """With the name of the plug-in, by which it is asked for."""
        with _told(self._point):
            return f"{self._point.name} {self._inventory.label}"

    def write(self, site: Site, target: Path) -> Written:
        """What it writes."""
        with _told(self._point):
            return self._inventory.write(site, target)


@contextmanager
def _told(point: EntryPoint) -> Iterator[None]:
    try:
        yield
    except HoldfastError:
        raise
    # Whatever a plug-in raises, the command that wanted its answer has one clear line to show.
    except Exception as error:
        raise OperatorError(
            f"the plug-in {point.value} for the inventory {point.name!r} failed: {error!r}"[:400],
            hint="reinstall or repair the plug-in",
        ) from error
