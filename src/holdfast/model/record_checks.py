"""Checks of whole records, before they come in. Pure.

Raises the errors of ``holdfast.model.names``, and BadInput for numbers and JSON
that cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from holdfast.model import checksums, names
from holdfast.model import pfn as pfn_rules
from holdfast.model.errors import BadInput, InvalidName
from holdfast.model.records import Dataset, FileColumns, Site

ROOT_BYTES_MAX = 4096
METADATA_DEPTH_MAX = 16


def check_site(site: Site) -> None:
    """Errors of names and rules if ``site`` cannot be one."""
    names.site_name(site.name)
    if not site.doors:
        raise BadInput(f"site {site.name} has no door", hint="give a protocol and a root")
    for door in site.doors:
        names.label("root", door.root, ROOT_BYTES_MAX)
        if door.protocol == "posix" and not door.place.startswith("/"):
            raise BadInput(f"site {site.name}: the root {door.root!r} is not absolute", hint="begin it with '/'")
        pfn_rules.check(door.rules)


def check_dataset(dataset: Dataset) -> None:
    """Errors of names and numbers if ``dataset`` cannot be one."""
    if names.dataset_key(str(dataset.key)) != dataset.key:
        raise InvalidName(f"dataset name {dataset.key.name!r} contains '#'", hint="that mark divides name and version")
    if dataset.required_copies < 1:
        raise BadInput(f"dataset {dataset.key}: required_copies is {dataset.required_copies}", hint="1 or more")
    check_metadata(dataset.metadata)


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """BadInput unless ``metadata`` is JSON and nothing else, so that it is read back as it was written."""
    _check_json(metadata, "metadata", METADATA_DEPTH_MAX)


def _check_json(value: object, place: str, depth_left: int) -> None:
    if depth_left < 0:
        raise BadInput("metadata is nested too deeply", hint=f"{METADATA_DEPTH_MAX} levels at most")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str:
                raise BadInput(f"{place} has the key {key!r}, which is not text")
            _check_json(item, f"{place}[{key!r}]", depth_left - 1)
    elif type(value) is list:
        for number, item in enumerate(value):
            _check_json(item, f"{place}[{number}]", depth_left - 1)
    elif type(value) is float and not isfinite(value):
        raise BadInput(f"{place} is {value}, which is not JSON")
    elif value is not None and type(value) not in (str, int, float, bool):
        raise BadInput(f"{place} is of type {type(value).__name__}, which is not JSON")


def check_files(files: FileColumns) -> None:
    """Errors of names, sizes and digests if ``files`` cannot be files."""
    columns = {"dir_index": files.dir_index, "sizes": files.sizes, **files.checksums}
    for column, values in columns.items():
        if len(values) != len(files.names):
            raise BadInput(f"column {column} has {len(values)} rows, names has {len(files.names)}")
    if files.dir_index and not 0 <= min(files.dir_index) <= max(files.dir_index) < len(files.dirs):
        raise BadInput("dir_index points outside dirs")
    names.check_files(files.dirs, files.dir_index, files.names)
    if files.sizes and min(files.sizes) < 0:
        raise BadInput(f"{files.lfn(files.sizes.index(min(files.sizes)))} has a negative size")
    for algorithm, digests in files.checksums.items():
        for digest in () if checksums.all_normal(algorithm, digests) else digests:
            if digest is not None and checksums.normalise(algorithm, digest) != digest:
                raise BadInput(f"{digest!r} is not a normalised digest of {algorithm}")
