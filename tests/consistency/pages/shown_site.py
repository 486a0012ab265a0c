"""A site, its runs and what one of them found, as the pages get them. ``say`` gives every text in it."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.consistency.classes import Class
from holdfast.consistency.pages.model import (
    ActionShown,
    Amount,
    Below,
    Branch,
    DatasetShown,
    GateShown,
    ListShown,
    PlaceShown,
    Rest,
    RunDetail,
    RunShown,
    SiteShown,
    WordShown,
)

DAY_US = 86_400_000_000
NOW_US = 1_795_000_000_000_000

Say = Callable[[str], str]


def as_it_is(text: str) -> str:
    return text


def run_shown(days_ago: int, *, orphans: int = 5, say: Say = as_it_is, has_page: bool = True) -> RunShown:
    """A run that found something of every class."""
    amounts = {cls: Amount(number, number * 10) for number, cls in enumerate(Class, start=1)}
    return RunShown(
        say(f"run-{days_ago}"),
        NOW_US - days_ago * DAY_US,
        3_725.0,
        amounts=amounts | {Class.ORPHAN: Amount(orphans, orphans * 10**9)},
        expected=Amount(1000, 10**12),
        actual=Amount(1010, 10**12 + 1),
        directories=77,
        unlisted_places=2,
        has_page=has_page,
    )


def site_shown(name: str = "T2_Example", *, say: Say = as_it_is) -> SiteShown:
    """A halted site with three complete runs and one that failed."""
    runs = [run_shown(days_ago, orphans=days_ago, say=say) for days_ago in (60, 40, 20)]
    failed = RunShown(say("run-30"), NOW_US - 30 * DAY_US, None, "failed", say("the door does not answer"))
    return SiteShown(
        name,
        state="halted",
        mode="dry",
        said=(
            WordShown(NOW_US - 50 * DAY_US, "dry", say("anna@here"), say("too many orphans")),
            WordShown(NOW_US - 10 * DAY_US, "halted", say("bert@there"), say("disks are moved")),
        ),
        runs=(runs[0], runs[1], failed, runs[2]),
        actions=(
            ActionShown(NOW_US - 39 * DAY_US, say("run-40"), Class.MISSING, say("copy-7"), Amount(3, 4_000)),
            ActionShown(NOW_US - 39 * DAY_US, say("run-40"), Class.ORPHAN, say("gone-8"), Amount(9, 9_000)),
        ),
        gates=(
            GateShown(Class.MISSING, True, (), 3, 3),
            GateShown(Class.ORPHAN, False, (say("20 orphans, more than orphans_max, 10"), say("halted")), 20, 4),
        ),
    )


def branch(name: str, size: int, *branches: Branch, above: str = "", own: int = 0, rest: Rest | None = None) -> Branch:
    """A directory with ``size`` bytes in all."""
    path = f"{above}/{name.strip('/')}"
    return Branch(path, name, Amount(size // 10, size), Amount(own // 10, own), branches, rest)


def tree(say: Say = as_it_is) -> Branch:
    """Three levels: one directory of two, with files of its own, and smaller ones that are left out."""
    top = say("/store")
    mc = f"{top}/{say('mc')}"
    low = [branch(say(name), size, above=mc, own=size) for name, size in (("high", 4000), ("low", 1500))]
    below = [
        branch(say("mc"), 6000, *low, above=top, own=500),
        branch(say("data"), 2000, above=top, own=2000),
    ]
    return branch(top, 9000, *below, rest=Rest(12, Amount(100, 1000)))


def run_detail(*, say: Say = as_it_is) -> RunDetail:
    """What the latest run found."""
    return RunDetail(
        run_shown(20, say=say),
        trees={Class.ORPHAN: tree(say), Class.MISSING: branch(say("/store/lost"), 70, own=70)},
        places=(PlaceShown(say("/store/secret"), say("failed: permission denied"), 3),),
        n_places=4,
        lost=(Below(say("/store/lost"), Amount(7, 70)),),
        n_lost=1,
        unrecoverable=(DatasetShown(say("sky#v1"), Amount(2, 20)),),
        n_unrecoverable=1,
        empty=(say("/store/empty"),),
        n_empty=6,
        usage=(Below(say("/store"), Amount(1000, 10**12), 77),),
        n_usage=1,
        storage_file="storage.json",
        lists=(ListShown(Class.ORPHAN, "orphan.tsv", 20, 999), ListShown(Class.UNLISTED, "unlisted.tsv", 4, 99)),
        trouble=say("tree.parquet cannot be read"),
    )
