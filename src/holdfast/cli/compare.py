"""``holdfast compare``: what is expected beside what is there, from two listing files.

Needs no installation and changes nothing; with ``--out`` it writes one file a
class into a folder. Exit code 0: equal, 1: different, 2: bad input.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import options, progress, show

if TYPE_CHECKING:
    from holdfast.consistency.differences import Comparison, DifferenceClass

SAMPLES = 3
_DONE = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    expected: Annotated[Path, typer.Argument(metavar="EXPECTED", help="The listing of what should be.")],
    actual: Annotated[Path, typer.Argument(metavar="ACTUAL", help="The listing of what is there.")],
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
    """Compare two listing files: TSV, CSV, NDJSON or Parquet, packed by gzip or zstd or not.

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

    Exit codes: 0 equal, 1 different, 2 bad input. What was not all seen is not equal.
    """
    # Loaded here: the engine takes its time, and only this command needs it.
    from holdfast.consistency import compare as comparing
    from holdfast.consistency import differences, duckdb_session, listing_folder

    limits = duckdb_session.engine_limits(threads=threads, memory=memory_limit, temp_dir=temp_dir)
    sights = listing_folder.sights(expected, actual, partial=partial)
    with duckdb_session.work_folder(limits) as folder:
        table = folder / "differences.parquet"
        with progress.progress("Comparing", _DONE, unit="steps", quiet=quiet) as update:
            found = comparing.compare_files(
                expected,
                actual,
                table,
                limits=limits,
                progress=lambda stage, part: update(completed=int((part or 0) * _DONE), note=stage),
            )
            found = listing_folder.set_apart(found, sights, limits, folder)
        if out is not None:
            differences.write_class_files(table, out, limits, folder)
        if json:
            show.document(_document(found))
        else:
            samples = differences.samples(table, limits, folder, n_max=SAMPLES) if not found.equal else {}
            _show(found, samples, out)
    if not found.equal:
        raise typer.Exit(1)


def _document(found: Comparison) -> dict[str, Any]:
    files = {cls.value: total.files for cls, total in found.totals.items()}
    sizes = {cls.value: total.size for cls, total in found.totals.items()}
    return {
        "expected": found.expected,
        "actual": found.actual,
        **files,
        "bytes": sizes,
        "unlisted_places": found.unlisted_places,
        "equal": found.equal,
        "seconds": round(found.seconds, 3),
    }


def _show(found: Comparison, samples: dict[DifferenceClass, list[str]], out: Path | None) -> None:
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
    verdict = "equal" if found.equal else "different" if any(t.files for t in found.totals.values()) else "not known"
    show.line(f"{show.number(found.expected)} expected, {show.number(found.actual)} actual: {verdict}")
    if out is not None:
        show.line(f"the paths of each class are in {out}")
