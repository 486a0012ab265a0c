"""Listing: what a site holds, completely or with its gaps named."""
