"""The remote server: the only writer of a machine's life."""
