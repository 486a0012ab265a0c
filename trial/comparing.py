"""The comparison of very long listings, once: the largest beside a tenth of it, by the means of the bench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import compare


def compare_large(folder: Path, rows: int) -> dict[str, Any]:
    """What comparing ``rows`` lines a side took, and a tenth of them; and what the former took more than linearly."""
    less, more = (compare.measure_confined(folder, size) for size in (rows // 10, rows))
    return {
        "lines": rows,
        "cpu_s": round(more.cpu_s, 1),
        "wall_s": round(more.wall_s, 1),
        "peak_mb": round(more.peak_mb),
        "tenth_cpu_s": round(less.cpu_s, 1),
        "tenth_wall_s": round(less.wall_s, 1),
        "tenth_peak_mb": round(less.peak_mb),
        "cpu_ratio": round(more.cpu_s / less.cpu_s, 2),
        "wall_ratio": round(more.wall_s / less.wall_s, 2),
    }
