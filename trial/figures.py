"""Figures: what was measured, on disk at once, so that a run that ends early still tells what it has measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIGURES = "figures.json"


class Figures:
    """Stages in their order, each with its time and whatever it found worth telling; kept in ``folder``."""

    def __init__(self, folder: Path, scale: float) -> None:
        self._file = folder / FIGURES
        self._began_s = time.monotonic()
        self.document: dict[str, Any] = {"scale": scale, "machine": machine(), "stages": {}, "total_s": 0.0}

    def put(self, stage: str, **figures: Any) -> None:
        """Figures of a stage, beside those it has."""
        self.document["stages"].setdefault(stage, {}).update(figures)
        self._write()

    def keep(self, name: str, value: Any) -> None:
        """What is of no stage."""
        self.document[name] = value
        self._write()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done within, and say so on standard output: when it begins, and when it ends."""
        print(f"{time.strftime('%H:%M:%S')} {name} ...", flush=True)
        began = time.monotonic()
        try:
            yield
        finally:
            self.put(name, seconds=round(time.monotonic() - began, 1))
        print(f"{time.strftime('%H:%M:%S')} {name}: {time.monotonic() - began:,.1f} s", flush=True)

    def _write(self) -> None:
        self.document["total_s"] = round(time.monotonic() - self._began_s, 1)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self.document, indent=1) + "\n")
        part.replace(self._file)


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and the greatest, in milliseconds, of seconds."""
    ordered = sorted(values)
    places = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
    return {
        name: round(1000 * ordered[min(int(len(ordered) * at), len(ordered) - 1)], 1) for name, at in places.items()
    }


def machine() -> dict[str, Any]:
    """What this was measured on, without names."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": platform.system(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "xrootd": _version("xrootd", "-v"),
        "rclone": _version("rclone", "version"),
        "postgresql": _version("postgres", "--version"),
    }


def _version(*command: str) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return "not on PATH"
    words = (ran.stdout or ran.stderr).split()
    return next((word.lstrip("v") for word in words if any(letter.isdigit() for letter in word)), "unknown")
