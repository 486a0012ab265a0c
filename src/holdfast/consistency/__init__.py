"""Floor 4: what differs between what should be and what is, and how it is put right."""
