"""Records as JSON text and back, by their types: for columns named ``body`` and for files."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter


@lru_cache(maxsize=16)
def record_adapter(kind: Any) -> TypeAdapter[Any]:
    """How a record is written down and read."""
    return TypeAdapter(kind)


def body_of(record: Any) -> str:
    """A record as JSON."""
    return json.dumps(record_adapter(record.__class__).dump_python(record, mode="json"), separators=(",", ":"))
