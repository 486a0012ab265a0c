"""Part files: named arrays in one file that other processes map as it is.

    "HFPART1\\n" | length of the header, 8 bytes | xxh3-64 of the header, 8 bytes | header | arrays

Numbers are little-endian. The header is JSON: ``meta``, whatever the writer
says, and ``arrays``, for each its name, dtype, shape, place (bytes from the
beginning of the file, a multiple of 64) and xxh3-64. ``size`` is that of the whole file.

Rules
  * A file appears under its name whole or not at all, and is never written
    again. It may be removed at any time: mappings survive that.
  * A file that is cut off, or whose header is damaged, is a BrokenInvariant
    with its path, never a guess; ``check`` also proves the arrays.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import xxhash

from holdfast.model.errors import BrokenInvariant

Array = npt.NDArray[Any]

MAGIC = b"HFPART1\n"
ALIGNMENT = 64
_START = len(MAGIC) + 16


def write(path: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write a part. It is a copy of what the store has, so nobody waits for the disk."""
    part = path.with_name(f".{path.name}.part")
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = _header(plain, meta)
    try:
        with part.open("wb") as file:
            file.write(MAGIC + len(header).to_bytes(8, "little") + _hash(header) + header)
            for array in plain.values():
                file.write(b"\0" * (-file.tell() % ALIGNMENT))
                file.write(array.data)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays, mapped and not to be written, and meta. FileNotFoundError if the file is not there (any more)."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _START:
            _damaged(path, "cut off")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    header = _checked_header(path, mapped)
    if header["size"] != size:
        _damaged(path, f"{size} bytes long instead of {header['size']}")
    return {name: _array(mapped, *row) for name, *row, _ in header["arrays"]}, header["meta"]


def check(path: Path) -> None:
    """BrokenInvariant unless every byte of the arrays is what was written."""
    arrays, _ = read(path)
    header = _checked_header(path, path.read_bytes())
    for name, _, _, _, digest in header["arrays"]:
        if xxhash.xxh3_64_hexdigest(arrays[name].data) != digest:
            _damaged(path, f"its column {name} is not what was written")


def _array(mapped: mmap.mmap, dtype: str, shape: list[int], offset: int) -> Array:
    count = math.prod(shape)
    if not count:
        return np.zeros(shape, dtype=dtype)
    return np.frombuffer(mapped, dtype=dtype, count=count, offset=offset).reshape(shape)


def _header(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> bytes:
    described = [
        (name, array.dtype.str, array.shape, array.nbytes, xxhash.xxh3_64_hexdigest(array.data))
        for name, array in arrays.items()
    ]
    length = 0
    while True:  # The places depend on the header's length, and that on the places; it settles at once.
        place, rows = _START + length, []
        for name, dtype, shape, n_bytes, digest in described:
            place += -place % ALIGNMENT
            rows.append((name, dtype, shape, place, digest))
            place += n_bytes
        header = json.dumps({"meta": meta, "arrays": rows, "size": place}, separators=(",", ":")).encode()
        if len(header) <= length:
            return header.ljust(length)
        length = len(header) + 16


def _checked_header(path: Path, data: mmap.mmap | bytes) -> Any:
    length = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 8], "little")
    header = bytes(data[_START : _START + length])
    if data[: len(MAGIC)] != MAGIC or _hash(header) != data[len(MAGIC) + 8 : _START]:
        _damaged(path, "its header is not what was written")
    return json.loads(header)


def _hash(header: bytes) -> bytes:
    return xxhash.xxh3_64_intdigest(header).to_bytes(8, "little")


def _damaged(path: Path, problem: str) -> NoReturn:
    raise BrokenInvariant(
        f"a part of the published image is damaged: {problem}",
        place=str(path),
        hint="remove the folder; a server writes it anew from the store",
    )
