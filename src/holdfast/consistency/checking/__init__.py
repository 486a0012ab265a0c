"""One check of a site: what is expected, what differs, and what of that is so after all that happened meanwhile."""
