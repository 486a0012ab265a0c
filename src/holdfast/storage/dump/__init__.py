"""Listings that sites hand out, as a storage."""
