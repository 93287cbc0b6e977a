"""What stays open for long: one process for all streams, each of which would hold a thread of the pages."""
