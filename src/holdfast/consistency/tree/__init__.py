"""A site as directories: trees for programs, and sums, empty and lost directories for reports."""
