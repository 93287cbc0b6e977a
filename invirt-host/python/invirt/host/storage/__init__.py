"""Disks: what is the same everywhere, and a driver a kind."""
