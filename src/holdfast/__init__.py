"""Holdfast keeps what the catalogues say and what the storage holds the same."""

__version__ = "0.1.0"
