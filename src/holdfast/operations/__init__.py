"""Floor 3: transfers and deletions, exactly as asked, exactly once."""
