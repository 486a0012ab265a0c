"""What several test files share and plug-in writers have no use for."""
