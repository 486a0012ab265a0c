"""The inventory in memory: immutable columns at one position, kept up by the journal."""
