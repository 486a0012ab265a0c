"""What is to be done and what comes first: pure decisions over requests, snapshots, batches and figures."""
