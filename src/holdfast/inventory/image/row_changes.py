"""What becomes of the row of a replica by a change of many: the functions of ``holdfast.inventory.replicas``, on rows.

They say the same for whole replicas, by the ten thousand; the property tests of
the image hold the two against each other.
"""

from __future__ import annotations

from holdfast.inventory.image.replica_columns import ReplicaRow


def whole(row: ReplicaRow | None, made: ReplicaRow, n_files: int) -> ReplicaRow:
    """After all that was lacking has arrived; ``made`` is what a replica becomes that was not there."""
    if row is None:
        return made if n_files else made._replace(verified_us=None)
    if row.held is None:
        return row
    proved = made.verified_us
    if row.n_files:
        both = row.verified_us is not None and proved is not None
        proved = min(row.verified_us or 0, proved or 0) if both else None
    return row._replace(
        held=None, n_files=0, size=0, verified_us=proved if n_files else None, updated_us=made.updated_us
    )


def verified(row: ReplicaRow, verified_us: int, n_files: int) -> ReplicaRow:
    """After all that it holds was proved; ``n_files`` are those of its block."""
    holds_some = n_files if row.held is None else row.n_files
    if not holds_some or verified_us <= (row.verified_us or -1):
        return row
    return row._replace(verified_us=verified_us)


def assigned(row: ReplicaRow, owner: int | None, is_custodial: bool | None) -> ReplicaRow:
    """As another group's, custodial or not; None leaves it."""
    return row._replace(
        owner=row.owner if owner is None else owner,
        is_custodial=row.is_custodial if is_custodial is None else is_custodial,
    )
