"""The journal's form: change sets as bytes, and the chain of digests.

An entry is a header (epoch, position, time, actor, cause, origin) and a body,
the changes as JSON in columns, compressed when stored. Its digest is

    sha256(digest before || 0x00 || header as JSON || 0x00 || body, uncompressed)

so that whoever knows one digest can tell whether a history is the one he saw.

Rules
  * Reading a body back gives equal changes; a body we cannot read is a
    BrokenInvariant, never a guess.
  * A body is at most BYTES_MAX bytes and ROWS_MAX rows; more is BadInput with
    the remedy to split or to stage.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from holdfast.inventory import proofs
from holdfast.model.changes import BYTES_MAX, ROWS_MAX, Change, ChangeSet, Origin, rows
from holdfast.model.errors import BadInput, BrokenInvariant

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The character as JSON has it, and not a backslash that is followed by these letters."""


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[tuple[Change, ...]]:
    return TypeAdapter(tuple[Annotated[Change, Field(discriminator="kind")], ...])


def genesis(epoch: str) -> str:
    """The digest before the first entry of a new inventory."""
    return hashlib.sha256(b"holdfast journal\0" + epoch.encode()).hexdigest()


def written(change_set: ChangeSet, *, now_us: int) -> tuple[ChangeSet, bytes]:
    """The change set as every reader of the journal will have it, and its body; BadInput if that is not what was given.

    What is checked and applied has to be this one: a number that is text, or a
    word that is no evidence, must not be in the tables, or the journal could
    never be read again. Proofs from the future are told as of now.
    """
    body = encode(change_set)
    try:
        changes = _adapter().validate_json(body)
    except ValidationError as error:
        first, *_ = error.errors(include_url=False, include_context=False)
        message = f"a change that makes no sense: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise BadInput(message, hint="is each value of its type?") from error
    if changes != change_set.changes:
        raise BadInput("a change that would be read back as another", hint="is each value of its type? lists are none")
    told = replace(change_set, changes=proofs.as_told(changes, now_us))
    return told, body if told.changes == changes else encode(told)


def encode(change_set: ChangeSet) -> bytes:
    """The body of a change set; BadInput if it is too big for one entry."""
    origin = change_set.origin or Origin("", "")
    try:
        n_rows = sum(rows(change) for change in change_set.changes)
        if n_rows > ROWS_MAX:
            raise BadInput(f"a change set of {n_rows} rows", hint=f"split it: {ROWS_MAX} rows at most")
        body = _ENCODER.encode(change_set.changes).encode()
        texts = [text.encode() for text in (change_set.actor, change_set.cause, origin.endpoint, origin.message_id)]
    except (ValueError, TypeError, AttributeError) as error:  # What is not UTF-8, not finite, not JSON, not ours.
        reason = str(error).partition("\n")[0]
        raise BadInput(f"a change set that cannot be written down: {reason}", hint="is all text UTF-8?") from error
    if any(b"\0" in text for text in texts) or (b"\\u0000" in body and _NUL.search(body)):
        raise BadInput(
            "a change set with a NUL character in its text", hint="leave it out: not every database keeps it"
        )
    if len(body) > BYTES_MAX:
        raise BadInput(f"a change set of {len(body)} bytes", hint=f"split it: {BYTES_MAX} bytes at most")
    return body


def _fields(value: object) -> dict[str, object]:
    """What the encoder does not know: records and mappings, both objects of JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is of type {type(value).__name__}")


_ENCODER = json.JSONEncoder(default=_fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def decode(body: bytes, *, position: int) -> tuple[Change, ...]:
    """The changes of a body."""
    try:
        return _adapter().validate_json(body)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[:1]
        raise BrokenInvariant(f"the journal entry cannot be read: {reason}", place=f"position {position}") from error


def pack(body: bytes) -> bytes:
    """A body as it is stored."""
    return zlib.compress(body, 1)


def unpack(stored: bytes, *, position: int) -> bytes:
    """A stored body as it was."""
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(stored, BYTES_MAX)  # A few damaged bytes must not become gigabytes.
    except zlib.error as error:
        raise BrokenInvariant("the journal entry is damaged", place=f"position {position}") from error
    if not stream.eof or stream.unused_data:
        raise BrokenInvariant("the journal entry is damaged: cut off or too long", place=f"position {position}")
    return body


def digest(
    before: str,
    body: bytes,
    *,
    epoch: str,
    position: int,
    at_us: int,
    actor: str,
    cause: str,
    origin: Origin | None,
) -> str:
    """The digest of an entry, as hexadecimal text."""
    source = [origin.endpoint, origin.message_id] if origin else None
    header = json.dumps([epoch, position, at_us, actor, cause, source], separators=(",", ":"))
    chain = hashlib.sha256(bytes.fromhex(before))
    for part in (b"\0", header.encode(), b"\0", body):
        chain.update(part)
    return chain.hexdigest()
