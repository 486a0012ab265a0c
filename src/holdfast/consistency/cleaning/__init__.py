"""What goes by its age: what running workflows have left in production areas, and what has lain long in quarantine."""
