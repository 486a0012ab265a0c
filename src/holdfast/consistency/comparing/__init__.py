"""What differs between two listings, on columns in DuckDB: listing files, the comparison, its table of differences."""
