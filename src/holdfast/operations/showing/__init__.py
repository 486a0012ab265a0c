"""What people see of requests, links and workers, and why something does not move. Reads, never writes."""
