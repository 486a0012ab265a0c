"""``holdfast dataset``: what is registered, and where it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import chain
from typing import Annotated, Any

import typer

from holdfast.cli import dataset_set, options, show
from holdfast.cli.context import open_context
from holdfast.inventory.store import Snapshot
from holdfast.model import checksums, names
from holdfast.model.errors import Conflict
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Block, BlockReplica, CopyRequest, Dataset, FileColumns, Request

app = typer.Typer(no_args_is_help=True, help="Datasets: what is registered, and where it is.")

Name = Annotated[str, typer.Argument(metavar="DATASET", help="NAME or NAME#VERSION.")]


def register(parent: typer.Typer) -> None:
    """Add the group."""
    dataset_set.register(app)
    parent.add_typer(app, name="dataset")


@app.command("list")
def list_datasets(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Only those whose NAME#VERSION matches, with * ? and [...].")
    ] = "*",
    staged: Annotated[bool, typer.Option("--staged", help="Also those that are still being published.")] = False,
    json: options.Json = False,
) -> None:
    """All datasets, or those that match PATTERN."""
    with open_context() as context, context.store.snapshot() as snapshot:
        chosen = [each for each in snapshot.datasets(staged=staged) if fnmatchcase(str(each.key), pattern)]
        rows = [(dataset, snapshot.blocks(dataset.key)) for dataset in chosen]
    if json:
        show.document({"datasets": [_record(dataset, blocks) for dataset, blocks in rows]})
        return
    show.table(
        ("dataset", "status", "state", "blocks", "files", "size", "created"),
        [
            (
                str(dataset.key),
                dataset.status.value,
                _state(dataset),
                show.number(len(blocks)),
                show.number(sum(block.n_files for block in blocks)),
                show.size(sum(block.size for block in blocks)),
                show.time(dataset.created_us),
            )
            for dataset, blocks in rows
        ],
        right=("blocks", "files", "size"),
    )


@app.command("show")
def show_dataset(
    name: Name,
    blocks: Annotated[bool, typer.Option("--blocks", help="Also each block, and where it is.")] = False,
    json: options.Json = False,
) -> None:
    """One dataset: its size, its replicas, and what is wanted of it."""
    key = names.dataset_key(name)
    with open_context() as context, context.store.snapshot() as snapshot:
        dataset, all_blocks = snapshot.dataset(key), snapshot.blocks(key)
        replicas = snapshot.replicas(dataset=key)
        copies, deletions = snapshot.copy_requests(dataset=key), snapshot.deletion_requests(dataset=key)
        locks = [lock.id for lock in snapshot.locks() if _is_of(snapshot, lock.dataset, lock.lfn, key)]
    sites = _by_site(all_blocks, replicas)
    if json:
        asked = {"open_copies": [*map(_request, copies)], "open_deletions": [*map(_request, deletions)]}
        details = {"sites": sites, "locks": locks, **asked}
        if blocks:
            details["block_list"] = [_block(block, replicas) for block in all_blocks]
        show.document({**_record(dataset, all_blocks), **details})
        return
    show.facts(_facts(dataset, all_blocks, locks))
    _print_sites(sites)
    asked_for: list[Request] = [*copies, *deletions]
    for request in asked_for:
        what = "copy to" if isinstance(request, CopyRequest) else "deletion at"
        show.line(f"open {what} {request.site}: {request.id}, since {show.time(request.created_us)}")
    if blocks:
        _print_blocks(all_blocks, replicas)


def _is_of(snapshot: Snapshot, dataset: DatasetKey | None, lfn: str, key: DatasetKey) -> bool:
    """Whether a lock on ``dataset`` or ``lfn`` concerns ``key``."""
    if lfn:
        record = snapshot.lookup([lfn])[0]
        return record is not None and record.block.dataset == key
    return dataset == key


def _state(dataset: Dataset) -> str:
    if not dataset.is_visible:
        return "staged"
    return "open" if dataset.is_open else "closed"


def _record(dataset: Dataset, blocks: Sequence[Block]) -> dict[str, Any]:
    return {
        "dataset": str(dataset.key),
        "name": dataset.key.name,
        "version": dataset.key.version,
        "status": dataset.status,
        "state": _state(dataset),
        "type": dataset.type,
        "software_version": dataset.software_version,
        "metadata": dataset.metadata,
        "required_copies": dataset.required_copies,
        "staging": dataset.staging,
        "created_at": show.time_exact(dataset.created_us),
        "blocks": len(blocks),
        "files": sum(block.n_files for block in blocks),
        "size": sum(block.size for block in blocks),
    }


def _by_site(blocks: Sequence[Block], replicas: Iterable[BlockReplica]) -> list[dict[str, Any]]:
    """What each site holds of the dataset; the moment is that of its oldest proof, None if a part has none."""
    by_site: dict[str, list[BlockReplica]] = {}
    for replica in replicas:
        by_site.setdefault(replica.site, []).append(replica)
    found = []
    for site, held in sorted(by_site.items()):
        moments = [each.verified_us for each in held if each.n_files]
        known = [moment for moment in moments if moment is not None]
        oldest = min(known) if known and len(known) == len(moments) else None
        found.append(
            {
                "site": site,
                "complete": len(held) == len(blocks) and all(each.is_complete for each in held),
                "custodial": any(each.is_custodial for each in held),
                "groups": sorted({each.group for each in held if each.group}),
                "blocks_complete": sum(each.is_complete for each in held),
                "files": sum(each.n_files for each in held),
                "size": sum(each.size for each in held),
                "verified_at": show.time_exact(oldest),
            }
        )
    return found


def _facts(dataset: Dataset, blocks: Sequence[Block], locks: Sequence[str]) -> list[tuple[str, str]]:
    n_files, size = sum(block.n_files for block in blocks), sum(block.size for block in blocks)
    staging = dataset.staging
    return [
        ("dataset", str(dataset.key)),
        ("status", f"{dataset.status.value}, {_state(dataset)}"),
        ("being published", f"{staging.site}: {staging.directory}" if staging else ""),
        ("type", dataset.type),
        ("software", dataset.software_version),
        ("holds", f"{show.plural(n_files, 'file')}, {show.size(size)}, {show.plural(len(blocks), 'block')}"),
        ("required copies", str(dataset.required_copies)),
        ("created", show.time(dataset.created_us)),
        *((f"  {name}", value if isinstance(value, str) else show.json_text(value)) for name, value in _items(dataset)),
        ("locks", ", ".join(locks)),
    ]


def _items(dataset: Dataset) -> list[tuple[str, Any]]:
    return [(show.escape(str(name)), value) for name, value in sorted(dataset.metadata.items())]


def _print_sites(sites: Sequence[dict[str, Any]]) -> None:
    if not sites:
        show.line("replicas: none")
        return
    show.table(
        ("site", "replica", "blocks", "files", "size", "verified"),
        [
            (
                each["site"],
                "complete" if each["complete"] else "partial",
                show.number(each["blocks_complete"]),
                show.number(each["files"]),
                show.size(each["size"]),
                (each["verified_at"] or "not all of it").split(".")[0],
            )
            for each in sites
        ],
        right=("blocks", "files", "size"),
    )


def _request(request: Request) -> dict[str, Any]:
    created = show.time_exact(request.created_us)
    return {"id": request.id, "site": request.site, "reason": request.reason, "created_at": created}


def _block(block: Block, replicas: Iterable[BlockReplica]) -> dict[str, Any]:
    there = [
        {"site": each.site, "complete": each.is_complete, "files": each.n_files, "size": each.size}
        for each in replicas
        if each.block == block.key
    ]
    return {"block": block.key.block, "files": block.n_files, "size": block.size, "replicas": there}


def _print_blocks(blocks: Sequence[Block], replicas: Sequence[BlockReplica]) -> None:
    rows = []
    for block in blocks:
        there = [
            each.site if each.is_complete else f"{each.site} ({show.number(each.n_files)} files)"
            for each in replicas
            if each.block == block.key
        ]
        rows.append((block.key.block, show.number(block.n_files), show.size(block.size), ", ".join(there)))
    show.table(("block", "files", "size", "sites"), rows, right=("files", "size"))


@app.command("files")
def list_files(
    name: Name,
    block: Annotated[str | None, typer.Option("--block", help="Only the files of this block.")] = None,
    all_checksums: Annotated[bool, typer.Option("--checksums", help="Every checksum, not only adler32.")] = False,
    staged: Annotated[
        bool, typer.Option("--staged", help="Also of one that is still being published: what is registered so far.")
    ] = False,
    json: options.Json = False,
) -> None:
    """The files of a dataset, as a listing that `holdfast compare` reads.

    Tab-separated, with a line of column names; columns without a value are
    empty.
    """
    key = names.dataset_key(name)
    algorithms = tuple(checksums.DIGITS) if all_checksums else ("adler32",)
    with open_context() as context, context.store.snapshot() as snapshot:
        dataset = snapshot.dataset(key)
        if not dataset.is_visible and not staged:
            raise Conflict(
                f"dataset {key} is still being published",
                rows=(str(key),),
                hint="wait until all of it is there, or see with --staged how far it is",
            )
        wanted = [BlockKey(key, block)] if block is not None else [each.key for each in snapshot.blocks(key)]
        first = [(part, snapshot.files(part)) for part in wanted[:1]]  # An unknown block is found before any output.
        # Block by block, so that a dataset of millions of files needs the memory of few.
        parts = chain(first, ((part, snapshot.files(part)) for part in wanted[1:]))
        sys.stdout.writelines(_json_lines(key, parts) if json else _tsv_lines(parts, algorithms))


def _tsv_lines(parts: Iterable[tuple[BlockKey, FileColumns]], algorithms: Sequence[str]) -> Iterator[str]:
    # Names hold no control characters, so no quoting is needed.
    yield "\t".join(("path", "size", *algorithms)) + "\n"
    for _, files in parts:
        nothing = (None,) * len(files)
        digests = [files.checksums.get(algorithm, nothing) for algorithm in algorithms]
        for lfn, size, *row in zip(files.lfns(), files.sizes, *digests, strict=True):
            yield "\t".join((lfn, str(size), *(digest or "" for digest in row))) + "\n"


def _json_lines(key: DatasetKey, parts: Iterable[tuple[BlockKey, FileColumns]]) -> Iterator[str]:
    """One document, written as it is read: the keys in order, a file a line."""
    yield f'{{"dataset": {show.json_text(str(key))}, "files": ['
    before = "\n"
    for part, files in parts:
        for row, lfn in enumerate(files.lfns()):
            file = {"block": part.block, "checksums": files.checksums_of(row), "lfn": lfn, "size": files.sizes[row]}
            yield f"{before}{show.json_text(file)}"
            before = ",\n"
    yield "\n]}\n"
