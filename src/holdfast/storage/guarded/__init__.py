"""A driver made of simple requests."""
