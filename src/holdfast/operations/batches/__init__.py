"""The queue on disk: requests that are worked on, their batches, who works on them, how the links fare."""
