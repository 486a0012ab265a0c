"""Carry out deletions: claims that pass the check, one more look at each file, and what became of each."""
