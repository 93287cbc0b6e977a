"""A host: hypervisors, storage, and the remctl commands that drive them."""
