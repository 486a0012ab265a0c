"""Asking for copies and deletions, taking back and giving up: what ``operations.requests`` is made of."""
