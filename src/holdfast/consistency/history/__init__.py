"""What checks have found over time, what was asked for because of it, and what people have said of each site."""
