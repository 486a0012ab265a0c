"""``holdfast compare``: what is expected beside what is there, from listing files.

Needs no installation and changes nothing; with ``--out`` it writes one file a
class into a folder. What is expected is one listing, or two: one taken before
the storage was listed, one after. Exit code 0: equal, 1: different, 2: bad input.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import options, progress, show
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from enum import StrEnum

    from holdfast.consistency.comparing.differences import Comparison
    from holdfast.consistency.comparing.window_differences import WindowComparison
    from holdfast.consistency.comparing.window_query import Young

SAMPLES = 3
_DONE = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    expected: Annotated[
        Path,
        typer.Argument(metavar="EXPECTED", help="The listing of what should be; after --before and --after: STORAGE."),
    ],
    actual: Annotated[
        Path | None,
        typer.Argument(metavar="ACTUAL", help="The listing of what is there.", show_default=False),
    ] = None,
    before: Annotated[
        Path | None, typer.Option("--before", metavar="LISTING", help="What should be, from before STORAGE was listed.")
    ] = None,
    after: Annotated[
        Path | None, typer.Option("--after", metavar="LISTING", help="What should be, from after STORAGE was listed.")
    ] = None,
    ignore_age: Annotated[
        int | None,
        typer.Option("--ignore-age", metavar="SECONDS", help="What changed at STORAGE so lately is in flight."),
    ] = None,
    now: Annotated[
        str | None,
        typer.Option("--now", metavar="TIME", help="When STORAGE was listed, for --ignore-age; default: see above."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write one file a class into this folder.")
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    memory_limit: Annotated[
        str | None, typer.Option("--memory-limit", metavar="AMOUNT", help="Memory before work goes to disk, as 300MB.")
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Take a listing folder that is of a part of a site; judge only what it saw."),
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="How many threads work; default: one a core, 4 at most."),
    ] = None,
    temp_dir: Annotated[
        Path | None, typer.Option("--temp-dir", metavar="DIR", help="Where unpacked and spilled data go for a while.")
    ] = None,
) -> None:
    """Compare two listing files, or three: TSV, CSV, NDJSON or Parquet, packed by gzip or zstd or not.

    A listing has the columns path (or dir and name) and size, and may have
    adler32 and mtime; others are ignored. TSV has no quoting, CSV is RFC 4180,
    both have a header line. All paths are absolute, or all are relative, and
    none has a tab, a line end or a NUL. A folder that `holdfast site listing`
    has made is a listing, too; what it could not see is not judged.

    \b
    missing            expected, not there
    orphan             there, not expected
    size_mismatch      on both sides, sizes differ
    checksum_mismatch  sizes agree, both adler32 are known and differ
    duplicate_...      a listing has a path more than once, unlike the other
    unlisted           lies where a listing folder could not look: who knows

    With --out, each class is a file CLASS.tsv (TSV, without quoting) with the
    columns path, expected_size, actual_size, expected_adler32, actual_adler32,
    actual_mtime, expected_rows, actual_rows.

    Files come and go while a storage is listed. With --before and --after there
    are two listings of what should be, and one, STORAGE, of what is there:

    \b
    missing            in both, not there
    orphan             there, in neither
    ..._mismatch       in both alike, and otherwise there
    in_flight          all else that is not the same in all three

    The files of the classes then have the columns before_..., after_... and
    storage_..., and reason. With --ignore-age what is young, or of unknown age, and
    would be an orphan or a mismatch is in flight, too. Ages are taken at --now,
    which is by default when the listing folder STORAGE was begun, or the present.

    Exit codes: 0 equal, 1 different, 2 bad input. What was not all seen is not equal.
    """
    # Loaded here: the engine takes its time, and only this command needs it.
    from holdfast.consistency.comparing import compare as comparing
    from holdfast.consistency.comparing import difference_table, duckdb_session, windows

    sides = _sides(expected, actual, before, after)
    young = _young(sides[-1], ignore_age, now, is_windows=len(sides) == 3)
    limits = duckdb_session.engine_limits(threads=threads, memory=memory_limit, temp_dir=temp_dir)
    with duckdb_session.work_folder(limits) as folder:
        table = folder / "differences.parquet"
        with progress.progress("Comparing", _DONE, unit="steps", quiet=quiet) as update:

            def tell(stage: str, part: float | None) -> None:
                update(completed=int((part or 0) * _DONE), note=stage)

            found: Comparison | WindowComparison
            if len(sides) == 2:
                found = comparing.compare_listings(*sides, table, limits=limits, partial=partial, progress=tell)
            else:
                found = windows.compare_windows(
                    *(sides[0], sides[1], sides[2], table), limits=limits, young=young, partial=partial, progress=tell
                )
        if out is not None:
            difference_table.write_class_files(found.form, table, out, limits, folder)
        if json:
            show.document(_document(found))
        else:
            form, n_max = found.form, SAMPLES
            samples = {} if found.equal else difference_table.samples(form, table, limits, folder, n_max=n_max)
            _show(found, samples, out)
    if not found.equal:
        raise typer.Exit(1)


def _sides(expected: Path, actual: Path | None, before: Path | None, after: Path | None) -> tuple[Path, ...]:
    """The two listings to compare, or before, after and storage; BadInput if it is neither that are named."""
    if before is None and after is None and actual is not None:
        return expected, actual
    if before is not None and after is not None and actual is None:
        return before, after, expected
    if (before is None) != (after is None):
        given, lacking = ("--before", "--after") if after is None else ("--after", "--before")
        raise BadInput(f"{given} goes with {lacking}", hint="give both, or EXPECTED and ACTUAL alone")
    if before is None:
        raise BadInput("ACTUAL is lacking", hint="give EXPECTED and ACTUAL, or --before, --after and STORAGE")
    raise BadInput("with --before and --after there is one more listing, not two", hint="give STORAGE only")


def _young(storage: Path, ignore_age_s: int | None, now: str | None, *, is_windows: bool) -> Young | None:
    """What is young at the storage, if that matters."""
    # As above: they bring the engine along.
    from holdfast.consistency.comparing import listing_folder
    from holdfast.consistency.comparing.window_query import Young

    if ignore_age_s is None:
        if now is not None:
            raise BadInput("--now says nothing without --ignore-age", hint="give both, or neither")
        return None
    if not is_windows:
        raise BadInput("--ignore-age goes with --before and --after", hint="give these, too, or leave it out")
    if ignore_age_s < 0:
        raise BadInput(f"--ignore-age {ignore_age_s} is no age", hint="give seconds, 0 or more")
    now_us = _moment_us(now) if now is not None else listing_folder.listed_us(storage)
    return Young(ignore_age_s, time_ns() // 1000 if now_us is None else now_us)


def _moment_us(text: str) -> int:
    try:
        if text.isdecimal():
            return int(text) * SECOND_US
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return int(moment.timestamp() * SECOND_US)
    except (ValueError, OverflowError) as error:
        hint = "write 2026-11-01, 2026-11-01T06:30, or seconds since 1970"
        raise BadInput(f"--now {text[:80]!r} is no moment", hint=hint) from error


def _document(found: Comparison | WindowComparison) -> dict[str, Any]:
    files = {cls.value: total.files for cls, total in found.totals.items()}
    sizes = {cls.value: total.size for cls, total in found.totals.items()}
    return {
        **_rows(found),
        **files,
        "sizes": sizes,
        "unlisted_places": found.unlisted_places,
        "equal": found.equal,
        "seconds": round(found.seconds, 3),
    }


def _rows(found: Comparison | WindowComparison) -> dict[str, int]:
    """How many rows each listing has, by its side."""
    return {side: getattr(found, side) for side in found.form.sides}


def _show(found: Comparison | WindowComparison, samples: Mapping[StrEnum, Sequence[str]], out: Path | None) -> None:
    rows = [
        (cls.value, show.number(total.files), show.size(total.size))
        for cls, total in found.totals.items()
        if total.files or not cls.value.startswith(("duplicate", "unlisted"))
    ]
    show.table(("class", "files", "size"), rows, right=("files", "size"))
    for cls, paths in samples.items():
        for path in paths:
            show.line(f"{cls.value}: {path}")
        if found.totals[cls].files > len(paths):
            show.line(f"{cls.value}: ... and {show.number(found.totals[cls].files - len(paths))} more")
    if found.unlisted_places:
        places = show.plural(found.unlisted_places, "place")
        show.line(f"not all was seen: {places} could not be listed; what may lie there is not judged")
    counts = ", ".join(f"{show.number(count)} {side}" for side, count in _rows(found).items())
    show.line(f"{counts}: {_verdict(found)}")
    if out is not None:
        show.line(f"the paths of each class are in {out}")


def _verdict(found: Comparison | WindowComparison) -> str:
    classes = {cls.value for cls, total in found.totals.items() if total.files}
    if found.equal:
        return "equal"
    return "not known" if not classes else "in flight" if classes == {"in_flight"} else "different"
