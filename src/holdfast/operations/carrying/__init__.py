"""Carrying out a claim: what copies and deletions have in common, whoever works on them."""
