"""The three modules of a back end: what should be at a site, whom to tell of differences, which sites there are."""
