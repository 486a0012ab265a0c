"""Run the trial: one day of an inventory on real servers, with everything that goes wrong.

    python -m trial [--scale 1.0] [--dir FOLDER] [--write-docs] [--remark TEXT]

What is measured is written to figures.json in the folder as soon as it is known.
Exit code 0: every damage was found and repaired or named, and nothing else
happened; 1: it was not so; 2: a stage failed. All servers are ended either way,
and their logs are kept in the folder; with 0 all else of it goes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from trial.amounts import of_scale
from trial.figures import Figures
from trial.page import page
from trial.plan import Plan
from trial.processes import Peaks
from trial.stages import Trial
from trial.verdict import SHOWN_MAX
from trial.world import world

PAGE = Path(__file__).parent.parent / "docs" / "trial.md"
KEPT = ("figures.json", "book.json", "logs")


def main(arguments: list[str]) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m trial", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="1.0: ten million files")
    parser.add_argument("--dir", type=Path, help="an empty or new folder to work in; default: a temporary one")
    parser.add_argument("--write-docs", action="store_true", help="write docs/trial.md")
    parser.add_argument("--remark", default="", help="a sentence for that page: what else went on meanwhile, say")
    options = parser.parse_args(arguments)
    folder: Path = options.dir or Path(tempfile.mkdtemp(prefix="holdfast-trial-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    if any(folder.iterdir()):
        parser.error(f"{folder} is not empty")
    figures = Figures(folder, options.scale)
    figures.keep("remark", options.remark)
    found = run(folder.resolve(), options.scale, figures)
    if found is None:
        return 2
    print(f"{len(found)} problems; figures in {folder}" if found else f"all is well; figures in {folder}")
    if not found:
        _tidy(folder)
    if options.write_docs:
        PAGE.write_text(page(figures.document))
    return 1 if found else 0


def run(folder: Path, scale: float, figures: Figures) -> list[str] | None:
    """One trial in an empty folder; what is not as it should be, or None if a stage failed."""
    plan, peaks = Plan(of_scale(scale)), Peaks()
    try:
        with world(folder, plan, figures, peaks) as made:
            amounts = {"files": plan.amounts.n_files, "datasets": plan.amounts.n_datasets}
            figures.keep("amounts", amounts | {"blocks": plan.amounts.n_blocks, "sites": len(plan.sites)})
            trial = Trial(made)
            try:
                found = trial.run()
                trial.compare_large()
            finally:
                figures.keep("peaks_mb", peaks.all())
                (folder / "book.json").write_text(json.dumps(made.book.to_json(), indent=1) + "\n")
    except Exception:  # noqa: BLE001 - whatever it was, everything has been ended and is told
        traceback.print_exc()
        stage = next(reversed(figures.document["stages"]), "the beginning")
        print(f"the trial failed in {stage!r}; see {folder}/logs, {folder}/logs/commands", file=sys.stderr)
        return None
    finally:
        peaks.close()
    figures.keep("problems", found[:SHOWN_MAX])
    for problem in found[:SHOWN_MAX]:
        print(problem, file=sys.stderr)
    return found


def _tidy(folder: Path) -> None:
    for each in folder.iterdir():
        if each.name not in KEPT:
            shutil.rmtree(each) if each.is_dir() else each.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
