"""Floor 0: names, records, changes, checksums and PFN rules. Pure values, no I/O."""
