"""Requests as text and back: for a column named ``body``, and for files.

The record as JSON, but for many ordinals of one block, which are a bitmap: a
deletion of a million files is written anew each time some of them are gone.
Parts that have not changed since are not packed again.

    {"packed":{"0":"ff0f"},"id":"r1",...,"scope":[{"block":"0000","ordinals":[]},...]}

``packed`` names parts of the scope by their place; the bitmap is that of
FileSet, as hexadecimal text, and stands for its ordinals in ascending order.

Rules
  * What is read is equal to what was written, the order of its ordinals too.
  * A text without ``packed`` is the record as it is: so the first releases wrote all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from holdfast.inventory.record_text import record_adapter
from holdfast.model.fileset import FileSet
from holdfast.model.records import BlockFiles, CopyRequest, DeletionRequest, Request

KINDS: Mapping[str, Any] = {"copy": CopyRequest, "deletion": DeletionRequest}
"""The kinds of requests, as a column or a file names them: their texts alone do not tell."""
PACKED = "packed"
PACKED_MIN = 64
"""From so many ordinals on a bitmap is shorter, mostly."""
_BEGINNING = f'{{"{PACKED}":'


def kind_of(request: Request) -> str:
    """The name of a request's kind."""
    return "copy" if isinstance(request, CopyRequest) else "deletion"


def written(request: Request) -> str:
    """A request as text."""
    adapter = record_adapter(KINDS[kind_of(request)])
    packed: dict[str, str] = {}
    scope = list(request.scope)
    for place, part in enumerate(request.scope):
        bitmap = _bitmap(_Same(part)) if len(part.ordinals or ()) >= PACKED_MIN else ""
        if bitmap:
            packed[str(place)] = bitmap
            scope[place] = replace(part, ordinals=())
    if not packed:
        return str(adapter.dump_json(request), "utf-8")
    rest = str(adapter.dump_json(replace(request, scope=tuple(scope))), "utf-8")
    return f"{_BEGINNING}{json.dumps(packed, separators=(',', ':'))},{rest.removeprefix('{')}"


class _Same:
    """A part by its identity: to compare ten thousand ordinals takes as long as packing them."""

    __slots__ = ("part",)

    def __init__(self, part: BlockFiles) -> None:
        self.part = part

    def __hash__(self) -> int:
        return id(self.part)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.part is self.part


@lru_cache(maxsize=256)
def _bitmap(same: _Same) -> str:
    """The bitmap of a part; "" where it is not shorter, or would not be read back as it was."""
    ordinals = same.part.ordinals or ()
    if max(ordinals) > 32 * len(ordinals):
        return ""
    files = FileSet.of(ordinals)
    return files.to_bytes().hex() if tuple(files) == ordinals else ""


def read(kind: str, text: str) -> Request:
    """The request that was written; ValueError for what is none."""
    request: Request = record_adapter(KINDS[kind]).validate_json(text)
    if not text.startswith(_BEGINNING):
        return request
    scope = list(request.scope)
    for place, bitmap in json.loads(text)[PACKED].items():
        part = scope[int(place)]
        scope[int(place)] = replace(part, ordinals=tuple(FileSet.from_bytes(bytes.fromhex(bitmap))))
    return replace(request, scope=tuple(scope))
