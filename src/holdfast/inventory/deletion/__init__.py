"""The one check that every deletion passes: may these bytes go?

Pure: a snapshot, what is to go and a moment in, obstacles out. It runs in the
transaction that requests a deletion and again, at the then current position, in
the one that claims it for execution. Whatever it does not understand stands in
the way. ``paths`` is for files that nobody knows, ``directories`` for empty
directories, ``replicas`` for what the inventory holds somewhere; what a deletion
of replicas still asks for is in nobody's count (``condemned``).
"""

from holdfast.inventory.condemned import condemned, condemned_since
from holdfast.inventory.deletion.directories import directory_obstacles, refuse_directories
from holdfast.inventory.deletion.grounds import Ground
from holdfast.inventory.deletion.paths import Obstacle, obstacles, refuse
from holdfast.inventory.deletion.replicas import (
    ReplicaObstacle,
    refuse_replicas,
    replica_obstacles,
    replica_obstacles_of_blocks,
)

__all__ = [
    "Ground",
    "Obstacle",
    "ReplicaObstacle",
    "condemned",
    "condemned_since",
    "directory_obstacles",
    "obstacles",
    "refuse",
    "refuse_directories",
    "refuse_replicas",
    "replica_obstacles",
    "replica_obstacles_of_blocks",
]
