"""Ending: a worker's event loop, and the end of the process where something in it does not end.

Rules
  * Interrupted once, what is under way cleans up behind itself, as long as that takes, up to the limit of a call.
  * Interrupted again, or where a storage hangs for longer, the process ends at once. What it had claimed is free
    for others as soon as the system has let go of it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

from holdfast.cli import failure
from holdfast.model.errors import WorkerStuck

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, which would wait for what does not end."""
    is_over = False

    async def watched() -> T:
        nonlocal is_over
        try:
            return await work
        finally:
            is_over = True

    runner = asyncio.Runner()
    try:
        result = runner.run(watched())
    except WorkerStuck as error:
        _end(error)
    except KeyboardInterrupt as error:
        if not is_over:
            _end(error)
        runner.close()
        raise
    except BaseException:
        runner.close()
        raise
    runner.close()
    return result


def _end(error: BaseException) -> NoReturn:
    """End without waiting for anybody, saying why."""
    said = failure.of(error)
    if said.text:
        sys.stderr.write(f"{said.line}\n")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass
    os._exit(said.exit_code)
